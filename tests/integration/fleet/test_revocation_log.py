"""The sorted set of revocations in Redis: what is kept, for which pods, and how it shows what is missing."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from sidecar.fleet.redis.connect import connect
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.revocation_log import PAGE, RevocationLog
from sidecar.system.clock import SystemClock, SystemRandomness
from tests.support.journal import RecordingJournal
from tests.support.redis_server import RedisServer
from tests.support.waiting import AT_LEISURE, PATIENCE


class Rig:
    """One pod's way to the set, and one to look in from outside."""

    def __init__(self, server: RedisServer) -> None:
        self.prefix = f"{uuid4().hex[:8]}:"
        self.key = f"{self.prefix}m2m:revoked"
        self.clock = SystemClock()
        self.journal = RecordingJournal()
        self.link = GuardedClient(
            lambda: connect(server.settings(""), timeout=AT_LEISURE),
            key_prefix=self.prefix,
            operation_timeout=AT_LEISURE,
            clock=self.clock,
            randomness=SystemRandomness(),
            journal=self.journal,
        )
        self.client = Redis(port=server.port)

    def revoked(self, *, life: float = 3600, most: int = 100_000) -> RevocationLog:
        return RevocationLog(self.link, key_prefix=self.prefix, clock=self.clock, life=life, most=most)

    def ago(self, seconds: float) -> int:
        """A moment there in milliseconds."""
        return int((self.clock.now() - seconds) * 1000)

    async def loaded(self, revoked: RevocationLog, seconds: float = 600) -> tuple[set[bytes], int]:
        """What a pod that was away so long is handed, and how many seconds ago completeness begins."""
        found: list[bytes] = []
        complete_since = await revoked.load(self.clock.now() - seconds, found.append)
        assert complete_since is not None
        assert len(found) == len(set(found))
        return set(found), round(self.clock.now() - complete_since)


@pytest.fixture
async def rig(each_redis: RedisServer) -> AsyncIterator[Rig]:
    rig = Rig(each_redis)
    yield rig
    await rig.link.close()
    await rig.client.aclose()
    assert each_redis.denied() == []


async def test_what_was_added_is_handed_over(rig: Rig) -> None:
    """As far back as asked for and a little more; an empty set is complete for as long as things are kept."""
    revoked = rig.revoked()
    assert await rig.loaded(revoked) == (set(), 3600)
    await revoked.add(b"old", rig.ago(300))
    await revoked.add(b"new", rig.ago(1))
    assert await rig.loaded(revoked, 600) == ({b"old", b"new"}, 3600)
    assert (await rig.loaded(revoked, 60))[0] == {b"new"}


async def test_whatever_their_number_all_are_handed_over(rig: Rig) -> None:
    """Page after page, also of moments that are all the same."""
    at = rig.ago(10)
    members = {f"m{number}".encode(): at for number in range(2 * PAGE + 1)}
    await rig.client.zadd(rig.key, members)
    assert (await rig.loaded(rig.revoked()))[0] == members.keys()


async def test_b45_only_so_many_are_kept_and_the_first_is_the_limit_of_what_is_known(rig: Rig) -> None:
    """The oldest is evicted; a pod that was disconnected since before the oldest one left gets that result."""
    revoked = rig.revoked(most=3)
    for number in range(5):
        await revoked.add(b"%d" % number, rig.ago(100 - 10 * number))
    assert await rig.loaded(revoked) == ({b"2", b"3", b"4"}, 80)


async def test_b45_the_old_ones_expire(rig: Rig) -> None:
    """With the next one that is added, or all together."""
    revoked = rig.revoked(life=60)
    await revoked.add(b"old", rig.ago(61))
    await revoked.add(b"new", rig.ago(0))
    assert await rig.client.zrange(rig.key, 0, -1) == [b"new"]
    assert 59_000 < await rig.client.pttl(rig.key) <= 60_000
    assert (await rig.loaded(revoked))[1] == 60


async def test_publishing_adds_too(rig: Rig) -> None:
    """And returns the number of subscribers; adding without publishing reaches none."""
    async with rig.client.pubsub() as pubsub:
        await pubsub.subscribe(f"{rig.prefix}m2m:bust")
        await pubsub.get_message(timeout=PATIENCE)
        await rig.revoked().add(b"one", rig.ago(0))
        assert await rig.revoked().publish(b"two", rig.ago(0), f"{rig.prefix}m2m:bust") == (1, None)
        message = await pubsub.get_message(timeout=PATIENCE)
        assert message is not None
        assert message["data"] == b"two"


async def test_b50_a_foreign_value_in_its_place_is_no_obstacle(rig: Rig) -> None:
    """It reads as empty, is replaced, and never counts against Redis."""
    await rig.client.set(rig.key, "not a set")
    assert (await rig.loaded(rig.revoked()))[0] == set()
    await rig.revoked().add(b"one", rig.ago(0))
    assert (await rig.loaded(rig.revoked()))[0] == {b"one"}
    assert not any(outcome == "failed" for _, outcome in rig.link.operations)
