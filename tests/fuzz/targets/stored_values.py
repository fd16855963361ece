"""Values in Redis, sealed and clear, and what they hold.

Oracles:

1. Sealed: no input opens. What was sealed opens under its key and tenant only, and with any bit changed not at all.
2. Clear: what opens was stored for this very key; written again, it is the same value.
3. A token that is read, written and read again is the same; with an uncertain clock it never lives longer.
4. Credentials of another source are not used. A setback's texts are bounded.
"""

from zlib import crc32

from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.seal import AesSeal, NoSeal
from sidecar.fleet.stored_value import (
    MAX_REASON,
    read_credentials,
    read_setback,
    read_token,
    write_credentials,
    write_setback,
    write_token,
)
from tests.fuzz.target import Target
from tests.support.randomness import FixedRandomness

KEY, TENANT = "tenant:acme:m2m:ledger:token:0f", "acme"
HEADER = b"a1b2c3d4e5f6:17:"
NONCE_ENDS = len(b"1:k1:" + HEADER) + 12
SEAL = AesSeal([("k1", bytes(32)), ("k2", b"2" * 32)], FixedRandomness())
NONE = NoSeal()
SAME = ClockOffset(0.0, 0.0, 0.0)
UNSURE = ClockOffset(8.0, 2.0, 0.0)


def check(data: bytes) -> None:
    """Read the bytes as values and as contents."""
    check_sealed(data)
    content = NONE.open(KEY, TENANT, data)
    if content is not None:
        fields = data.split(b":", 4)
        assert NONE.seal(KEY, TENANT, b"%b:%b:" % (fields[2], fields[3]), content) == data
        assert NONE.open(KEY + "0", TENANT, data) is None
    for each in (data, content):
        if each is not None:
            check_token(each)
            check_credentials(each)
            check_setback(each)


def check_sealed(data: bytes) -> None:
    """Oracle 1."""
    for value in (data, b"1:k1:%b%b" % (HEADER, data), b"1:k2:::" + data):
        assert SEAL.open(KEY, TENANT, value) is None
    value = SEAL.seal(KEY, TENANT, HEADER, data)
    assert SEAL.open(KEY, TENANT, value) == data
    assert SEAL.open(KEY, "globex", value) is None
    assert SEAL.open(KEY[:-1], TENANT, value) is None
    assert NONE.open(KEY, TENANT, value) is None
    assert data not in value[NONCE_ENDS:] or len(data) < 8, "readable"
    bit = crc32(data) % (8 * len(value))
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    assert SEAL.open(KEY, TENANT, bytes(changed)) is None


def check_token(content: bytes) -> None:
    """Oracle 3."""
    token = read_token(content, "a1", 7, SAME)
    if token is None:
        return
    assert token.authorization == b"Bearer " + token.secret.reveal().encode("ascii")
    assert token.secret.reveal().isprintable()
    assert token.secret.reveal() not in f"{token!r}" or len(token.secret.reveal()) < 8
    again = read_token(write_token(token, SAME), "a1", 7, SAME)
    assert again is not None
    assert again.secret.reveal() == token.secret.reveal()
    times = (token.expires_at, token.fresh_until, token.fetch_began)
    assert (again.expires_at, again.fresh_until, again.fetch_began, again.exp, again.labels) == (
        *times,
        token.exp,
        token.labels,
    )
    later = read_token(write_token(token, UNSURE), "a1", 7, UNSURE)
    if later is not None:
        moved = (later.expires_at, later.fresh_until, later.fetch_began)
        assert all(there <= here for there, here in zip(moved, times, strict=True))


def check_credentials(content: bytes) -> None:
    """Oracle 4."""
    found = read_credentials(content, "aws", SAME)
    if found is not None:
        assert read_credentials(content, "vault", SAME) is None
        again = read_credentials(write_credentials(found, "aws", SAME), "aws", SAME)
        assert again is not None
        assert again.client_secret.reveal() == found.client_secret.reveal()
        assert (again.client_id, again.read_at) == (found.client_id, found.read_at)


def check_setback(content: bytes) -> None:
    """Oracle 4."""
    found = read_setback(content, SAME)
    if found is not None:
        again = read_setback(write_setback(found, SAME), SAME)
        assert again is not None
        assert max(map(len, (again.reason, again.description, again.hint))) <= MAX_REASON
        assert (again.until, again.failures, again.code) == (found.until, found.failures, found.code)
        assert (again.description, again.hint) == (found.description, found.hint)


CLEAR = NONE.seal(
    KEY, TENANT, HEADER, b'{"token":"t","fetch_began":1,"fresh_until":2,"expires_at":3,"labels":[]}'
)
TARGET = Target(
    check,
    seeds=(
        CLEAR,
        b'{"token":"t0k3n","fetch_began":1.5,"fresh_until":2e3,"expires_at":30,"labels":[["user","a"]],"exp":9}',
        b'{"client_id":"c","client_secret":"s","read_at":5,"origin":"aws"}',
        b'{"until":5,"failures":2,"reason":"r","code":null,"description":"d","hint":"h","of_caller":true}',
        b"1:k1:a1b2c3d4e5f6:17:" + bytes(40),
        b"1:::1:",
    ),
    words=(
        *(
            b"1::",
            b"1:k1:",
            b":",
            b"\n",
            KEY.encode(),
            b'{"token":"',
            b'"fetch_began":',
            b'"fresh_until":',
            b'"exp":',
        ),
        *(
            b'"expires_at":',
            b'"labels":[["',
            b"1e308",
            b"1e999",
            b"-1",
            b"NaN",
            b"null",
            b"true",
            b"\\ud800",
            b"\\u0000",
        ),
        *(
            b'"origin":"aws"',
            b'"client_id":"',
            b'"client_secret":"',
            b'"read_at":',
            b'"until":',
            b'"failures":',
            b'"reason":"',
        ),
    ),
)
