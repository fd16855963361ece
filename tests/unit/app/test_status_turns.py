"""Long answers of the status yield to requests."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.app.status import Status
from sidecar.cache.tokens import TokenCache
from sidecar.config.load import load
from tests.support.token_cache_rig import LEDGER, Rig

TENANTS = 5000


@pytest.fixture
async def full() -> TokenCache:
    """A cache with the tokens of many tenants."""
    rig = Rig(max_entries=TENANTS)
    for number in range(TENANTS):
        await rig.token(replace(LEDGER, tenant=f"tenant-{number}"))
    return rig.cache


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


async def test_why_no_token_is_found_is_found_out_in_turns(full: TokenCache, tmp_path: Path) -> None:
    """Not with the status of every token in one turn."""
    file = tmp_path / "config.yaml"
    file.write_text("routes: [{name: ledger, upstream: 'https://ledger.test'}]")
    config = load(str(file), {})
    rig, longest = Rig(), Longest()
    watching = asyncio.create_task(longest.run())
    await asyncio.sleep(0)
    reason = await Status(rig.clock).not_found(config, full, frozenset({("service", "other")}))
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    began = time.thread_time()
    assert len(list(full.status(rig.clock.now()))) == TENANTS
    assert (
        reason
        == "this pod cannot have a token with service=other: this pod's configuration requests no tokens"
    )
    assert longest.seconds < (time.thread_time() - began) / 2
