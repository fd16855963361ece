"""argv → exit code. A command is a module that imports what it needs itself, so that `--version` answers at once."""
