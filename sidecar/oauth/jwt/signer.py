"""Signing of the assertions that authenticate us."""

import asyncio
from collections.abc import Callable, Mapping

import jwt

from sidecar.core.errors import TokenUnavailable
from sidecar.core.ports import Randomness
from sidecar.oauth.jwt.private_keys import prepare
from sidecar.oauth.signing_keys import SigningKey


class JwtSigner:
    """Make JWTs. Signing takes a while, and reading a key longer, so both are done in a thread."""

    def __init__(self, now: Callable[[], float], randomness: Randomness) -> None:
        """`now` is the wall clock, epoch seconds: other machines compare it with theirs."""
        self._now = now
        self._randomness = randomness

    async def sign(self, key: SigningKey, claims: Mapping[str, object], life: float) -> str:
        """Return a JWT with these claims, an id of its own and `life` seconds to live (RFC 7519).

        Raises TokenUnavailable if the key cannot be used: a rotated one may work.
        """
        issued = int(self._now())
        own = {"iat": issued, "exp": issued + int(life), "jti": self._randomness.token_bytes(16).hex()}
        try:
            return await asyncio.to_thread(self._sign, key, {**claims, **own})
        except ValueError as error:
            raise TokenUnavailable(f"cannot sign with the private key: {error}", 0.0) from None

    def _sign(self, key: SigningKey, claims: dict[str, object]) -> str:
        private, algorithm, head = prepare(key)
        return jwt.encode(claims, private, algorithm, head)
