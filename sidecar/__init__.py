"""A localhost reverse proxy that injects, caches and heals bearer tokens."""

__version__ = "0.1.0"
