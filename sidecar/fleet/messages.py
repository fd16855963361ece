"""What pods tell each other: JSON, signed, on one channel; and which of it counts.

    {"v":1,"kind":"token","key":…,"fp":…,"gen":…,"from":…,"at":…,"mac":…}      `credentials` alike
    {"v":1,"kind":"select","labels":{"user":"alice"},"id":…,"from":…,"at":…,"mac":…}

`from` is the pod, `at` milliseconds of the store's clock. `mac`, the last member, signs the channel, a line end and
the message as it would be without it, byte for byte: no message can be altered, or carried over from another
fleet's channel, and none is taken apart before it is known whose it is. An old one that somebody kept does no harm
when it is published again: a bust's generation is past by then, and a select is good for five minutes, once.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sidecar.cache.refused_tokens import Bust
from sidecar.core.labels import Labels, parse_selector
from sidecar.core.lru import Lru
from sidecar.telemetry.words import Rejection

MAX_SIZE = 32 * 1024
"""Room for a select with every label, of the longest and oddest kind. Limit: bust from another pod (bytes). Beyond:
the message is rejected and counted."""
WINDOW = 300_000
"""Milliseconds by which a select's `at` may be off, either way."""
MAC_LENGTH = 64
"""Bytes of a MAC, in hexadecimal."""
MOST_KEYS = 10_000
"""Keys whose last generation is remembered, and ids of selects."""

BUST_CHANNEL = "m2m:bust"
"""Busts, signed unless `redis.encryption` is `none`. A pod that receives one drops the tokens that it names."""
FILL_CHANNEL = "m2m:fill"
"""Redis key of a token whose fetch just ended, unsigned. Pods that wait for that token read the key."""

_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_FINGERPRINT = re.compile(r"[0-9A-Za-z._-]{0,64}")
_NAME = re.compile(r"[0-9A-Za-z._-]{1,64}")
_KINDS = ("token", "credentials", "select")  # no set: a kind may be anything, hashable or not
_TOO_MANY = 2**53  # what every JSON parser still reads exactly
_BEGINNING, _MAC, _END = b'{"', b',"mac":"', b'"}'
_LONG = 512
"""Bytes of a message that is not signed above which it is no longer parsed only to say what is wrong with it."""
_LOOK = 128
"""Bytes of its beginning and of its end that are looked at instead."""
_TAIL = len(_MAC) + MAC_LENGTH + len(_END)
_parse = json.JSONDecoder().raw_decode  # json.loads guesses an encoding first

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Every token is dead that the selector means and whose fetch began by `at`."""

    selector: Labels
    at: int
    """Milliseconds of the store's clock."""
    id: str
    """Of this select, which is not taken twice: random, or where many pods write the same, made of what it says."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message that counts, and the pod it is from."""

    what: Bust | Revocation
    sender: str
    at: int
    """Milliseconds of the store's clock."""


def encode(what: Bust | Revocation, *, channel: str, sender: str, at: int, sign: Sign) -> bytes:
    """Write the message `sender` publishes on `channel` at that time, signed for there."""
    members: dict[str, object]
    match what:
        case Bust(key, fingerprint, generation):
            members = {"kind": kind_of(what), "key": key, "fp": fingerprint, "gen": generation}
        case Revocation(selector, at, number):
            members = {"kind": "select", "labels": dict(selector), "id": number}
    return write_signed({"v": 1, **members, "from": sender, "at": at}, place=channel, sign=sign)


def write_signed(members: Mapping[str, object], *, place: str, sign: Sign) -> bytes:
    """Write a JSON object, signed for the channel that it is sent on or the key that it is kept under."""
    said = json.dumps(members, separators=(",", ":")).encode()
    return said[:-1] + _MAC + sign(_signed(place, said)) + _END


def read_signed(payload: bytes, *, place: str, verify: Verify) -> Mapping[str, object] | None:
    """Return the members of what was signed for this place, None for anything else."""
    said, mac = _apart(payload)
    return _members(said) if verify(_signed(place, said), mac) else None


def kind_of(bust: Bust) -> Literal["token", "credentials"]:
    """Tell what the bust's key is the key of."""
    return "credentials" if bust.key.endswith(":credentials") else "token"


class Inbox:
    """Reads and judges what arrives. Remembers, within bounds, what it took, so that it takes nothing twice."""

    def __init__(self, *, channel: str, own: str, verify: Verify) -> None:
        """`channel` is the one that the messages arrive on, `own` the name this pod sends under."""
        self._signed_for = _signed(channel, b"")
        self._own = own
        self._verify = verify
        self._generations: Lru[int] = Lru(MOST_KEYS)
        self._ids: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._generations) + len(self._ids)

    def read(self, payload: bytes) -> ReceivedMessage | Rejection:
        """Return what a signed message says, or why it does not count."""
        if len(payload) > MAX_SIZE:
            return "too_large"
        said, mac = _apart(payload)
        if not self._verify(self._signed_for + said, mac):
            return _flaw(payload, mac)
        members = _members(said)
        if members is None:
            return "malformed"
        if members.get("v") != 1 or members.get("kind") not in _KINDS:
            return "unknown"
        return _heard(members) or "malformed"

    def judge(self, message: ReceivedMessage, now: int) -> Rejection | None:
        """Return why a message does not count that was taken before, or is of another time; None if it counts.

        `now` in milliseconds of the store's clock.
        """
        what = message.what
        return self._again(what) if isinstance(what, Bust) else self._untimely(what, now)

    def is_own(self, message: ReceivedMessage) -> bool:
        """Return whether this pod sent the message: it did what it says before."""
        return message.sender == self._own

    def recall(self, payload: bytes) -> Revocation | None:
        """Read a select that was stored, at whatever time and whosever it is; None for anything else."""
        message = self.read(payload)
        if isinstance(message, ReceivedMessage) and isinstance(message.what, Revocation):
            return message.what
        return None

    def _again(self, bust: Bust) -> Rejection | None:
        last = self._generations.get(bust.key)
        if last is not None and bust.generation <= last:
            return "old" if bust.generation < last else "replayed"
        self._generations.put(bust.key, bust.generation)
        return None

    def _untimely(self, revocation: Revocation, now: int) -> Rejection | None:
        if abs(now - revocation.at) > WINDOW:
            return "old"
        if revocation.id in self._ids:
            return "replayed"
        self._ids[revocation.id] = revocation.at
        if len(self._ids) > MOST_KEYS:
            self._ids.popitem(last=False)
        return None


def _apart(payload: bytes) -> tuple[bytes, bytes]:
    """Return the message as it was before it was signed, and its MAC, empty where it does not end in one."""
    place = payload.rfind(_MAC, -_TAIL) if payload.endswith(_END) else -1
    return (payload[:place] + b"}", payload[place + len(_MAC) : -len(_END)]) if place >= 0 else (payload, b"")


def _flaw(payload: bytes, mac: bytes) -> Rejection:
    """Return what is wrong with a message that is not signed as it should be.

    What looks like one of ours all over is not taken apart, and nothing long is: strangers may send any number of
    those.
    """
    if len(mac) == MAC_LENGTH and payload.startswith(_BEGINNING):
        return "forged"
    if len(payload) > _LONG:
        if not (payload.startswith(_BEGINNING) and payload.endswith(b"}")):
            return "malformed"
        return "forged" if b'"mac"' in payload[:_LOOK] + payload[-_LOOK:] else "unsigned"
    members = _members(payload)
    if members is None:
        return "malformed"
    return "forged" if members.get("mac") else "unsigned"


def _members(text: bytes) -> dict[str, object] | None:
    try:
        document = text.decode()
        members, end = _parse(document)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) and end == len(document) else None


def _heard(members: Mapping[str, object]) -> ReceivedMessage | None:
    """Build the message of signed members, None unless every one is what it should be."""
    sender, at = name(members.get("from")), count(members.get("at"))
    if sender is None or at is None:
        return None
    what = _revocation(members, at) if members["kind"] == "select" else _bust(members)
    return ReceivedMessage(what, sender, at) if what is not None else None


def _revocation(members: Mapping[str, object], at: int) -> Revocation | None:
    labels, number = members.get("labels"), name(members.get("id"))
    if not isinstance(labels, dict) or number is None:
        return None
    try:
        return Revocation(parse_selector(labels), at, number)
    except ValueError:
        return None


def _bust(members: Mapping[str, object]) -> Bust | None:
    key, fingerprint, generation = members.get("key"), members.get("fp"), count(members.get("gen"))
    if not isinstance(key, str) or not isinstance(fingerprint, str) or generation is None:
        return None
    bust = Bust(key, fingerprint, generation)
    good = _KEY.fullmatch(key) and _FINGERPRINT.fullmatch(fingerprint) and kind_of(bust) == members["kind"]
    return bust if good else None


def name(value: object) -> str | None:
    """Return the value if it can be a pod's name or the id of a select."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def count(value: object) -> int | None:
    """Return the value if it is a whole number from 0 on that every JSON parser reads exactly."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _TOO_MANY else None


def _signed(channel: str, said: bytes) -> bytes:
    return b"%b\n%b" % (channel.encode(), said)
