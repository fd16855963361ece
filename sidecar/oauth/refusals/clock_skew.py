"""By how much an authorization server's clock differs from this machine's, by the Date of its answers."""

import re
from dataclasses import dataclass

from sidecar.oauth import http_date
from sidecar.oauth.token import TokenRequest

NOTABLE = 30.0
"""Seconds; servers accept JWTs from a clock that differs by less."""
_RESOLUTION = 1.0
"""Seconds; a Date has no fractions."""
_ASSERTIONS = frozenset({"private_key_jwt", "client_assertion_file"})
_OF_TIME = re.compile(
    r"\b(?:expir(?:ed?|y|es)|exp|iat|nbf|issued at|not yet|not active|no longer|clock|skew|future|too old|time)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """When, by this machine's wall clock, a request was sent and its answer received."""

    sent: float
    received: float

    def skew(self, date: str) -> float | None:
        """Return by how many seconds the server's clock is at least ahead, negative where it is behind.

        It is 0 where `date`, the answer's Date, may have been written between the two moments, and None where `date`
        is no date.
        """
        written = http_date.parse(date, self.received)
        if written is None:
            return None
        return max(0.0, written - self.received) or min(0.0, written + _RESOLUTION - self.sent)


def matters(request: TokenRequest, description: str) -> bool:
    """Return whether a wrong clock can be the cause: the request presents a JWT, or the server's text is of times."""
    return (
        request.client_auth in _ASSERTIONS
        or request.grant == "jwt_bearer"
        or _OF_TIME.search(description) is not None
    )


def hint(skew: float | None) -> str:
    """Return what to do about the difference, "" where it is small or not known."""
    if skew is None or abs(skew) <= NOTABLE:
        return ""
    side = "ahead of" if skew > 0 else "behind"
    return f"the server's clock is {abs(skew):.0f} s {side} this machine's; synchronize both clocks"
