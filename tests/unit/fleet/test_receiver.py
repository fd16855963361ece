"""The receiver: the channel decides how a message is read, and its only effect is eviction."""

import json

import pytest

from sidecar.cache.refused_tokens import Bust
from sidecar.cache.revocations import Revocations
from sidecar.core.labels import parse_selector
from sidecar.fleet.answers import Dropped
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.messages import Revocation, encode
from sidecar.fleet.receiver import MessageReceiver, Owed
from sidecar.fleet.seal import NoSeal
from sidecar.fleet.settings import ForeignChannel
from sidecar.telemetry.fleet_events import BustApplied, BustHeard, BustRejected
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.recording_memory import RecordingMemory

PREFIX = "blue:"
CHANNEL = "blue:m2m:bust"
SURE = ClockOffset(0.0, 0.0, 0.0)
KEY = "tenant:acme:m2m:ledger:token:0f"


class Rig:
    """A hearing among fakes; messages go unsigned."""

    def __init__(self, revocations: Revocations | None = None) -> None:
        self.clock = FakeClock()
        self.journal = RecordingJournal()
        self.memory = RecordingMemory()
        self.revocations = Revocations() if revocations is None else revocations
        self.hearing = MessageReceiver(
            key_prefix=PREFIX,
            pod="self",
            store_ttl=300,
            listen=[
                ForeignChannel("mcpgw:auth:invalidate", "mcp-gateway"),
                ForeignChannel("tenant-events:prod:", "lerian"),
            ],
            seal=NoSeal(),
            evictions=self.memory,
            fills=self.memory,
            revocations=self.revocations,
            clock=self.clock,
            journal=self.journal,
        )

    @property
    def now(self) -> int:
        return round(self.clock.now() * 1000)

    def message(self, what: Bust | Revocation, sender: str = "other") -> bytes:
        return encode(what, channel=CHANNEL, sender=sender, at=self.now, sign=NoSeal().sign)

    def hear(self, channel: str, payload: bytes, offset: ClockOffset = SURE) -> list[Owed]:
        return list(self.hearing.hear(channel, payload, offset))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_it_listens_to_its_own_channels_and_to_those_it_was_told_of(rig: Rig) -> None:
    """No pattern: the names are whole, also one that ends in a colon."""
    assert set(rig.hearing.channels) == {
        "blue:m2m:bust",
        "blue:m2m:fill",
        "mcpgw:auth:invalidate",
        "tenant-events:prod:",
    }


def test_a_bust_evicts_its_token_and_is_told(rig: Rig) -> None:
    """With its sender; if nothing was in memory, only that it was received, and how late."""
    bust = Bust(KEY, "a1", 5)
    assert rig.hear(CHANNEL, rig.message(bust)) == []
    rig.memory.held_of_each = 0
    rig.hear(CHANNEL, rig.message(Bust(KEY, "a2", 6)))
    assert rig.memory.busts == [bust, Bust(KEY, "a2", 6)]
    assert rig.journal.named("bust_applied") == [BustApplied("token", "other", "a1", 1)]
    assert rig.journal.named("bust_heard") == [BustHeard("token", "other", 0)] * 2


def test_b41_ones_own_message_does_nothing(rig: Rig) -> None:
    """The pod that published has evicted before."""
    rig.hear(CHANNEL, rig.message(Bust(KEY, "a1", 5), sender="self"))
    rig.hear(CHANNEL, rig.message(Revocation(parse_selector({}), rig.now, "x"), sender="self"))
    assert (rig.memory.busts, rig.memory.selects, rig.journal.events) == ([], [], [])


def test_a_fill_wakes_who_waits_for_its_key(rig: Rig) -> None:
    """The key as the waiters know it, without the fleet's prefix."""
    rig.hear("blue:m2m:fill", f"blue:{KEY}".encode())
    rig.hear("blue:m2m:fill", b"blue:m2m:ledger:token:0f")
    assert rig.memory.keys == [KEY, "m2m:ledger:token:0f"]


@pytest.mark.parametrize(
    ("channel", "payload", "reason"),
    [
        ("", b"user:alice", "channel"),
        ("mcpgw:auth", b"user:alice", "channel"),
        ("tenant-events:staging:", b"{}", "channel"),
        ("m2m:bust", b"{}", "channel"),
        ("blue:m2m:fill", b"", "channel"),
        ("blue:m2m:fill", b"green:" + KEY.encode(), "channel"),
        ("blue:m2m:fill", b"\xff", "channel"),
        ("mcpgw:auth:invalidate", b"user:", "malformed"),
        ("tenant-events:prod:", b"user:alice", "malformed"),
        (CHANNEL, b"user:alice", "malformed"),
    ],
)
def test_b42_what_comes_on_the_wrong_channel_is_refused(
    rig: Rig, channel: str, payload: bytes, reason: str
) -> None:
    """One program's message on another's channel, or on an unknown one: counted, and nothing else."""
    rig.hear(channel, payload)
    assert rig.journal.events == [BustRejected(channel, reason, 1)]  # type: ignore[arg-type]
    assert (rig.memory.busts, rig.memory.selects, rig.memory.keys) == ([], [], [])
    assert len(rig.revocations) == 0


@pytest.mark.parametrize(
    "channel", ["", "blue:m2m:fill", "blue:m2m:bust ", "other:m2m:bust", "blue:m2m:busts"]
)
def test_b42_messages_count_only_on_their_own_channel(rig: Rig, channel: str) -> None:
    """A valid bust on another channel is refused; on its own it still counts after that."""
    bust = rig.message(Bust(KEY, "a1", 5))
    rig.hear(channel, bust)
    assert rig.journal.events == [BustRejected(channel, "channel", 1)]
    assert rig.memory.busts == []
    rig.hear(CHANNEL, bust)
    assert rig.memory.busts == [Bust(KEY, "a1", 5)]


def test_a_select_drops_what_is_held_and_keeps_out_what_was_fetched_before(rig: Rig) -> None:
    """Its moment comes from the store's clock, the latest it can have been here, but never later than now."""
    selector = parse_selector({"user": "alice"})
    earlier = rig.now - 2000
    rig.hear(CHANNEL, rig.message(Revocation(selector, earlier, "x1")), ClockOffset(10.0, 0.5, 0.0))
    at = rig.memory.selects[0][1]
    assert at == pytest.approx(earlier / 1000 - 10 + 0.5)
    assert rig.revocations.cover(selector, at)
    assert not rig.revocations.cover(selector, at + 0.001)
    rig.hear(CHANNEL, rig.message(Revocation(selector, rig.now, "x2")), ClockOffset(0.0, 0.5, 0.0))
    assert rig.memory.selects[1] == (selector, rig.clock.now())


def test_another_programs_message_revokes_as_of_now(rig: Rig) -> None:
    """It goes into the same memory as our own; what it dropped something of is to be written down."""
    alice = parse_selector({"user": "alice"})
    assert rig.hear("mcpgw:auth:invalidate", b"user:alice") == [alice]
    assert rig.memory.selects == [(alice, rig.clock.now())]
    assert rig.revocations.cover(alice, rig.clock.now())
    assert rig.journal.events == [BustApplied("select", "mcpgw:auth:invalidate", "", 1)]
    rig.memory.held_of_each = 0
    assert rig.hear("mcpgw:auth:invalidate", b"user:bob") == []
    assert rig.revocations.cover(parse_selector({"user": "bob"}), rig.clock.now())


def test_a_stored_revocation_comes_back_without_evicting_by_itself(rig: Rig) -> None:
    """Also one's own; what is no revocation is passed over."""
    selector = parse_selector({"user": "alice"})
    rig.hearing.recall(rig.message(Revocation(selector, rig.now - 999_000, "x1"), sender="self"), SURE)
    for payload in (b"", b"filler", rig.message(Bust(KEY, "a1", 5))):
        rig.hearing.recall(payload, SURE)
    assert rig.revocations.cover(selector, (rig.now - 999_000) / 1000)
    assert len(rig.revocations) == 1
    assert rig.memory.selects == []


def test_b46_after_a_gap_what_is_behind_is_dropped(rig: Rig) -> None:
    """Reported once, with the number of all that were dropped."""
    rig.hearing.drop_missed({"a": 1, "b": 2}, unknown_until=7.0)
    assert rig.journal.events == [BustApplied("gap", "", "", 3)]
    assert rig.revocations.cover(frozenset(), 7.0)
    assert not rig.revocations.cover(frozenset(), 7.1)


def test_what_is_still_to_come_is_never_taken_for_missed(rig: Rig) -> None:
    """However far ahead the moments in Redis are, a token fetched from now on counts."""
    rig.hearing.drop_missed({}, unknown_until=float("inf"))
    assert rig.revocations.cover(frozenset(), rig.clock.now())
    assert not rig.revocations.cover(frozenset(), rig.clock.now() + 0.001)


async def test_b45_revocations_are_forgotten_when_no_token_is_left_for_them(rig: Rig) -> None:
    """The store keeps a token five minutes, and a fetch takes far less than one more."""
    for name in ("alice", "bob"):
        rig.hear("mcpgw:auth:invalidate", f"user:{name}".encode())
    await rig.clock.advance(300)
    rig.hear("mcpgw:auth:invalidate", b"user:carol")
    assert len(rig.revocations) == 3
    await rig.clock.advance(61)
    rig.hear("mcpgw:auth:invalidate", b"user:dave")
    assert len(rig.revocations) == 2


def test_b45_every_way_to_revoke_is_bounded() -> None:
    """Ids by another program, by our own messages, from the set and by hand: one memory, whose bound holds."""
    rig = Rig(Revocations(limit=1_000))
    rig.memory.held_of_each = 0
    for number in range(300):
        rig.hear("mcpgw:auth:invalidate", b"revoke:a%d" % number)
        revocation = Revocation(parse_selector({"jti": f"b{number}"}), rig.now, f"b{number}")
        rig.hearing.recall(rig.message(revocation), SURE)
        rig.hear(
            CHANNEL, rig.message(Revocation(parse_selector({"jti": f"c{number}"}), rig.now, f"c{number}"))
        )
        rig.hearing.revoke(parse_selector({"jti": f"d{number}"}), rig.clock.now())
    assert len(rig.revocations) == 1_000
    assert json.loads(rig.message(Bust(KEY, "a1", 5)))["mac"] == ""


def test_o8_a_select_of_another_pod_is_answered_once(rig: Rig) -> None:
    """With its id and what it evicted here; not this pod's own, not a repeated one, and no bust of a token."""
    alice = rig.message(Revocation(parse_selector({"user": "alice"}), rig.now, "x1"))
    assert rig.hear(CHANNEL, alice) == [Dropped("x1", 1)]
    assert rig.hear(CHANNEL, alice) == []
    assert rig.hear(CHANNEL, rig.message(Revocation(parse_selector({}), rig.now, "x2"), sender="self")) == []
    assert rig.hear(CHANNEL, rig.message(Bust(KEY, "a1", 5))) == []
    assert rig.hear("blue:m2m:fill", f"blue:{KEY}".encode()) == []
