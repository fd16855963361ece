"""YAML and environment → one frozen Config, or one ConfigError that lists every fault."""
