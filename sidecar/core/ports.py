"""Everything the sidecar asks of the outside world, on one page.

Adapters implement these; tests give fakes that pass the same contract tests. Nothing here does anything.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from sidecar.core.credentials import Credentials
from sidecar.core.events import Event, RequestRecord
from sidecar.core.token import FetchReason, Token, TokenRequest


class Clock(Protocol):
    """Time, which only ever moves forward."""

    def now(self) -> float:
        """Epoch seconds that never jump: wall time at start plus what has passed since."""

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

    async def read(self, *, newer_than: float) -> Credentials:
        """Return the credentials, read anew if those held were read at or before `newer_than`.

        Pass `-inf` for whatever is held. Raises TokenUnavailable when the source cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Reply:
    """A token endpoint's answer, not yet judged."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""
    """The Retry-After field as sent, "" when absent."""


class TokenEndpoint(Protocol):
    """One POST to an authorization server."""

    async def post(self, url: str, headers: Mapping[str, str], form: str) -> Reply:
        """Send the encoded form and return whatever is answered, redirects included.

        Raises TokenUnavailable when there is no answer within the limits.
        """


class TokenSource(Protocol):
    """Whatever gives tokens; a cache is a source that wraps a source."""

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Return a token whose fetch began after `newer_than`, got with credentials read after it too.

        Raises TokenUnavailable or TokenRefused.
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


class TokenStore(Protocol):
    """The second level, shared by the fleet. Never raises: while it is down it has and keeps nothing."""

    @property
    def reachable(self) -> bool:
        """Whether asking it makes sense now; while it does not, memory keeps tokens to their expiry."""

    async def get(self, request: TokenRequest) -> tuple[Token | None, int]:
        """Return the stored token, if any, and the key's generation, which every bust moves on."""

    async def fill(self, request: TokenRequest, token: Token, generation: int) -> bool:
        """Keep the token unless a bust came since `generation` was read; False tells that one came."""

    async def bust(self, request: TokenRequest, refused: Token) -> None:
        """In one atomic step: delete the token if it still is the refused one, and tell the other pods."""


@dataclass(frozen=True, slots=True)
class Bust:
    """This token is no good, in every pod."""

    key: str
    fingerprint: str


class BustBus(Protocol):
    """What the other pods' busts arrive on. A hint: the 401 is the truth."""

    def busts(self) -> AsyncIterator[Bust]:
        """Yield busts for ever, coming back by itself after every loss."""


class Journal(Protocol):
    """Where events and finished requests are told: logs and metrics. Never blocks, never raises."""

    def tell(self, event: Event) -> None:
        """Log the event and count it."""

    def request_finished(self, record: RequestRecord) -> None:
        """Write the access log line and record the metrics of one request. Hot path: ≤ 3 µs."""
