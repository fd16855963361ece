"""Tokens and credentials in memory: single flight, refused tokens, revocations, cool-down and the fleet's lease."""
