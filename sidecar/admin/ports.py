"""What the admin server asks of the sidecar."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Protocol

from sidecar.cache.refused_tokens import BustFailure
from sidecar.core.labels import Labels
from sidecar.core.secret import Secret
from sidecar.fleet.answers import SelectOutcome


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether to send requests here."""

    ok: bool
    """Whether requests should be sent to this pod."""
    degraded: bool = False
    """Whether the pod serves, but without Redis or without busts from other pods."""
    detail: str = ""
    """Reason for either; else empty."""


class AdminState(Protocol):
    """What the admin server asks of the sidecar. Nothing it shows may hold a secret."""

    def ready(self) -> Readiness:
        """Return whether requests should come here now."""

    def started(self) -> bool:
        """Return whether start-up is over."""

    def status(self, selector: Labels) -> dict[str, object]:
        """Return what `/status` shows, of types that JSON knows; of tokens, those that carry these labels."""

    async def metrics(self) -> bytes:
        """Return Prometheus text, format 0.0.4."""

    def hosts(self) -> Container[str]:
        """Return the names of `admin.hosts`, in lower case."""

    async def operators_token(self) -> Secret | None:
        """Return what who busts must show; None where nobody may."""

    async def bust(self, selector: Labels) -> SelectOutcome | BustFailure:
        """Drop all tokens the selector means, in every pod. Return what each pod dropped, or what went wrong.

        Raises NothingToBust where no token can carry these labels.
        """
