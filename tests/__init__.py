"""The tests. Their folders are tiers, see CONTRIBUTING."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The repository."""
