"""Histories of real fleets: a driver records events, and a checker tests them against the numbered invariants."""
