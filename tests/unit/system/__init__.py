"""Rules of the machine."""
