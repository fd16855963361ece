"""What the admin server asks of the sidecar."""

from dataclasses import dataclass
from typing import Protocol

from sidecar.core.busts import BustFailure
from sidecar.core.secret import Secret
from sidecar.core.selectors import Selector


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether to send requests here; `degraded` serves, but something is missing, and `detail` says what."""

    ok: bool
    degraded: bool = False
    detail: str = ""


class AdminState(Protocol):
    """What the admin server asks of the sidecar. Nothing it shows may hold a secret."""

    def ready(self) -> Readiness:
        """Tell whether requests should come here now."""

    def started(self) -> bool:
        """Tell whether start-up is over."""

    def status(self, chosen: Selector) -> dict[str, object]:
        """Return what `/status` shows, of types that JSON knows; of tokens, those that carry these labels."""

    async def metrics(self) -> bytes:
        """Return Prometheus text, format 0.0.4."""

    async def operators_token(self) -> Secret | None:
        """Return what who busts must show; None where nobody may."""

    async def bust(self, chosen: Selector) -> int | BustFailure:
        """Drop all tokens the selector means, in every pod. Return how many were sent it, or what went wrong."""
