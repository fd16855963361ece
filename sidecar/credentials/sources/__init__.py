"""Sources of credentials: files, the environment, AWS Secrets Manager."""
