"""What authenticates the sidecar to an authorization server: which kinds there are, and what each needs."""
