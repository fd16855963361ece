"""Long answers about tokens yield to requests."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.admin.ports import Readiness
from sidecar.app.credentials import CredentialSources
from sidecar.app.gauges import Gauges
from sidecar.app.status import Parts, Status
from sidecar.app.token_fetching import TokenFetching
from sidecar.cache.tokens import TokenCache
from sidecar.config.load import load
from sidecar.config.settings import Config
from sidecar.fleet.membership import membership
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.server import ClientConnection
from sidecar.http1.shared.listener import Listener
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.randomness import FixedRandomness
from tests.support.token_cache_rig import LEDGER, Rig

TENANTS = 5000


@pytest.fixture
async def full() -> TokenCache:
    """A cache with the tokens of many tenants."""
    rig = Rig(max_entries=TENANTS)
    for number in range(TENANTS):
        await rig.token(replace(LEDGER, tenant=f"tenant-{number}"))
    return rig.cache


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """One route without a token."""
    file = tmp_path / "config.yaml"
    file.write_text("routes: [{name: ledger, upstream: 'https://ledger.test'}]")
    return load(str(file), {})


class Longest:
    """The most CPU time that passes between two turns of the event loop."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def run(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.seconds, before = max(self.seconds, now - before), now


@asynccontextmanager
async def watching() -> AsyncIterator[Longest]:
    """Measure while the block runs."""
    longest = Longest()
    task = asyncio.create_task(longest.run())
    await asyncio.sleep(0)
    try:
        yield longest
        await asyncio.sleep(0)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def in_one_go(cache: TokenCache) -> float:
    """Return the CPU time that the status of every token takes, in the same run."""
    began = time.thread_time()
    assert len(list(cache.status(FakeClock().now()))) == TENANTS
    return time.thread_time() - began


async def test_why_no_token_is_found_is_found_out_in_turns(full: TokenCache, config: Config) -> None:
    """Not with the status of every token in one turn."""
    async with watching() as longest:
        reason = await Status(FakeClock()).not_found(config, full, frozenset({("service", "other")}))
    assert longest.seconds < in_one_go(full) / 2
    assert reason.endswith("with service=other: this pod's configuration requests no tokens")


async def test_gauges_of_tokens_are_read_in_turns(full: TokenCache, config: Config) -> None:
    """At each scrape."""
    clock, journal = FakeClock(), RecordingJournal()
    settings = (config.redis, config.busts, config.cache)
    member = membership(*settings, clock=clock, randomness=FixedRandomness(), journal=journal)
    sources = CredentialSources(member.credentials, member.credential_store, clock=clock, journal=journal)
    fetching = TokenFetching(sources, clock, FixedRandomness(), journal, fingerprint_key=b"")
    parts = Parts(config, full, fetching, member, {}, {}, Readiness(ok=True))

    async def refuse(_: ClientConnection) -> None:
        raise AssertionError

    listener = Listener(refuse, Deadlines(clock), ServerLimits())
    async with watching() as longest:
        readings = await Gauges(clock, Status(clock)).read(parts, [listener], lines_dropped=0)
    assert longest.seconds < in_one_go(full) / 2
    assert len(readings.token_expires_in) == TENANTS
