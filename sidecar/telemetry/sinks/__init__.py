"""Outputs of telemetry: log lines, Prometheus, OTLP. The only home of their libraries."""
