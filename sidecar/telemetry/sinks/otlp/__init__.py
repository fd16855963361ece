"""OpenTelemetry's exporter: metrics and spans to an OTLP endpoint over HTTP.

Loaded only where one is configured: the SDK takes a quarter of a second and 6 MiB.
"""
