"""Coverage-guided fuzzing of what reads bytes from peers: `make fuzz`."""
