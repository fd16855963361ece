"""Every error the sidecar raises, on one screen.

Adapters translate their library's exceptions into these once; the edge (`core.problem`) maps each to a
status once. A message says what happened, where, and what to do about it; it never holds a secret.
"""

from dataclasses import dataclass


class SidecarError(Exception):
    """Base of everything raised on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration: which source, which path in it, and why."""

    source: str
    path: str
    reason: str
    line: int = 0
    """In the source, from 1; 0 where it has no lines."""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        return f"{place}: {self.path}: {self.reason}" if self.path else f"{place}: {self.reason}"


class ConfigError(SidecarError):
    """The configuration cannot be used; holds every fault found, not just the first."""

    def __init__(self, faults: tuple[Fault, ...], warnings: tuple[Fault, ...] = ()) -> None:
        """`warnings` are what could be used, but is probably a mistake."""
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
        self.warnings = warnings


class ListenError(SidecarError):
    """A listen address cannot be bound."""


class LimitReached(SidecarError):
    """A limit that the system sets for the process leaves too little to work with."""


class AdminRefused(SidecarError):
    """A running sidecar's admin server did not do what it was asked."""


class AdminUnreachable(SidecarError):
    """Nobody answers where a running sidecar's admin server should be."""


class NothingToBust(SidecarError):
    """No token can carry the labels of a bust, by the configuration of the pod that was sent it."""


class ManifestRefused(SidecarError):
    """A Kubernetes manifest the sidecar cannot be added to, or taken out of; says in which documents, where and why."""


class RequestRefused(SidecarError):
    """The client's request is refused with `status`, one that `core.problem` knows; the upstream never sees it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class UnknownTenant(RequestRefused):
    """The request names a tenant that is not served: no id at all, or none of the list."""

    def __init__(self, tenant: str, reason: str) -> None:
        """`tenant` is the name as it may be logged."""
        super().__init__(400, reason)
        self.tenant = tenant


class NoToken(SidecarError):
    """There is no token. The error's own text may be returned to applications; the rest is for operators only."""

    def __init__(self, reason: str, description: str, hint: str = "") -> None:
        """`description` is the authorization server's own text, cleaned; "" where it gave none. `hint`: what to do."""
        super().__init__(reason)
        self.description = description
        self.hint = hint

    @property
    def for_operators(self) -> str:
        """What happened, with the server's own text."""
        return f'{self}: "{self.description}"' if self.description else str(self)


class TokenUnavailable(NoToken):
    """No token right now: the authorization server (or the credential source) is out. Try again later."""

    def __init__(self, reason: str, retry_after: float, *, description: str = "") -> None:
        """`retry_after` in seconds, from now."""
        super().__init__(reason, description)
        self.retry_after = retry_after


class TokenRefused(NoToken):
    """The authorization server said no: asking again will not help until somebody changes something."""

    def __init__(
        self,
        reason: str,
        code: str,
        *,
        of_request: bool = False,
        of_caller: bool = False,
        description: str = "",
        hint: str = "",
    ) -> None:
        """`code` is the OAuth error code (RFC 6749 section 5.2), "" where the server gave none.

        `of_request` says that the server refused the request as a whole, its credentials included, rather than
        giving an answer that cannot be used; `of_caller` that the token is the reason which a request to us brought.
        """
        super().__init__(reason, description, hint)
        self.code = code
        self.of_request = of_request
        self.of_caller = of_caller


class UpstreamUnreachable(SidecarError):
    """No connection to the upstream, or it was lost before an answer came."""


class UpstreamTimeout(SidecarError):
    """The upstream did not connect or answer within the route's limits."""


class MessageMalformed(SidecarError):
    """Bytes on the wire that are not HTTP/1.1 as we accept it."""
