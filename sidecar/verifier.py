"""Believes a caller's token or not, by the keys that its issuer publishes."""

import asyncio
from dataclasses import dataclass, field

from sidecar.core import verification
from sidecar.core.errors import RequestRefused, TokenRefused, TokenUnavailable
from sidecar.core.keys import Verification
from sidecar.core.memory import Lru
from sidecar.core.ports import AuthorizationServer, Clock, Discovery, Signatures
from sidecar.core.verification import Jwk, Signed

LIFE = 300.0
"""Seconds an issuer's keys are used without another look."""
PAUSE = 30.0
"""Seconds between two looks at least, whatever unknown keys callers name, and after one that failed."""
MAX_ISSUERS = 100


@dataclass(slots=True)
class _Known:
    """An issuer's keys; whoever looks holds the lock, and the others wait for what is found."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: tuple[Jwk, ...] | None = None
    looked: float = float("-inf")
    failed: bool = False


class JwksVerifier:
    """Keeps keys; what was once known stays in use while the issuer cannot be asked."""

    def __init__(
        self, server: AuthorizationServer, discovery: Discovery, signatures: Signatures, clock: Clock
    ) -> None:
        self._server = server
        self._discovery = discovery
        self._signatures = signatures
        self._clock = clock
        self._known: Lru[_Known] = Lru(MAX_ISSUERS)

    async def verify(self, token: str, rule: Verification) -> None:
        """See the port."""
        signed = verification.signed(token, rule)
        if not self._good(token, signed, await self._keys(rule, LIFE)):
            newer = await self._keys(rule, PAUSE)  # the issuer may sign with another one by now
            if not self._good(token, signed, newer):
                raise RequestRefused(401, "the caller's token is signed by nobody known here")
        verification.judge(token, rule, self._clock.wall())

    def _good(self, token: str, signed: Signed, keys: tuple[Jwk, ...]) -> bool:
        fitting = (jwk for jwk in keys if signed.fits(jwk))
        return any(self._signatures.good(token, jwk, signed.algorithm) for jwk in fitting)

    async def _keys(self, rule: Verification, age: float) -> tuple[Jwk, ...]:
        """Return the issuer's keys, looked at that many seconds ago at most, or as they were if it cannot be asked."""
        source = ascii([rule.jwks_uri or rule.issuer, rule.tls])
        known = self._known.get(source)
        if known is None:
            known = _Known()
            self._known.put(source, known)
        async with known.lock:
            if self._clock.now() - known.looked >= (PAUSE if known.failed else age):
                await self._look(rule, known)
        if known.keys is None:
            raise TokenUnavailable(f"the keys of {rule.issuer} cannot be had: nobody can be believed", PAUSE)
        return known.keys

    async def _look(self, rule: Verification, known: _Known) -> None:
        known.looked = self._clock.now()
        try:
            place = rule.jwks_uri or await self._discovery.jwks_uri(rule.issuer, rule.tls)
            found = verification.keys(await self._server.get(place, rule.tls))
        except (TokenUnavailable, TokenRefused):
            found = None
        known.failed = found is None
        known.keys = known.keys if found is None else found
