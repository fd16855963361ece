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


def hint_for(error: Exception) -> str:
    """Return what to do about an error, "" where its own text says so."""
    code = getattr(error, "code", "")
    return _HINTS.get(code, "") if isinstance(code, str) else ""


_HINTS = {
    "invalid_client": "check client id, client secret and client_auth",
    "invalid_grant": "check subject, actor or assertion: who issued it, for whom, and until when",
    "invalid_request": "check what the server wants besides: parameters, audience, resource",
    "invalid_scope": "check scope: the client may have less than it asks for",
    "invalid_target": "check resource and audience",
    "unauthorized_client": "allow the client this grant at the authorization server",
    "unsupported_grant_type": "check grant, and that token_endpoint is one",
    "access_denied": "allow the client what it asks for at the authorization server",
}
