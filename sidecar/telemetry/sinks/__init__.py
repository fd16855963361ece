"""Where telemetry goes: log lines, Prometheus, OTLP. The only home of their libraries."""
