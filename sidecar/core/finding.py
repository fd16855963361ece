"""What a check is made of: steps, what each needs of others, and what was found."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a step found. Nothing in it is secret."""

    detail: str
    outcome: Outcome = "ok"
    hint: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to try."""

    about: str
    """What is tried, such as `ledger.example.com:443`."""
    name: str
    """What is done with it, such as `connect`."""
    work: Callable[[], Awaitable[Finding]]
    """May raise SidecarError."""
    needs: tuple["Step", ...] = ()
    """What must have gone well before."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One step's line in the report."""

    about: str
    step: str
    outcome: Outcome
    seconds: float
    detail: str
    hint: str
