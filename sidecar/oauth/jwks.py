"""Verification of callers' tokens with the keys that their issuer publishes."""

from functools import partial

from sidecar.core.errors import RequestRefused, TokenRefused, TokenUnavailable
from sidecar.core.ports import Clock
from sidecar.oauth import jwt_rules
from sidecar.oauth.jwt_rules import Jwk, Signed
from sidecar.oauth.ports import AuthorizationServer, Discovery, Signatures
from sidecar.oauth.remote_document import RemoteDocuments
from sidecar.oauth.signing_keys import Verification
from sidecar.telemetry.words import KEY_SET

LIFE = 300.0
"""Seconds for which an issuer's keys are used before they are fetched again."""
PAUSE = 30.0
"""Seconds between two fetches, whatever unknown keys callers name, and after a failed one."""
EARLY = 2
"""Fetches for an unknown key that skip this wait while fetches succeed: a new key is found at once."""
MAX_ISSUERS = 100


class JwksVerifier:
    """Keep issuers' keys; those once fetched stay in use while the issuer is unreachable."""

    def __init__(
        self, server: AuthorizationServer, discovery: Discovery, signatures: Signatures, clock: Clock
    ) -> None:
        self._server = server
        self._discovery = discovery
        self._signatures = signatures
        self._clock = clock
        self._documents: RemoteDocuments[tuple[Jwk, ...]] = RemoteDocuments(
            clock, limit=MAX_ISSUERS, pause=PAUSE, first_pause=PAUSE, early=EARLY
        )

    async def verify(self, token: str, rule: Verification) -> None:
        signed = jwt_rules.signed(token, rule)
        keys = await self._keys(rule, LIFE)
        if not self._good(token, signed, keys):
            newer = await self._keys(
                rule, PAUSE, early=signed.names_none_of(keys)
            )  # it may have changed meanwhile
            if not self._good(token, signed, newer):
                raise RequestRefused(401, "no trusted key matches the signature of the caller's token")
        jwt_rules.judge(token, rule, self._clock.wall())

    def _good(self, token: str, signed: Signed, keys: tuple[Jwk, ...]) -> bool:
        fitting = (jwk for jwk in keys if signed.fits(jwk))
        return any(self._signatures.good(token, jwk, signed.algorithm) for jwk in fitting)

    async def _keys(self, rule: Verification, age: float, *, early: bool = False) -> tuple[Jwk, ...]:
        """Return the issuer's keys, fetched at most that many seconds ago, or older ones if it is unreachable.

        `early`: there is reason to think that they have changed since.
        """
        source = ascii([rule.jwks_uri or rule.issuer, rule.tls])
        return await self._documents.get(source, partial(self._fetch, rule), age=age, early=early)

    async def _fetch(self, rule: Verification) -> tuple[Jwk, ...]:
        try:
            place = rule.jwks_uri or await self._discovery.jwks_uri(rule.issuer, rule.tls)
            keys = jwt_rules.keys(await self._server.get(place, rule.tls))
        except (TokenUnavailable, TokenRefused):
            keys = None
        if keys is None:
            why = f"the {KEY_SET} of {rule.issuer} is unavailable, so that callers' tokens cannot be verified"
            raise TokenUnavailable(why, PAUSE)
        return keys
