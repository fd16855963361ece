"""The machine: its clock and randomness, its files, its threads."""
