"""Completion scripts for bash, zsh and fish, made from the command line's parser."""
