"""Messages between pods: JSON, signed, on one channel; and which of them are accepted.

    {"v":1,"kind":"token","key":…,"fp":…,"gen":…,"from":…,"at":…,"mac":…}      `credentials` alike
    {"v":1,"kind":"select","labels":{"user":"alice"},"id":…,"from":…,"at":…,"mac":…}

`from` is the pod, `at` milliseconds of the store's clock. `mac`, the last member, signs the channel, a line end and the
message as it would be without it, byte for byte: no message can be altered, or copied from another fleet's channel, and
none is parsed before its signature is verified. An old message has no effect if it is published again: a bust's
generation is past by then, and a select is accepted once, within five minutes.
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
"""Milliseconds by which a select's `at` may be off, in either direction."""
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
"""Bytes of an unsigned message above which it is no longer parsed only to report what is wrong with it."""
_LOOK = 128
"""Bytes of its beginning and of its end that are read instead."""
_TAIL = len(_MAC) + MAC_LENGTH + len(_END)
_parse = json.JSONDecoder().raw_decode  # json.loads guesses an encoding first

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Revokes every selected token whose fetch began by `at`."""

    selector: Labels
    at: int
    """Milliseconds of the store's clock."""
    id: str
    """Id of this select, which is accepted once: random, or derived from its content if many pods write the same."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """An accepted message, and the pod that sent it."""

    what: Bust | Revocation
    sender: str
    at: int
    """Milliseconds of the store's clock."""


def encode(what: Bust | Revocation, *, channel: str, sender: str, at: int, sign: Sign) -> bytes:
    """Encode the message that `sender` publishes on `channel` at that time, signed for that channel."""
    members: dict[str, object]
    match what:
        case Bust(key, fingerprint, generation):
            members = {"kind": kind_of(what), "key": key, "fp": fingerprint, "gen": generation}
        case Revocation(selector, at, number):
            members = {"kind": "select", "labels": dict(selector), "id": number}
    return write_signed({"v": 1, **members, "from": sender, "at": at}, place=channel, sign=sign)


def write_signed(members: Mapping[str, object], *, place: str, sign: Sign) -> bytes:
    """Encode a JSON object, signed for the channel that it is sent on or the key that it is kept under."""
    said = json.dumps(members, separators=(",", ":")).encode()
    return said[:-1] + _MAC + sign(_signed(place, said)) + _END


def read_signed(payload: bytes, *, place: str, verify: Verify) -> Mapping[str, object] | None:
    """Return the members of an object signed for this place, None for anything else."""
    said, mac = _apart(payload)
    return _members(said) if verify(_signed(place, said), mac) else None


def kind_of(bust: Bust) -> Literal["token", "credentials"]:
    """Return the kind of content that the bust's key names."""
    return "credentials" if bust.key.endswith(":credentials") else "token"


class Inbox:
    """Decode and check received messages. It remembers accepted ones, within bounds, so that it accepts none twice."""

    def __init__(self, *, channel: str, own: str, verify: Verify) -> None:
        """Take `channel`, which the messages arrive on, and `own`, this pod's id as a sender."""
        self._signed_for = _signed(channel, b"")
        self._own = own
        self._verify = verify
        self._generations: Lru[int] = Lru(MOST_KEYS)
        self._ids: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._generations) + len(self._ids)

    def read(self, payload: bytes) -> ReceivedMessage | Rejection:
        """Return the content of a signed message, or the reason for its rejection."""
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
        """Return the reason to reject a message that was accepted before, or is too old; None if there is none.

        `now` in milliseconds of the store's clock.
        """
        what = message.what
        return self._again(what) if isinstance(what, Bust) else self._untimely(what, now)

    def is_own(self, message: ReceivedMessage) -> bool:
        """Return whether this pod sent the message, and so has already applied it."""
        return message.sender == self._own

    def recall(self, payload: bytes) -> Revocation | None:
        """Decode a select that was stored, of any time and by any pod; None for anything else."""
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
    """Return the message as it was before it was signed, and its MAC, empty if it does not end in one."""
    place = payload.rfind(_MAC, -_TAIL) if payload.endswith(_END) else -1
    return (payload[:place] + b"}", payload[place + len(_MAC) : -len(_END)]) if place >= 0 else (payload, b"")


def _flaw(payload: bytes, mac: bytes) -> Rejection:
    """Return the fault of a message without a valid signature.

    A message in our own form is not parsed, and a long one neither, because any client may send any number of those.
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
    """Build the message from signed members, None unless every one is valid."""
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
