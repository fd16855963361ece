"""YAML and environment → one frozen Config, or one ConfigError that lists every fault.

A package for its length only: from outside it is one module. `yaml_file` and `environment` give the tree as
written, `examine` holds it against `schema`, `rules` say what else must be right, `meaning` makes the Config.
"""
