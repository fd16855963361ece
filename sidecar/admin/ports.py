"""Port of the admin server to the sidecar."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.cache.refused_tokens import BustFailure
from sidecar.core.labels import Labels
from sidecar.core.secret import Secret
from sidecar.fleet.answers import SelectOutcome


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether to send requests to this pod."""

    ok: bool
    """Whether requests should be sent to this pod."""
    degraded: bool = False
    """Whether the pod serves, but without Redis or without busts from other pods."""
    detail: str = ""
    """Reason for either; else empty."""


class AdminState(Protocol):
    """State and actions that the admin server serves. None of it may hold a secret."""

    def ready(self) -> Readiness:
        """Return whether requests should be sent to this pod now."""

    def started(self) -> bool:
        """Return whether start-up is over."""

    def status(self, selector: Labels) -> dict[str, object]:
        """Return the content of `/status` in JSON types; of tokens, those that carry these labels."""

    async def not_found(self, selector: Labels) -> str:
        """Return why no token carries these labels, and what to do; "" if that is not known."""

    async def metrics(self) -> bytes:
        """Return Prometheus text, format 0.0.4."""

    def hosts(self) -> Container[str]:
        """Return the names of `admin.hosts`, in lower case."""

    async def operators_token(self) -> Secret | None:
        """Return the bearer token for busts, or None if busting is disabled."""

    async def bust(self, selector: Labels) -> SelectOutcome | BustFailure:
        """Drop all tokens the selector means, in every pod. Return what each pod dropped, or what went wrong.

        Raises NothingToBust if no token of any pod can carry these labels.
        """

    async def unknown_labels(self, selector: Labels) -> Sequence[str]:
        """Return a warning about each label that no token of this pod can carry, by its configuration."""
