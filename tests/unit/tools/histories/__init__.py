"""Tests of what `make histories` reads, judges and writes."""
