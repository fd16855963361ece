"""Token requests and tokens.

Times are moments of the injected `Clock`, dates are those of its wall clock. A token is *fresh* until its leeway
begins, *aging* until it expires, then *stale*: use it; use it and renew it in the background; do not use it.
"""

import hashlib
import math
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import cached_property
from typing import Literal

from sidecar.core.labels import Labels
from sidecar.core.secret import Secret, SecretRef
from sidecar.core.tls import Tls
from sidecar.oauth.signing_keys import PrivateKey, Verification

MAX_LEEWAY = 60.0
"""Seconds before its expiry at which a long-lived token begins to age."""

ClientAuth = Literal[
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "client_assertion_file",
    "tls_client_auth",
    "none",
]
Grant = Literal["client_credentials", "token_exchange", "jwt_bearer"]
FetchReason = Literal["cold", "aging", "refused", "warm_up"]
"""Why a token is fetched; part of the event."""


@dataclass(frozen=True, slots=True)
class FromRequest:
    """The token of each request to us, in a header field that is not forwarded."""

    header: bytes
    """Lower case."""
    verification: Verification | None = None
    """None leaves it to the authorization server."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A token from another issuer that we present to get ours; read again for each fetch."""

    where: SecretRef | FromRequest
    """`FromRequest` only in templates: a token is requested once a request has brought it."""
    identity: str
    """The token's identity: with another one we would get another token. "" in templates."""
    type: str
    """A URI (RFC 8693 section 3)."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A JWT that we sign ourselves and present as our grant (RFC 7523)."""

    issuer: str = ""
    """"" for the client id."""
    subject: str = ""
    """"" for the client id."""
    audience: str = ""
    """"" for the audience of our other assertions."""
    claims: tuple[tuple[str, str], ...] = ()
    """Its further claims."""


@dataclass(frozen=True)
class TokenRequest:
    """Everything that decides which token we get. Requests that differ in any input have different keys."""

    name: str
    """The token's name in the configuration; a label of logs and metrics."""
    credentials: str
    """The name of the credentials that authenticate us."""
    service: str
    """Validated id used in both cache keys; by default the credentials' name."""
    token_endpoint: str = ""
    issuer: str = ""
    """The issuer whose metadata names the token endpoint, if there is no `token_endpoint`."""
    tls: Tls = Tls()
    client: str = ""
    """The configured value or place of the credentials: others of the same name are others."""
    grant: Grant = "client_credentials"
    client_auth: ClientAuth = "client_secret_basic"
    scope: tuple[str, ...] = ()
    audience: str = ""
    resource: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    """Further parameters for this authorization server."""
    private_key: PrivateKey | None = None
    """The key that signs our assertions."""
    assertion_file: str = ""
    """The place of assertions by another issuer that authenticate us."""
    assertion_audience: str = ""
    """"" for the issuer, or the token endpoint where none is given."""
    subject: Presented | None = None
    actor: Presented | None = None
    requested_token_type: str = ""
    """A URI (RFC 8693 section 3), "" for the server's choice."""
    assertion: Assertion | None = None
    """The grant of a jwt_bearer request without a subject."""
    tenant: str = ""
    """Validated tenant id, "" where there is none."""

    @cached_property
    def key(self) -> str:
        """The cache key: `tenant:{tenant}:m2m:{service}:token:{digest}`.

        Every field but the name goes in, as Python literals, whose quotes keep neighbours apart.
        """
        inputs = [getattr(self, part.name) for part in fields(self) if part.name != "name"]
        digest = hashlib.sha256(ascii(inputs).encode()).hexdigest()
        owner = f"tenant:{self.tenant}:" if self.tenant else ""
        return f"{owner}m2m:{self.service}:token:{digest}"

    @cached_property
    def brought(self) -> frozenset[bytes]:
        """The header fields in which each request brings what we present; none where this is no template."""
        presented = (self.subject, self.actor)
        return frozenset(
            token.where.header
            for token in presented
            if token is not None and isinstance(token.where, FromRequest)
        )

    @property
    def of_caller(self) -> bool:
        """Whether a request to us brought what this one presents: it belongs to that caller only."""
        presented = (self.subject, self.actor)
        return any(isinstance(token.where, Secret) for token in presented if token is not None)

    @property
    def anonymous(self) -> "TokenRequest":
        """This request without the tokens that a request to us brought: their identities remain."""
        if not self.of_caller:
            return self
        return replace(self, subject=_anonymous(self.subject), actor=_anonymous(self.actor))

    @property
    def verifies(self) -> bool:
        """Whether something that requests bring is to be verified first."""
        return any(
            token is not None
            and isinstance(token.where, FromRequest)
            and token.where.verification is not None
            for token in (self.subject, self.actor)
        )

    @property
    def labels(self) -> Labels:
        """The labels that select every token of this request."""
        tenant = {("tenant", self.tenant)} if self.tenant else set()
        return frozenset({("service", self.service), *tenant})


def _anonymous(presented: Presented | None) -> Presented | None:
    brought = presented is not None and isinstance(presented.where, Secret)
    return replace(presented, where=FromRequest(b"")) if presented is not None and brought else presented


class Freshness(Enum):
    """See the head of this module."""

    FRESH = "fresh"
    AGING = "aging"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Token:
    """One bearer token and the moments that matter about it."""

    secret: Secret
    expires_at: float
    fresh_until: float
    fetch_began: float
    """When the fetch that got it began: only a token fetched after a refused request was sent succeeds it."""
    authorization: bytes = field(repr=False)
    """The field value ready for the wire, `Bearer …`, built once."""
    labels: Labels = frozenset()
    source: Literal["fetch", "store"] = "fetch"
    """Where this pod got it: `fetch` or `store`."""
    generation: int = 0
    """Generation of its key in the fleet's store as the fetch began; every bust increments it. 0 if not known."""
    exp: float = math.inf
    """The date at which it expires, whatever life the fetch assumed; infinity if there is none."""

    @property
    def fingerprint(self) -> str:
        """The token's name in logs."""
        return self.secret.fingerprint

    def left(self, now: float, today: float) -> float:
        """Return for how many seconds it can still be used: `now` is the moment, `today` the date."""
        return min(self.expires_at - now, self.exp - today)

    def freshness(self, now: float, today: float) -> Freshness:
        """Return how usable the token is at the moment `now`, which is the date `today`."""
        leeway = self.expires_at - self.fresh_until
        if now < self.fresh_until and today < self.exp - leeway:
            return Freshness.FRESH
        return Freshness.AGING if now < self.expires_at and today < self.exp else Freshness.STALE


def bearer(
    secret: Secret,
    *,
    fetch_began: float,
    life: float,
    leeway: float,
    labels: Labels = frozenset(),
    exp: float = math.inf,
) -> Token:
    """Make a token that lives `life` seconds from `fetch_began` and ages for the last `leeway` of them.

    The leeway is at most a minute and half the life, so a short token is still worth caching. `exp` is the date
    that ends it too, where there is one.
    """
    expires_at = fetch_began + life
    return Token(
        secret=secret,
        expires_at=expires_at,
        fresh_until=expires_at - min(leeway, MAX_LEEWAY, max(life, 0.0) / 2),
        fetch_began=fetch_began,
        authorization=b"Bearer " + secret.reveal().encode("ascii"),
        labels=labels,
        exp=exp,
    )
