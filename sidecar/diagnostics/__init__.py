"""What a configuration would do: `sidecar check` tries it, `sidecar explain` shows it for one request."""
