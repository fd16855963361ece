"""How many examples Hypothesis tries."""

from hypothesis import settings

IN_CI = 100
"""For each test that sets no number of its own."""


def examples(in_ci: int) -> int:
    """As many in CI; elsewhere the share of them that the profile of `tests/conftest.py` has."""
    return max(1, in_ci * settings().max_examples // IN_CI)
