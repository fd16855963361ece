"""The text of the configuration file: its YAML as values, and the line of each."""
