"""The sidecar in Kubernetes manifests: `sidecar inject`."""
