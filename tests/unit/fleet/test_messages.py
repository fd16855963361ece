"""The fleet's messages: what is written can be read, and nothing else counts."""

import hashlib
import hmac
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.cache.refused_tokens import Bust
from sidecar.core.labels import LABELS, parse_selector
from sidecar.fleet.messages import MAX_SIZE, WINDOW, Inbox, ReceivedMessage, Revocation, encode
from sidecar.telemetry.words import Rejection

CHANNEL = "m2m:bust"
NOW = 1_800_000_000_000
KEY = "tenant:acme:m2m:ledger:token:0f"
BUST = Bust(KEY, "a1b2c3d4e5f6", NOW)
SELECT = Revocation(parse_selector({"user": "alice:ä"}), NOW, "s1")


def sign(message: bytes) -> bytes:
    return hmac.new(b"key", message, hashlib.sha256).hexdigest().encode()


def verify(message: bytes, mac: bytes) -> bool:
    return hmac.compare_digest(sign(message), mac)


def written(what: Bust | Revocation, sender: str = "other", channel: str = CHANNEL) -> bytes:
    return encode(what, channel=channel, sender=sender, at=NOW, sign=sign)


def altered(what: Bust | Revocation = BUST, /, **members: object) -> bytes:
    """The message with other members, with a new MAC over them: what a holder of the key could send."""
    document = {**json.loads(written(what)), **members}
    del document["mac"]
    return signed(json.dumps(document).encode())


def signed(text: bytes) -> bytes:
    """The message with a good MAC, whatever it says."""
    return b'%b,"mac":"%b"}' % (text[:-1], sign(b"m2m:bust\n" + text))


def judged(inbox: Inbox, payload: bytes, now: int) -> ReceivedMessage | Rejection | None:
    """What becomes of a message at that time; None for one's own."""
    message = inbox.read(payload)
    if not isinstance(message, ReceivedMessage):
        return message
    return None if inbox.is_own(message) else inbox.judge(message, now) or message


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(channel=CHANNEL, own="self", verify=verify)


@pytest.mark.parametrize("what", [BUST, SELECT, Bust("m2m:ledger:credentials", "", 1)])
def test_what_a_pod_writes_another_one_reads(inbox: Inbox, what: Bust | Revocation) -> None:
    """Busts of tokens and credentials, and selects, keep all they say."""
    assert judged(inbox, written(what), NOW) == ReceivedMessage(what, "other", NOW)


def test_the_message_has_the_members_other_programs_rely_on() -> None:
    """The contract, byte by byte."""
    said = b'{"v":1,"kind":"token","key":"%s","fp":"a1b2c3d4e5f6","gen":%d,"from":"other","at":%d}'
    assert written(BUST) == signed(said % (KEY.encode(), NOW, NOW))


def test_altered_in_nothing_it_counts() -> None:
    """The tool of the tests below makes messages that are taken."""
    assert judged(Inbox(channel=CHANNEL, own="self", verify=verify), altered(), NOW) == ReceivedMessage(
        BUST, "other", NOW
    )


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"v": 2}, "unknown"),
        ({"v": "1"}, "unknown"),
        ({"kind": "rumour"}, "unknown"),
        ({"kind": ""}, "unknown"),
        ({"kind": "credentials"}, "malformed"),
        ({"kind": "select"}, "malformed"),
        ({"key": ""}, "malformed"),
        ({"key": "a b"}, "malformed"),
        ({"key": "x" * 513}, "malformed"),
        ({"key": "\ud800"}, "malformed"),
        ({"key": None}, "malformed"),
        ({"fp": "not hexadecimal"}, "malformed"),
        ({"fp": 7}, "malformed"),
        ({"gen": "1"}, "malformed"),
        ({"gen": -1}, "malformed"),
        ({"gen": 2**53}, "malformed"),
        ({"gen": True}, "malformed"),
        ({"gen": 1.5}, "malformed"),
        ({"at": None}, "malformed"),
        ({"from": ""}, "malformed"),
        ({"from": "a:b"}, "malformed"),
    ],
)
def test_b44_a_signed_bust_with_an_odd_member_is_refused(
    inbox: Inbox, members: dict[str, object], reason: str
) -> None:
    """Even one that the key's holder made does no harm."""
    assert judged(inbox, altered(**members), NOW) == reason


@pytest.mark.parametrize(
    "members",
    [
        {"labels": None},
        {"labels": []},
        {"labels": {"user": ""}},
        {"labels": {"user": "x" * 257}},
        {"labels": {"colour": "red"}},
        {"labels": {"user": ["alice"]}},
        {"id": ""},
        {"id": "a b"},
        {"id": 7},
    ],
)
def test_b44_a_signed_select_with_an_odd_member_is_refused(inbox: Inbox, members: dict[str, object]) -> None:
    """An unknown label above all must not be taken for no label, which means every token."""
    assert judged(inbox, altered(SELECT, **members), NOW) == "malformed"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "malformed"),
        (b"null", "malformed"),
        (b"[]", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"user:alice", "malformed"),
        (b"{" * MAX_SIZE, "malformed"),
        (b"[" * MAX_SIZE, "malformed"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "unsigned"),
        (b'{"v":' + b"9" * 5000 + b"}", "unsigned"),
        (b'{"v":NaN}', "unsigned"),
        (b'{"v":1,"mac":null}', "unsigned"),
        (b'{"v":1,"mac":["x"]}', "forged"),
        (b'{"v":1,"mac":"\\ud800"}', "forged"),
        (b"x" * (MAX_SIZE + 1), "too_large"),
        (b" " * 2**20, "too_large"),
    ],
)
def test_b44_hostile_payloads_are_refused(inbox: Inbox, payload: bytes, reason: str) -> None:
    """Rubbish of every kind has its reason and raises nothing."""
    assert judged(inbox, payload, NOW) == reason


@pytest.mark.parametrize(
    "text",
    [b"[]", b"null", b"7", b"{}}", b"{} ", b" {}", b"\xff", b'{"a":' * 900 + b"1" + b"}" * 900],
)
def test_b44_signed_rubbish_is_refused(inbox: Inbox, text: bytes) -> None:
    """What holds the key and says nothing is malformed or unknown, and raises nothing."""
    assert judged(inbox, signed(text), NOW) in ("malformed", "unknown")


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode)
)
@example(b"{}")
def test_b44_no_payload_raises(payload: bytes) -> None:
    """Fuzzed bytes are refused, whatever they are."""
    assert isinstance(judged(Inbox(channel=CHANNEL, own="self", verify=verify), payload, NOW), str)


@given(
    st.dictionaries(
        st.sampled_from(["v", "kind", "key", "fp", "gen", "from", "at", "labels", "id"]),
        st.text() | st.integers() | st.none() | st.dictionaries(st.text(), st.text()),
    )
)
def test_b44_no_signed_members_raise(members: dict[str, object]) -> None:
    """Fuzzed members under a good MAC are refused or taken, and never more."""
    inbox = Inbox(channel=CHANNEL, own="self", verify=verify)
    judged(inbox, altered(**members), NOW)
    judged(inbox, altered(SELECT, **members), NOW)


def test_b42_a_message_of_another_fleet_does_not_count(inbox: Inbox) -> None:
    """The MAC is over the channel too: copied here from a fleet with the same key it is a forgery."""
    assert judged(inbox, written(BUST, channel="blue:m2m:bust"), NOW) == "forged"


def test_b43_altered_and_forged_messages_are_refused(inbox: Inbox) -> None:
    """Every member is under the MAC, also one that is added."""
    document = json.loads(written(BUST))
    for name in document:
        changed = {**document, name: "00" if isinstance(document[name], str) else document[name] + 1}
        assert judged(inbox, json.dumps(changed).encode(), NOW) == "forged"
    assert judged(inbox, json.dumps({**document, "extra": 1}).encode(), NOW) == "forged"
    del document["mac"]
    assert judged(inbox, json.dumps(document).encode(), NOW) == "unsigned"


def test_b43_a_mac_counts_only_as_the_last_member(inbox: Inbox) -> None:
    """A good one elsewhere makes a forgery, and nothing may follow it."""
    said, mac = json.loads(written(BUST)), {"mac": json.loads(written(BUST))["mac"]}
    for document in ({**mac, **said}, {**said, "extra": 1}):
        assert judged(inbox, json.dumps(document, separators=(",", ":")).encode(), NOW) == "forged"
    assert judged(inbox, written(BUST) + b" ", NOW) == "malformed"
    assert judged(inbox, written(BUST), NOW) == ReceivedMessage(BUST, "other", NOW)


def test_where_nobody_signs_a_message_may_go_without_a_mac() -> None:
    """Its member may be empty, or not be there."""
    inbox = Inbox(channel=CHANNEL, own="self", verify=lambda _, mac: not mac)
    plain = encode(BUST, channel=CHANNEL, sender="other", at=NOW, sign=lambda _: b"")
    assert judged(inbox, plain, NOW) == ReceivedMessage(BUST, "other", NOW)
    again = Bust(KEY, "a1b2c3d4e5f6", NOW + 1)
    without = {**json.loads(plain), "gen": NOW + 1}
    del without["mac"]
    assert judged(inbox, json.dumps(without).encode(), NOW) == ReceivedMessage(again, "other", NOW)


def test_b43_old_and_replayed_busts_are_refused(inbox: Inbox) -> None:
    """A bust of a generation already received is a replay, one of an earlier generation old."""
    assert isinstance(judged(inbox, written(BUST), NOW), ReceivedMessage)
    assert judged(inbox, written(BUST), NOW) == "replayed"
    assert judged(inbox, written(Bust(KEY, "00", NOW - 1)), NOW) == "old"
    assert isinstance(judged(inbox, written(Bust(KEY, "00", NOW + 1)), NOW), ReceivedMessage)
    assert isinstance(judged(inbox, written(Bust("m2m:other:token:0f", "00", 1)), NOW), ReceivedMessage)


@pytest.mark.parametrize(
    ("later", "expected"),
    [(-WINDOW - 1, "old"), (-WINDOW, None), (0, None), (WINDOW, None), (WINDOW + 1, "old")],
)
def test_b43_a_select_is_good_for_five_minutes(inbox: Inbox, later: int, expected: str | None) -> None:
    """Either way, for clocks differ."""
    heard = judged(inbox, written(SELECT), NOW + later)
    assert heard == (expected or ReceivedMessage(SELECT, "other", NOW))


def test_b43_a_select_is_taken_once(inbox: Inbox) -> None:
    """Known by its id; another one with the same labels counts."""
    assert isinstance(judged(inbox, written(SELECT), NOW), ReceivedMessage)
    assert judged(inbox, written(SELECT), NOW + 1) == "replayed"
    again = Revocation(SELECT.selector, NOW + 1, "s2")
    assert judged(inbox, written(again), NOW + 1) == ReceivedMessage(again, "other", NOW + 1)


@pytest.mark.parametrize("what", [BUST, SELECT])
def test_b41_own_messages_say_nothing_new(inbox: Inbox, what: Bust | Revocation) -> None:
    """They are neither taken nor refused, and another pod's of the same kind is still news."""
    assert judged(inbox, written(what, sender="self"), NOW) is None
    assert isinstance(judged(inbox, written(what), NOW), ReceivedMessage)


def test_a_stored_select_is_read_at_any_time(inbox: Inbox) -> None:
    """One's own too, as often as one comes back; but only signed ones, and only selects."""
    for sender in ("self", "other"):
        assert inbox.recall(written(SELECT, sender=sender)) == SELECT
    assert inbox.recall(written(BUST)) is None
    assert inbox.recall(written(SELECT, channel="elsewhere")) is None


def test_b45_what_an_inbox_remembers_is_bounded(inbox: Inbox) -> None:
    """After 10,500 selects and as many keys, the last ones are still known."""
    for number in range(10_500):
        judged(inbox, written(Revocation(SELECT.selector, NOW, f"s{number}")), NOW)
        judged(inbox, written(Bust(f"m2m:x:token:{number}", "00", NOW)), NOW)
    assert len(inbox) <= 20_000
    assert judged(inbox, written(Revocation(SELECT.selector, NOW, "s10499")), NOW) == "replayed"


def test_our_largest_message_is_within_the_limit() -> None:
    """All labels at their longest, of characters that JSON writes in twelve bytes."""
    selector = parse_selector(dict.fromkeys(LABELS, "\U00020000" * 256))
    assert len(written(Revocation(selector, NOW, "x" * 64))) < MAX_SIZE
