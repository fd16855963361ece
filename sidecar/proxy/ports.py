"""Ports of the proxy: tokens, and the identity of callers."""

from collections.abc import Callable
from typing import Protocol

from sidecar.oauth.token import Token, TokenRequest
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import Tenants


class Callers(Protocol):
    """The caller of a request, where the route's token is obtained with the caller's token."""

    async def route(
        self, route: Route, value: Callable[[bytes], bytes | None], tenants: Tenants | None
    ) -> Route:
        """Return the route for this caller; `value` returns the request's fields, by lower-case name.

        Where the caller's token names the tenant, the route comes from `tenants`. Raises RequestRefused: 401 for an
        invalid token, 400 for an invalid tenant.
        """


class Tokens(Protocol):
    """Tokens for requests, and reports of how upstreams judged them. The cache implements it."""

    def peek(self, request: TokenRequest, now: float) -> Token | None:
        """Return a usable token from memory, or None. Hot path: never suspends."""

    async def token(self, request: TokenRequest) -> Token:
        """Return a token. Raises TokenUnavailable or TokenRefused."""

    async def renew(self, request: TokenRequest, refused: Token, sent_at: float) -> Token:
        """Return another token than the refused one, fetched after `sent_at`. Raises like `token`."""

    def cooling(self, request: TokenRequest, now: float) -> bool:
        """Return whether refusals are currently relayed without a renewal."""

    def cool_down(self, request: TokenRequest, token: Token) -> None:
        """Note that the second send was refused too."""

    def healed(self, request: TokenRequest) -> None:
        """Note that the second send was accepted."""
