"""A token cache among fakes: a source that plays a script, a store that may be shared, a clock the test moves."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from sidecar.cache.leased_source import LeasedSource
from sidecar.cache.revocations import Revocations
from sidecar.cache.tokens import TokenCache
from sidecar.core.labels import Labels
from sidecar.core.secret import Secret
from sidecar.fleet.standalone import NoFleet
from sidecar.oauth.token import FetchReason, Token, TokenRequest, bearer
from sidecar.telemetry.events import Event
from tests.support.clock import FakeClock
from tests.support.fleet_fakes import FakeServer, FakeStore
from tests.support.journal import RecordingJournal
from tests.support.randomness import FixedRandomness

E = TypeVar("E", bound=Event)
LEDGER = TokenRequest(
    name="ledger",
    token_endpoint="https://auth.test/token",
    credentials="ledger-client",
    service="ledger-client",
)
PAYMENTS = TokenRequest(
    name="payments", token_endpoint="https://auth.test/token", credentials="payments", service="payments"
)


class ScriptedSource:
    """Gives t1, t2 … (`name`, or `always`), after `delay`, held up while `open` is cleared, failing with `error`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._count = count(1)
        self.calls: list[tuple[str, float, FetchReason]] = []
        self.delay = 0.0
        self.life = 300.0
        self.always = ""
        self.name = "t"
        self.labels: Labels = frozenset()
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        began = self._clock.now()
        value = self.always or f"{self.name}{next(self._count)}"
        self.calls.append((request.name, newer_than, reason))
        await self.open.wait()
        if self.delay:
            await self._clock.sleep(self.delay)
        if self.error is not None:
            raise self.error
        secret = Secret(value, f"fp-{value}")
        return bearer(secret, fetch_began=began, life=self.life, leeway=60.0, labels=self.labels)

    @property
    def asked(self) -> int:
        return len(self.calls)


class Rig:
    """A cache among fakes."""

    def __init__(
        self, make: Callable[[FakeClock], FakeStore] | None = None, *, max_entries: int = 100
    ) -> None:
        """`make` the store; without one the cache has no fleet."""
        self.clock = FakeClock()
        self.source = ScriptedSource(self.clock)
        self.journal = RecordingJournal()
        self.revocations = Revocations()
        randomness = FixedRandomness()
        store = make(self.clock) if make is not None else None
        self.store = store or FakeStore(self.clock)
        self.shared = LeasedSource(
            source=self.source,
            store=self.store,
            revocations=self.revocations,
            clock=self.clock,
            randomness=randomness,
            spare=self._spare,
        )
        self.cache = TokenCache(
            source=self.shared if store else self.source,
            fleet=store or NoFleet(),
            revocations=self.revocations,
            clock=self.clock,
            randomness=randomness,
            journal=self.journal,
            max_entries=max_entries,
        )

    def _spare(self, request: TokenRequest) -> Token | None:
        return self.cache.spare(request)

    @property
    def server(self) -> FakeServer:
        return self.store.server

    def peek(self, request: TokenRequest = LEDGER) -> str | None:
        token = self.cache.peek(request, self.clock.now())
        return token.secret.reveal() if token else None

    async def token(self, request: TokenRequest = LEDGER) -> str:
        return (await self.cache.token(request)).secret.reveal()

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.journal.events if isinstance(event, kind)]

    async def renew(self, refused: Token, sent_at: float) -> str:
        return (await self.cache.renew(LEDGER, refused, sent_at)).secret.reveal()

    async def refusal(self, refused: Token) -> str:
        """A request sent just now is refused a moment later."""
        sent_at = self.clock.now()
        await self.clock.advance(0.01)
        return await self.renew(refused, sent_at)
