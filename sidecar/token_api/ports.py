"""Port of the token API: tokens, and what follows a reported refusal."""

from typing import Protocol

from sidecar.oauth.token import Token, TokenRequest
from sidecar.proxy.ports import Tokens


class ReportedTokens(Tokens, Protocol):
    """Tokens for programs. The cache implements it."""

    def spare(self, request: TokenRequest) -> Token | None:
        """Return the token in memory, usable or not; None without one."""

    def cools_for(self, request: TokenRequest, now: float) -> float:
        """Return the seconds to the end of this key's cool-down; 0 without one."""
