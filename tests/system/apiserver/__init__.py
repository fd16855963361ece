"""The chart and injected manifests on a real API server, which `up.sh` starts."""
