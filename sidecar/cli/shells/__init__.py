"""What the command line takes, read from its parser, as completion scripts for bash, zsh and fish."""
