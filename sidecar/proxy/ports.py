"""What the proxy needs: tokens, and the identity of callers."""

from collections.abc import Callable
from typing import Protocol

from sidecar.oauth.token import Token, TokenRequest
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import Tenants


class Callers(Protocol):
    """Who makes a request, where its token is got with one that it brings."""

    async def route(
        self, route: Route, value: Callable[[bytes], bytes | None], tenants: Tenants | None
    ) -> Route:
        """Return the route as it is for this caller; `value` gives the request's fields, names in lower case.

        `tenants` are asked where what the caller brings names the tenant. Raises RequestRefused: 401 when the caller
        cannot be one, 400 when its tenant cannot.
        """


class Tokens(Protocol):
    """Tokens for requests, and what becomes of them: what the story asks of the cache."""

    def peek(self, request: TokenRequest, now: float) -> Token | None:
        """Return a usable token from memory, if there is one. Hot path: never suspends."""

    async def token(self, request: TokenRequest) -> Token:
        """Return a token. Raises TokenUnavailable or TokenRefused."""

    async def renew(self, request: TokenRequest, refused: Token, sent_at: float) -> Token:
        """Return another one than was refused, fetched after `sent_at`. Raises like `token`."""

    def cooling(self, request: TokenRequest, now: float) -> bool:
        """Tell whether refusals pass straight through for now."""

    def cool_down(self, request: TokenRequest, token: Token) -> None:
        """The second send was refused too."""

    def healed(self, request: TokenRequest) -> None:
        """The second send was accepted."""
