"""Telemetry: events, counters, the request record, spans. The rules are here; `sinks` writes and sends."""
