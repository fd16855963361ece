"""Tests of what `make protocol` reads and writes."""
