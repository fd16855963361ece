"""Histories of real fleets: a driver writes what happened, and a checker judges it against the numbered invariants."""
