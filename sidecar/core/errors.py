"""Every error that the sidecar raises.

Adapters translate their library's exceptions into these once; the edge (`core.problem`) maps each to a status once. A
message names what failed, where, and the remedy; it never holds a secret.
"""

from dataclasses import dataclass


class SidecarError(Exception):
    """Base of everything raised on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in the configuration: its source, its path there, and the reason."""

    source: str
    path: str
    reason: str
    line: int = 0
    """Line in the source, from 1; 0 if the source has no lines."""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        return f"{place}: {self.path}: {self.reason}" if self.path else f"{place}: {self.reason}"


class ConfigError(SidecarError):
    """The configuration cannot be used; holds every fault found, not just the first."""

    def __init__(self, faults: tuple[Fault, ...], warnings: tuple[Fault, ...] = ()) -> None:
        """Take `warnings`: values that can be used, but are probably a mistake."""
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
        self.warnings = warnings


class ListenError(SidecarError):
    """A listen address cannot be bound."""


class LimitReached(SidecarError):
    """A limit that the system sets for the process leaves too little to work with."""


class AdminRefused(SidecarError):
    """The admin server of a running sidecar did not do what was requested."""


class AdminUnreachable(SidecarError):
    """No server answers at the address of a running sidecar's admin server."""


class NothingToBust(SidecarError):
    """No token of any pod can carry the labels of a bust, because its tenant is not a valid tenant id."""


class ManifestRefused(SidecarError):
    """A Kubernetes manifest to which the sidecar cannot be added, or from which it cannot be removed.

    The text names the documents, the place and the reason.
    """


class RequestRefused(SidecarError):
    """The client's request is refused with `status`, one that `core.problem` knows; the upstream never sees it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class UnknownTenant(RequestRefused):
    """The request names a tenant that is not served: an invalid id, or one that is not in the list."""

    def __init__(self, tenant: str, reason: str, *, in_path: bool = False) -> None:
        """Take `tenant`, the name as it may be logged, and whether the request's path names it."""
        super().__init__(400, reason)
        self.tenant = tenant
        self.in_path = in_path


class WrongVersion(SidecarError):
    """The request uses another version of HTTP than its route; the sidecar does not translate."""


class ForeignCall(RequestRefused):
    """A request to the token API that a web page or a forged request could have sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(403, reason)


class NotListed(RequestRefused):
    """A path that the token API does not serve, or an entry of `tokens` that it does not hand out."""

    def __init__(self, reason: str, path: str = "") -> None:
        """Take `path` as it may be logged, "" if it is known otherwise."""
        super().__init__(404, reason)
        self.path = path


class WrongMethod(RequestRefused):
    """A path of the token API with a method that it does not serve."""

    def __init__(self, allowed: str) -> None:
        super().__init__(405, f"this path of the token API serves {allowed} only: use that method")
        self.allowed = allowed


class NotTheToken(RequestRefused):
    """A refusal that was reported to the token API, and that another token would not help against."""

    def __init__(self, reason: str) -> None:
        super().__init__(409, reason)


class StillCooling(RequestRefused):
    """A refusal that was reported to the token API while new tokens are refused too."""

    def __init__(self, retry_after: float) -> None:
        """Take `retry_after` in seconds, from now."""
        super().__init__(429, "new tokens are refused too: the sidecar fetches none until the cool-down ends")
        self.retry_after = retry_after


class NoToken(SidecarError):
    """There is no token. Applications may see the error's own text; the rest is for operators only."""

    def __init__(self, reason: str, description: str, hint: str = "", *, of_secret: bool = False) -> None:
        """Take `description`, the authorization server's own text, cleaned, or ""; and `hint`, what to do.

        `of_secret`: the sidecar sent no request, because the secret store has no credentials that can be used.
        """
        super().__init__(reason)
        self.description = description
        self.hint = hint
        self.of_secret = of_secret

    @property
    def for_operators(self) -> str:
        """Return the error with the server's own text."""
        return f'{self}: "{self.description}"' if self.description else str(self)


class TokenUnavailable(NoToken):
    """There is no token for now: the authorization server (or the credential source) is unavailable.

    Try again later.
    """

    def __init__(
        self, reason: str, retry_after: float, *, description: str = "", of_secret: bool = False
    ) -> None:
        """Take `retry_after` in seconds, from now."""
        super().__init__(reason, description, of_secret=of_secret)
        self.retry_after = retry_after


class TokenRefused(NoToken):
    """The authorization server refused the request: a retry will not help until a cause is fixed."""

    def __init__(
        self,
        reason: str,
        code: str,
        *,
        of_request: bool = False,
        of_caller: bool = False,
        of_secret: bool = False,
        description: str = "",
        hint: str = "",
    ) -> None:
        """Take `code`, the OAuth error code (RFC 6749 section 5.2), "" if the server returned none.

        `of_request`: the server refused the request as a whole, its credentials included, rather than giving an answer
        that cannot be used. `of_caller`: the reason is the token that a request to us brought.
        """
        super().__init__(reason, description, hint, of_secret=of_secret)
        self.code = code
        self.of_request = of_request
        self.of_caller = of_caller


class UpstreamUnreachable(SidecarError):
    """No connection to the upstream, or it was lost before an answer came."""


class UpstreamTimeout(SidecarError):
    """The upstream did not connect or answer within the route's limits."""


class DeadlinePassed(SidecarError):
    """The client's limit for a call passed while the call waited for a token."""


class MessageMalformed(SidecarError):
    """Bytes on the wire that are not HTTP/1.1 as we accept it."""
