"""Coverage-guided fuzzing of the code that reads bytes from peers: `make fuzz`."""
