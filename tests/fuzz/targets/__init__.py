"""The targets: each module has inputs to begin with, words, and a check that raises for a fault."""
