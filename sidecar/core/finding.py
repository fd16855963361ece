"""Parts of a check: steps, their prerequisites, and their findings."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a step. Nothing in it is secret."""

    detail: str
    outcome: Outcome = "ok"
    hint: str = ""
    """What to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a check."""

    about: str
    """Its object, such as `ledger.example.com:443`."""
    name: str
    """Its action, such as `connect`."""
    work: Callable[[], Awaitable[Finding]]
    """May raise SidecarError."""
    needs: tuple["Step", ...] = ()
    """Steps that must have succeeded before."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One step's line in the report."""

    about: str
    step: str
    outcome: Outcome
    seconds: float
    detail: str
    hint: str
