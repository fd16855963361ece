"""Where credentials come from: files, the environment, AWS Secrets Manager."""
