"""h2spec against a sidecar."""
