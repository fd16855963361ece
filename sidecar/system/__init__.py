"""The machine beneath: its clock and randomness, its files, its threads."""
