"""argv → exit code. A command is a module; what it needs it imports itself, so that `--version` answers at once."""
