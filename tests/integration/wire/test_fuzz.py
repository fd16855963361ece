"""Mutilated requests: what reaches the upstream is what a strict reader finds, and nothing crashes."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.sidecar import Running
from tests.support.upstream import Exchange, Received, Upstream
from tests.support.wire_client import (
    AnswerReader,
    Client,
    TruncatedError,
    WireError,
    parse_head,
    read_trailers,
)

HOST = b"HTTP/1.1\r\nHost: localhost\r\n"
SEEDS = (
    b"GET /a?b %bX-A: 1\r\n\r\n" % HOST,
    b"POST /a %bContent-Length: 5\r\n\r\nhello" % HOST,
    b"POST /a %bTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n" % HOST,
    b"GET /a HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
    b"PUT http://localhost/a %bExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok" % HOST,
    b"GET /ws %bConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nGET" % HOST,
    b"HEAD / %bConnection: X-A\r\nX-A: 1\r\n\r\n" % HOST,
)
POISON = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b";", b",", b"0", b"5", b"-1", b"\xff", b"%2e%2e/",
    b"\r\n ", b"\r\n\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: localhost\r\n",
    b"Connection: close\r\n", b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.0", b"HTTP/2.0",
    b"a" * 5000, b"ffffffffffffffff",
)  # fmt: skip
_FIRST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} [\x21-\x7e]+ HTTP/1\.[01]")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?")


ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
)
MANY = settings(
    max_examples=400,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Expected:
    method: bytes
    target: bytes
    body: bytes


@st.composite
def mutilated(draw: st.DrawFn, seeds: tuple[bytes, ...], most: int) -> list[bytes]:
    """One or more messages, damaged in a few places, cut into segments."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(seeds), min_size=1, max_size=most))))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        damage = draw(st.sampled_from(("poison", "delete", "replace", "repeat")))
        if damage == "poison":
            data[start:start] = draw(st.sampled_from(POISON))
        elif damage == "delete":
            del data[start : start + draw(st.integers(1, 8))]
        elif damage == "replace":
            data[start : start + 1] = draw(st.binary(min_size=1, max_size=1))
        else:
            data[start:start] = data[start : start + draw(st.integers(1, 40))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [bytes(data[start:end]) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def read_strictly(data: bytes) -> list[Expected]:
    """The whole requests at the head of these bytes, as RFC 9112 delimits them, up to the first bad one."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found: list[Expected] = []
    with suppress(WireError, asyncio.IncompleteReadError):
        while True:
            found.append(await _read_one(reader))
    return found


async def _read_one(reader: asyncio.StreamReader) -> Expected:
    raw = await reader.readuntil(b"\r\n\r\n")
    while raw[:2] == b"\r\n":
        raw = raw[2:] or await reader.readuntil(b"\r\n\r\n")
        raw = raw if raw != b"\r\n" else await reader.readuntil(b"\r\n\r\n")
    head = parse_head(raw, _FIRST_LINE)
    framing, body = head.framing(), b""
    if isinstance(framing, int):
        body = await reader.readexactly(framing)
    elif framing == "chunked":
        while size := await _chunk_size(reader):
            body += await reader.readexactly(size)
            if await reader.readexactly(2) != b"\r\n":
                raise WireError("chunk without its end")
        await read_trailers(reader)
    return Expected(head.method, _origin_form(head.target), body)


def _origin_form(target: bytes) -> bytes:
    path = re.sub(rb"(?i)^http://[^/?]*", b"", target)
    return path if path[:1] == b"/" else b"/" + path


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    line = (await reader.readuntil(b"\r\n")).removesuffix(b"\r\n")
    size = _CHUNK_LINE.fullmatch(line)
    if size is None:
        raise WireError(f"chunk size {line!r}")
    return int(size[1], 16)


async def converse(relay: Running, segments: list[bytes], methods: list[bytes]) -> None:
    """Send it all and read whatever comes strictly, up to a refusal or the end."""
    async with await Client.connect(relay.address) as client:
        with suppress(ConnectionError):
            await client.send_in_pieces(*segments)
            await client.half_close()
        for method in [*methods, b"GET"]:
            try:
                answer = await client.answer(method.decode())
            except TruncatedError as ending:
                if ending.received:
                    raise
                return
            if answer.status >= 400:
                return


def seen(received: Received) -> Expected:
    return Expected(received.head.method, received.head.target, bytes(received.body))


@MANY
@given(segments=mutilated(SEEDS, 3))
@example(segments=[SEEDS[5] + SEEDS[0]])
@example(segments=[b"\r\n" + SEEDS[2] + SEEDS[1]])
async def test_mutilated_requests_harm_nobody(
    relay: Running, upstream: Upstream, segments: list[bytes]
) -> None:
    """Both readers agree on every request that arrived whole; the next client is served as if nothing was."""
    expected = await read_strictly(b"".join(segments))
    begin = len(upstream.requests)
    await converse(relay, segments, [request.method for request in expected])
    arrived = [seen(received) for received in upstream.requests[begin:] if received.whole]
    assert arrived == expected[: len(arrived)]
    assert upstream.malformed == []
    assert (await relay.get(b"/good")).status == 200


async def read_answer(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of a final answer in these bytes; None where they are broken off or too odd to tell."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    try:
        answer = await AnswerReader(reader).answer()
    except WireError:
        return None
    return answer.status, answer.body


@MANY
@given(segments=mutilated(ANSWERS, 2))
@example(segments=[ANSWERS[1][:-9]])
async def test_mutilated_answers_mislead_nobody(
    relay: Running, upstream: Upstream, segments: list[bytes]
) -> None:
    """The client gets what a strict reader finds, a 502, or a broken connection; never anything else."""

    async def script(exchange: Exchange) -> None:
        await exchange.read()
        for segment in segments:
            await exchange.send(segment)
            await asyncio.sleep(0)
        exchange.close()

    upstream.script(script)
    seen: tuple[int, bytes] | None = None
    async with await Client.connect(relay.address) as client:
        with suppress(TruncatedError):
            answer = await client.ask(relay.request(b"POST", b"/", b"Content-Length: 0"))
            seen = answer.status, answer.body
    expected = await read_answer(b"".join(segments))
    assert seen is None or seen[0] == 502 or expected is None or seen == expected
    assert (await relay.get(b"/good")).body == b"ok"


async def test_the_strict_reader_reads() -> None:
    """The seeds are good requests, each of them and all in a row; what is not is left out."""
    assert [len(await read_strictly(seed)) for seed in SEEDS] == [1] * len(SEEDS)
    assert len(await read_strictly(b"".join(SEEDS))) == len(SEEDS)
    assert await read_strictly(SEEDS[0] + b"POST / HTTP/1.1\r\nContent-Length: 1,1\r\n\r\n" + SEEDS[1]) == [
        Expected(b"GET", b"/a?b", b"")
    ]
    assert [await read_answer(answer) for answer in ANSWERS] == [
        (200, b"hello"),
        (200, b"abcde"),
        (404, b"no"),
        (204, b""),
        (304, b""),
        (200, b"until the end"),
    ]
