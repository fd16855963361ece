"""Credentials that authenticate the sidecar to an authorization server: their kinds, and what each requires."""
