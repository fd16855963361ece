"""Invalid messages from any client: each is counted, few lines are logged, and none costs much."""

import asyncio
import json
import time
from random import Random

import pytest

from sidecar.cache.refused_tokens import Bust
from sidecar.cache.revocations import Revocations
from sidecar.core.rate_limit import EVERY
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.messages import MAX_SIZE, encode
from sidecar.fleet.receiver import MessageReceiver
from sidecar.fleet.rejections import Rejections
from sidecar.fleet.seal import AesSeal
from sidecar.telemetry.fleet_events import BustRejected
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.randomness import FixedRandomness
from tests.support.recording_memory import RecordingMemory

CHANNEL = "m2m:bust"
KEY = "tenant:acme:m2m:ledger:token:0f"
FORGED = 20_000
CPU = 0.12
"""Seconds of CPU that so many may take, or a few times what their signatures alone take here, where that is more."""
SURE = ClockOffset(0.0, 0.0, 0.0)


class Rig:
    """A receiver with real keys and a clock of its own."""

    def __init__(self, keys: int = 1) -> None:
        self.clock = FakeClock()
        self.journal = RecordingJournal()
        self.memory = RecordingMemory()
        self.seal = AesSeal([(f"k{n}", bytes([n] * 32)) for n in range(keys)], FixedRandomness())
        self.receiver = MessageReceiver(
            key_prefix="",
            pod="self",
            store_ttl=300,
            listen=(),
            seal=self.seal,
            evictions=self.memory,
            fills=self.memory,
            revocations=Revocations(),
            clock=self.clock,
            journal=self.journal,
        )

    def message(self, generation: int, channel: str = CHANNEL) -> bytes:
        """A good one; on another channel it is signed for there."""
        at = round(self.clock.now() * 1000)
        return encode(Bust(KEY, "a1", generation), channel=channel, sender="x", at=at, sign=self.seal.sign)


def limit(rig: Rig) -> float:
    before = time.thread_time()
    for _ in range(FORGED // 10):
        rig.seal.verify(b"x" * 200, b"0" * 64)
    return max(CPU, 8 * 10 * (time.thread_time() - before))


def forged(count: int) -> list[bytes]:
    """Messages as a client without the key would write them, with a MAC each that looks like one."""
    random = Random(7)
    members = {"v": 1, "kind": "token", "key": KEY, "fp": "a1b2c3d4e5f6", "from": "0123456789abcdef"}
    return [
        json.dumps(
            {**members, "gen": n, "at": n, "mac": random.randbytes(32).hex()}, separators=(",", ":")
        ).encode()
        for n in range(count)
    ]


@pytest.mark.parametrize("keys", [1, 2])
async def test_s11_a_flood_of_forged_messages_costs_little_and_logs_two_lines(keys: int) -> None:
    """20,000 of them: all counted, none obeyed, an event for the first and one a minute later for the rest."""
    rig, messages = Rig(keys), forged(FORGED)
    before = time.thread_time()
    for message in messages:
        rig.receiver.hear(CHANNEL, message, SURE)
    took = time.thread_time() - before
    assert rig.receiver.rejections.counts == {"forged": FORGED}
    assert rig.memory.busts == []
    assert rig.journal.events == [BustRejected(CHANNEL, "forged", 1)]
    await rig.clock.advance(EVERY)
    rig.receiver.hear(CHANNEL, messages[0], SURE)
    assert rig.journal.events[1:] == [BustRejected(CHANNEL, "forged", FORGED)]
    assert took <= limit(rig), f"{took:.2f} s"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"x" * (MAX_SIZE + 1), "too_large"),
        (b"x" * MAX_SIZE, "malformed"),
        (b'{"v":1,"mac":"00"}', "forged"),
        (b'{"v":1,"mac":"' + b"0" * 1000 + b'"}', "forged"),
        (b'{"v":1}', "unsigned"),
        (b'{"v":[' + b"0," * 10_000 + b"0]}", "unsigned"),
        (b'{"v":1' + b"0" * 1000 + b',"mac": "0"}', "forged"),
        (b"not even JSON" * 20 + b',"mac":"' + b"0" * 64 + b'"}', "malformed"),
    ],
    ids=[
        "too-large",
        "rubbish",
        "short-mac",
        "long-mac",
        "unsigned",
        "long-unsigned",
        "long-forged",
        "rubbish-with-a-mac",
    ],
)
async def test_s11_floods_of_other_kinds_cost_no_more(payload: bytes, reason: str) -> None:
    """Whatever can be seen without a key is looked at first."""
    rig = Rig()
    before = time.thread_time()
    for _ in range(FORGED):
        rig.receiver.hear(CHANNEL, payload, SURE)
    assert time.thread_time() - before <= limit(rig)
    assert rig.receiver.rejections.counts == {reason: FORGED}
    assert len(rig.journal.events) == 1


async def test_s11_a_good_message_counts_in_the_middle_of_a_flood() -> None:
    """Nothing is dropped to save time."""
    rig = Rig()
    for number, message in enumerate(forged(1000)):
        rig.receiver.hear(CHANNEL, message, SURE)
        if number == 500:
            rig.receiver.hear(CHANNEL, rig.message(1), SURE)
    assert rig.memory.busts == [Bust(KEY, "a1", 1)]


async def test_s11_messages_of_several_kinds_make_one_line() -> None:
    """It has how many there were, and of what kind most were; counts are by kind."""
    clock, journal = FakeClock(), RecordingJournal()
    rejections = Rejections(clock, journal)
    for reason, count in (("old", 1), ("forged", 3), ("replayed", 2), ("channel", 1)):
        for _ in range(count):
            rejections.add(CHANNEL, reason)  # type: ignore[arg-type]
    await clock.advance(EVERY)
    rejections.tell()
    assert journal.events == [BustRejected(CHANNEL, "old", 1), BustRejected(CHANNEL, "forged", 6)]
    assert rejections.counts == {"old": 1, "forged": 3, "replayed": 2, "channel": 1}


async def test_s11_the_number_is_told_although_no_message_follows() -> None:
    """A minute after the first; then nothing until there is another message, which is reported at once."""
    clock, journal = FakeClock(), RecordingJournal()
    rejections = Rejections(clock, journal)
    running = asyncio.create_task(rejections.run())
    try:
        await clock.advance(30)
        for _ in range(3):
            rejections.add(CHANNEL, "forged")
        await clock.advance(EVERY - 1)
        assert [event.count for event in told(journal)] == [1]
        await clock.advance(2)
        assert [event.count for event in told(journal)] == [1, 2]
        await clock.advance(10 * EVERY)
        assert [event.count for event in told(journal)] == [1, 2]
        rejections.add(CHANNEL, "forged")
        assert [event.count for event in told(journal)] == [1, 2, 1]
    finally:
        running.cancel()


def told(journal: RecordingJournal) -> list[BustRejected]:
    return [event for event in journal.events if isinstance(event, BustRejected)]
