"""Parts of a check: steps, their prerequisites, and their findings."""

from collections.abc import Awaitable, Callable
from typing import Literal

from sidecar.core.classes.frozen import frozen

Outcome = Literal["ok", "failed", "skipped"]


@frozen
class Finding:
    """Result of a step. Nothing in it is secret."""

    detail: str
    outcome: Outcome = "ok"
    hint: str = ""
    """What to do."""


@frozen
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


@frozen
class Checked:
    """One step's line in the report."""

    about: str
    step: str
    outcome: Outcome
    seconds: float
    detail: str
    hint: str
