"""A pod's way to the fleet's token store on a real Redis, and its events."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from sidecar.cache.lease import Claim, Lease
from sidecar.core.ports import Randomness
from sidecar.core.secret import Secret
from sidecar.fleet.redis.connect import connect
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.sealed_values import SealedValues
from sidecar.fleet.redis.token_store import RedisTokenStore
from sidecar.fleet.seal import AesSeal
from sidecar.fleet.settings import RedisSettings
from sidecar.oauth.token import Token, TokenRequest, bearer
from sidecar.system.clock import SystemClock, SystemRandomness
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE, until

REQUEST = TokenRequest("api", "https://auth.test/token", "app", "ledger", tenant="acme")
CANARY = "canary-token"


class StorePod:
    """A store with all it needs, and its events."""

    def __init__(
        self,
        settings: RedisSettings,
        *,
        store_ttl: float = 300.0,
        key: bytes = bytes(32),
        randomness: Randomness | None = None,
    ) -> None:
        self.clock = SystemClock()
        randomness = randomness or SystemRandomness()
        self.journal = RecordingJournal()
        self.link = GuardedClient(
            partial(connect, settings, timeout=2 * PATIENCE),
            key_prefix=settings.key_prefix,
            operation_timeout=settings.operation_timeout,
            clock=self.clock,
            randomness=randomness,
            journal=self.journal,
        )
        self.shelf = SealedValues(
            self.link,
            seal=AesSeal([("k1", key)], randomness),
            clock=self.clock,
            key_prefix=settings.key_prefix,
            store_ttl=store_ttl,
            pod="pod",
        )
        self.store = RedisTokenStore(self.shelf)

    async def claim(self, request: TokenRequest = REQUEST) -> Claim:
        return await self.store.claim(request, "me", "")

    async def claims_in_vain(self, times: int) -> list[float]:
        """Seconds it took each time; redis-py itself would wait for longer than the test."""
        seconds = []
        for _ in range(times):
            began = time.monotonic()
            async with asyncio.timeout(PATIENCE):
                assert await self.claim() == Claim()
            seconds.append(time.monotonic() - began)
        return seconds

    def asked(self, outcome: str) -> int:
        """How many claims had that outcome: ok, failed or skipped."""
        return self.link.operations["claim", outcome]

    def token(self, life: float = 3600.0) -> Token:
        return bearer(Secret(CANARY, "f1f1"), fetch_began=self.clock.now(), life=life, leeway=60)

    async def put(self, life: float = 3600.0) -> None:
        claim = await self.claim()
        assert claim.lease is Lease.OURS
        assert await self.store.fill(REQUEST, replace(self.token(life), generation=claim.generation), "me")

    async def holds(self) -> bool:
        token = (await self.claim()).token
        return token is not None and token.secret.reveal() == CANARY

    async def comes_to_hold(self) -> None:
        """Store the token where it is not yet, as often as a server without a processor takes to answer in time."""

        async def stored() -> bool:
            claim = await self.claim()
            if claim.lease is Lease.OURS:
                await self.store.fill(REQUEST, replace(self.token(), generation=claim.generation), "me")
            return await self.holds()

        await until(stored)

    async def comes_up(self) -> None:
        await until(lambda: self.store.reachable)

    def told(self) -> list[str]:
        return [event.name for event in self.journal.events]


@asynccontextmanager
async def pod(settings: RedisSettings, **changes: object) -> AsyncIterator[StorePod]:
    running = StorePod(settings, **changes)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        await running.link.close()
