"""Everything the sidecar asks of the outside world, on one page.

Adapters implement these; tests give fakes that pass the same contract tests. Nothing here does anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.core.backoff import Setback
from sidecar.core.busts import Bust, Busted, BustFailure
from sidecar.core.credentials import CredentialKey, Credentials, StoredCredentials
from sidecar.core.events import Event
from sidecar.core.keys import SigningKey, Verification
from sidecar.core.lease import Claim
from sidecar.core.record import RequestRecord
from sidecar.core.routes import Route
from sidecar.core.secret import Secret, SecretRef
from sidecar.core.selectors import Selector
from sidecar.core.tenants import Tenants
from sidecar.core.tls import Tls
from sidecar.core.token import FetchReason, Token, TokenRequest


class Clock(Protocol):
    """Two readings of time: `now` for durations, `wall` for dates."""

    def now(self) -> float:
        """Return a moment, in seconds that never jump: wall time at the start plus what has passed since.

        For timeouts, lives, leases and pauses. Compare it with other moments only, never with a date.
        """

    def wall(self) -> float:
        """Return today's date, in epoch seconds; it jumps when the host's clock is set.

        For what the outside writes or reads: claims of JWTs, HTTP dates, timestamps of logs and spans.
        """

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class Randomness(Protocol):
    """Unpredictable bytes, and jitter."""

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes fit for keys and nonces."""

    def uniform(self, low: float, high: float) -> float:
        """A number from `low` to `high`, for jitter only."""


class CredentialSource(Protocol):
    """Where what authenticates us to the authorization server comes from."""

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the tenant's credentials, read again if those held were read at or before `newer_than`.

        Pass `-inf` for any that are held. `rejected` are those with which an authorization server has just refused
        a request: return others if the source has any, the same if not, and drop the rejected ones only if its
        current ones are others. `worked` says that such a request has got a token before, so that a version that
        the source does not call current counts too; it comes back as `interim`. Raises TokenUnavailable when the
        source cannot be read, and TokenRefused when it has nothing for us.
        """

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        """Hold `accepted`, which were `interim`, in place of `refused`: the authorization server has chosen."""


class SecretStore(Protocol):
    """Where credentials lie that are far away, in versions; each call reads it."""

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        """Return the tenant's current credentials, or another version as `interim` where those are the `rejected` ones.

        Raises like `CredentialSource.read`.
        """


@dataclass(frozen=True, slots=True)
class Reply:
    """A token endpoint's answer, not yet judged."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""
    """The Retry-After field as sent, "" when absent."""


class AuthorizationServer(Protocol):
    """One question to an authorization server; whatever is answered is returned, redirects included.

    Raises TokenUnavailable when there is no answer within the limits.
    """

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        """Send the encoded form."""

    async def get(self, url: str, tls: Tls) -> Reply:
        """Ask for a document."""


class Discovery(Protocol):
    """Knows where token requests go."""

    async def token_endpoint(self, request: TokenRequest) -> str:
        """Return the URL. Raises TokenUnavailable or TokenRefused when nobody says."""

    async def jwks_uri(self, issuer: str, tls: Tls) -> str:
        """Return where an issuer's public keys are. Raises like `token_endpoint`."""


class Signatures(Protocol):
    """Checks signatures, and nothing else about a token."""

    def good(self, token: str, jwk: Mapping[str, object], algorithm: str) -> bool:
        """Tell whether the holder of the key signed the token with this algorithm."""


class Verifier(Protocol):
    """Believes callers' tokens or not."""

    async def verify(self, token: str, rule: Verification) -> None:
        """Return if the token is what the rule wants.

        Raises RequestRefused (401) if it is not, TokenUnavailable when nobody can tell.
        """


class SecretReader(Protocol):
    """Reads what is replaced under us while we run."""

    async def read(self, where: SecretRef) -> Secret:
        """Return the secret as it is now. Raises TokenUnavailable when it cannot be read."""


class Signer(Protocol):
    """Makes the JWTs that prove who we are."""

    async def sign(self, key: SigningKey, claims: Mapping[str, object], life: float) -> str:
        """Return a JWT with these claims, an id of its own, and `life` seconds to live from now.

        Raises TokenUnavailable when the key cannot be used.
        """


class TokenSource(Protocol):
    """Whatever gives tokens; a cache is a source that wraps a source."""

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Return a token whose fetch began after `newer_than`, got with credentials read after it too.

        Raises TokenUnavailable or TokenRefused.
        """


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


class Fleet(Protocol):
    """What the cache tells the other pods and hears from the state they share. Never raises.

    While nobody can be reached, telling does nothing and this pod's own state decides.
    """

    @property
    def reachable(self) -> bool:
        """Whether asking it makes sense now; while it does not, memory keeps tokens to their expiry."""

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        """Tell every pod that the token is no good: a request with it, sent at `sent_at`, was refused.

        In one atomic step: unless the key cools down, or this very token was bust before, publish the message, delete
        the stored token if it still is the refused one, and move the key's generation on. The first happens even if
        the others are denied.
        """

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        """The successor was refused too: open the fleet's next window, times `jitter` ≥ 1.

        Return what is left of the window now in force, whoever opened it; 0 when nobody can be reached.
        """

    async def healed(self, request: TokenRequest) -> None:
        """A successor was accepted: end the fleet's windows for this key."""


class TokenStore(Protocol):
    """The second level, shared by the fleet, and its leases; each call is one round trip. Never raises.

    While it is down it has and keeps nothing. All times given and taken are this pod's own; whatever is
    uncertain about how they relate to the store's is taken out of a token's life and newness.
    """

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        """Look for a token or, if there is none, become the one pod that fetches it: one atomic step.

        A stored token whose fingerprint is `passing_over` was looked at before and is as good as absent.
        """

    async def extend(self, request: TokenRequest, owner: str) -> bool:
        """Renew the lease; False when it is not ours any more. While the store is down it still is."""

    async def fill(self, request: TokenRequest, token: Token, owner: str) -> bool:
        """Keep the token, release the lease and wake who waits for it.

        False, and nothing kept, when a bust has moved the generation since `token.generation` was claimed.
        """

    async def give_up(self, request: TokenRequest, owner: str, setback: Setback) -> None:
        """Release the lease, share why there is no token until `setback.until`, and wake who waits."""

    async def release(self, request: TokenRequest, owner: str) -> None:
        """Release the lease without a word about why, and wake who waits."""

    async def generations(self, keys: Sequence[str]) -> Mapping[str, int] | None:
        """Return the present generations of `TokenRequest.key`s, 0 where none is known; None while it is down."""


class CredentialStore(Protocol):
    """The second level for credentials, shared by the fleet; each call is one round trip. Never raises.

    While it is down it has and keeps nothing.
    """

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """Return what is stored, if it came from the same place."""

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        """Keep them for `life` seconds, unless a bust has moved the generation since `look` returned it."""

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> BustFailure | None:
        """Publish the bust, delete the stored ones if they are those, and move the generation past this one.

        Return what went wrong.
        """


class Evictions(Protocol):
    """What the bus hands the cache. Each only evicts: nothing is published, stored or fetched because of it."""

    def evict(self, bust: Bust) -> bool:
        """Drop the token named by the bust, and only that one, now and if it is still on its way into memory.

        Tell whether memory held it.
        """

    def evict_selected(self, chosen: Selector, at: float) -> int:
        """Drop every token the selector means whose fetch began by `at`; tell how many. Quick: there may be many.

        The bus adds it to `Revocations` first, so that none comes in later.
        """

    def evict_revoked(self) -> int:
        """After a gap: drop every token that `Revocations` cover by now; tell how many."""

    def held(self) -> Mapping[str, int]:
        """Return the key and generation of everything in memory, for the comparison after a gap."""

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        """After a gap: drop what memory holds under another (≠) generation than these, and tell how many.

        What has come in since they were asked for goes too, and what is still on its way does not count.
        """


class Fills(Protocol):
    """Who waits for another pod's fetch."""

    def filled(self, key: str) -> None:
        """The lease of this `TokenRequest.key` has ended, with or without a token: look again."""


class BustBus(Protocol):
    """What the fleet's messages are heard on. A hint: the 401 is the truth."""

    async def run(self) -> None:
        """Hear for ever, coming back by itself after every loss; hand what counts to Evictions and Fills."""

    async def publish(self, chosen: Selector) -> int | BustFailure:
        """Revoke a set of tokens in every pod. Return the number of pods that were sent it, or what went wrong."""


class Seal(Protocol):
    """Makes what lies in the store unreadable, and what is told there unforgeable. Never raises, no I/O."""

    @property
    def fingerprint_key(self) -> bytes:
        """What fingerprints are made with: the same in every pod, so that they name a token fleet-wide."""

    def seal(self, key: str, tenant: str, header: bytes, content: bytes) -> bytes:
        """Return `1:<key id>:` + `header` in clear, then the sealed content.

        Bound to `key`, the whole Redis key: moved to another one it does not open. `header` is `<fp>:<gen>:`.
        """

    def open(self, key: str, tenant: str, value: bytes) -> bytes | None:
        """Return the content; None for whatever was not sealed by the fleet for this very key."""

    def sign(self, message: bytes) -> bytes:
        """Return the message's authentication code in hexadecimal, empty where messages go unsigned."""

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Tell, in constant time, whether a holder of one of the keys signed the message."""


class Journal(Protocol):
    """Where events and finished requests are told: logs and metrics. Never blocks, never raises."""

    def tell(self, event: Event) -> None:
        """Log the event and count it."""

    def request_finished(self, record: RequestRecord) -> None:
        """Write the access log line and record the metrics of one request. Hot path: ≤ 3 µs."""
