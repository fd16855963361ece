"""How many examples Hypothesis tries."""

from hypothesis import settings

IN_CI = 100
"""Of each test that says nothing else."""


def examples(in_ci: int) -> int:
    """As many in CI; elsewhere the share of them that the profile of `tests/conftest.py` has."""
    return max(1, in_ci * settings().max_examples // IN_CI)
