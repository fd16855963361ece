"""HTTP's methods, as telemetry tells them apart."""

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
OTHER = "_OTHER"
"""Any that is not known: clients could invent as many as they like."""
