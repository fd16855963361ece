"""Messages of the bus: of the fleet, of other programs, and answers to a select.

Oracles:

1. Without the fleet's signature nothing is accepted. Signed, exactly what is accepted unsigned by `encryption: none`.
2. Another JSON reader finds the same members in a message that is accepted.
3. An accepted message, encoded again, is read back; with any byte changed it is refused.
4. A bust is accepted once, and never after a later generation; a select once. What is remembered is bounded.
5. No message of another program revokes without a label.
"""

import json

from sidecar.cache.refused_tokens import Bust
from sidecar.fleet import answers, foreign_messages
from sidecar.fleet.messages import MAX_SIZE, Inbox, ReceivedMessage, Revocation, encode
from sidecar.fleet.seal import AesSeal, NoSeal
from sidecar.fleet.settings import Dialect
from tests.fuzz.target import Target
from tests.support.randomness import FixedRandomness

CHANNEL = "m2m:bust"
KEY = "m2m:select:s1"
SEAL = AesSeal([("k1", bytes(32))], FixedRandomness())
NONE = NoSeal()
DIALECTS: tuple[Dialect, ...] = ("mcp-gateway", "lerian")


def check(data: bytes) -> None:
    """Read the bytes as every kind of message."""
    check_message(data)
    check_answer(data)
    for dialect in DIALECTS:
        selectors = foreign_messages.read(dialect, data)
        if not isinstance(selectors, str):
            assert all(selectors), "a selector without labels revokes everything"
            assert (
                foreign_messages.read(dialect, b"\xef\xbb\xbf" + data) == selectors
                or data[:3] == b"\xef\xbb\xbf"
            )


def inbox(seal: AesSeal | NoSeal) -> Inbox:
    """Return a pod's inbox."""
    return Inbox(channel=CHANNEL, own="self", verify=seal.verify)


def signed(text: bytes) -> bytes:
    """Return the message with a valid MAC, whatever it is."""
    return b'%b,"mac":"%b"}' % (text[:-1], SEAL.sign(CHANNEL.encode() + b"\n" + text))


def check_message(data: bytes) -> None:
    """Oracles 1 to 4."""
    assert isinstance(inbox(SEAL).read(data), str), "accepted without a signature"
    if not data.endswith(b"}"):
        return
    plain, sealed = inbox(NONE).read(unsigned(data)), inbox(SEAL).read(signed(data))
    if isinstance(sealed, str):
        assert isinstance(plain, str) or len(signed(data)) > MAX_SIZE
        return
    assert sealed == plain
    members = json.loads(data)
    assert (sealed.sender, sealed.at) == (members["from"], members["at"])
    what = sealed.what
    if isinstance(what, Bust):
        assert (what.key, what.fingerprint, what.generation) == (
            members["key"],
            members["fp"],
            members["gen"],
        )
    else:
        assert {name for name, _ in what.selector} == set(members["labels"])
        assert what.id == members["id"]
    check_encoded(sealed)
    check_once(sealed)


def unsigned(data: bytes) -> bytes:
    """Return the message as a fleet without keys sends it."""
    return data[:-1] + b',"mac":""}'


def check_encoded(message: ReceivedMessage) -> None:
    """Oracle 3."""
    written = encode(message.what, channel=CHANNEL, sender=message.sender, at=message.at, sign=SEAL.sign)
    assert inbox(SEAL).read(written) == message
    place = message.at % len(written)
    changed = written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]
    assert isinstance(inbox(SEAL).read(changed), str), "accepted with another byte"
    other = Inbox(channel="other:" + CHANNEL, own="self", verify=SEAL.verify)
    assert isinstance(other.read(written), str), "accepted on another channel"


def check_once(message: ReceivedMessage) -> None:
    """Oracle 4."""
    box, now = inbox(SEAL), message.at
    assert box.judge(message, now) is None
    assert box.judge(message, now) == "replayed"
    assert len(box) == 1
    what = message.what
    if isinstance(what, Bust):
        older = ReceivedMessage(Bust(what.key, what.fingerprint, what.generation - 1), "other", now)
        assert box.judge(older, now) == "old"
    else:
        assert isinstance(what, Revocation)
        assert inbox(SEAL).judge(message, now + 300_001) == "old"


def check_answer(data: bytes) -> None:
    """Oracles 1 and 3 for an answer to a select."""
    assert answers.read(data, key=KEY, verify=SEAL.verify) is None
    found = answers.read(unsigned(data), key=KEY, verify=NONE.verify)
    if found is not None:
        written = answers.encode(found, key=KEY, sign=SEAL.sign)
        again = answers.read(written, key=KEY, verify=SEAL.verify)
        assert again == found or len(written) > answers.MAX_SIZE
        assert answers.read(written, key=KEY + "2", verify=SEAL.verify) is None


TARGET = Target(
    check,
    seeds=(
        b'{"v":1,"kind":"token","key":"tenant:acme:m2m:ledger:token:0f","fp":"a1","gen":7,"from":"a","at":5}',
        b'{"v":1,"kind":"credentials","key":"m2m:ledger:credentials","fp":"","gen":0,"from":"a-b.c","at":0}',
        b'{"v":1,"kind":"select","labels":{"user":"alice","tenant":"ACME"},"id":"s1","from":"a","at":5}',
        b'{"v":1,"kind":"dropped","pod":"ledger-7d9f6","dropped":2,"from":"a"}',
        b"role:alice@example.org:team-1",
        b"revoke:0f",
        b'{"event_type":"tenant.credentials.rotated","tenant_id":"t","payload":{"new_secret_path":"x/m2m/l/credentials"}}',
        b'{"event_type":"tenant.created"}',
        b'{"v":1,"kind":"token","mac":"0000000000000000000000000000000000000000000000000000000000000000"}',
    ),
    words=(
        *(
            b'{"',
            b'"}',
            b'":"',
            b'","',
            b'":{',
            b"[",
            b"]",
            b"null",
            b"true",
            b"1e9",
            b"-1",
            b"9007199254740992",
            b"\\u00e9",
        ),
        *(
            b'"v":1',
            b'"kind":"token"',
            b'"kind":"select"',
            b'"labels":{}',
            b'"mac":""',
            b'"from":',
            b'"at":',
            b'"gen":',
        ),
        *(
            b"tenant",
            b"service",
            b"user",
            b"jti",
            b"team",
            b"role",
            b"team_roles:",
            b"membership:",
            b":",
            b"\xef\xbb\xbf",
        ),
        *(
            b'"event_type":"tenant.credentials.rotated"',
            b'"tenant_id":',
            b'"payload":',
            b"m2m/",
            b"/credentials",
        ),
    ),
)
