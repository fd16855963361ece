"""Effects of a configuration: `sidecar check` tries it, `sidecar explain` shows it for one request."""
