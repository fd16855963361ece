"""The kinds of load: what each kind of client does, and what it expects."""

import asyncio
import json
from collections.abc import Iterable

from tests.soak.bodies import PLAIN, blocks, checksum
from tests.soak.client import Answer, Client, Trouble, word_of
from tests.soak.crowd import Crowd, Share, request
from tests.soak.websocket import websocket

MIB = 1 << 20
LARGE = tuple(MIB * size for size in (1, 2, 4, 8))
NOT_OURS = (
    (b"GET /api/echo HTTP/1.1\r\n\r\n", "400 http_request_error"),
    (b"GET /api/../echo HTTP/1.1\r\nHost: localhost\r\n\r\n", "400 http_request_error"),
    (
        b"POST /api/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "400 http_request_error",
    ),
    (
        b"POST /api/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "400 http_request_error",
    ),
    (b"GET /api/echo HTTP/1.1\r\nHost: example.com\r\n\r\n", "421 http_request_denied"),
    (
        b"GET /api/echo HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.com\r\n\r\n",
        "403 http_request_denied",
    ),
    (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 destination_not_found"),
    (b"GET /api/echo HTTP/1.1\r\nHost: localhost\r\nExpect: magic\r\n\r\n", "417 http_request_error"),
    (b"GET /api/%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 20_000), "414 http_request_error"),
    (
        b"GET /api/echo HTTP/1.1\r\nHost: localhost\r\nCookie: %b\r\n\r\n" % (b"x" * 70_000),
        "431 http_request_error",
    ),
)
"""Requests the sidecar answers itself, and its answers."""


def framed(size: int, *, chunked: bool) -> tuple[str, Iterable[bytes]]:
    """The field that frames a body of that size, and the body in pieces."""
    if not chunked:
        return f"Content-Length: {size}", blocks(size)
    chunks = (b"%x\r\n%b\r\n" % (len(block), block) for block in blocks(size))
    return "Transfer-Encoding: chunked", (*chunks, b"0\r\nX-Trailer: yes\r\n\r\n")


def check(answer: Answer, size: int) -> None:
    """Raise Trouble unless the answer's body is the expected one of that size."""
    if (answer.size, answer.crc) != (size, checksum(size)):
        raise Trouble("wrong body", f"{answer.size} bytes in place of {size}")


def check_echo(answer: Answer, method: str, size: int) -> None:
    """Raise Trouble unless the upstream got just this."""
    told = json.loads(answer.body)
    if (told["method"], told["size"], told["crc"]) != (method, size, checksum(size)):
        raise Trouble("wrong request upstream", str(told))


async def ordinary(crowd: Crowd) -> None:
    """Small requests of every shape, one after the other on one connection."""
    client: Client | None = None
    for _ in range(crowd.dice.randint(1, 30)):
        async with crowd.act("ordinary") as act:
            client = client or await Client.connect(crowd.address)
            last = await crowd.dice.choice((_echo, _get, _head))(crowd, client, act.request_id)
        if not act.ok or last:
            break
        await asyncio.sleep(crowd.dice.uniform(0, 0.06))
    if client is not None:
        client.leave()


async def _echo(crowd: Crowd, client: Client, request_id: str) -> bool:
    method, size = crowd.dice.choice(("POST", "PUT", "PATCH", "DELETE")), crowd.dice.randint(0, 30_000)
    field, body = framed(size, chunked=crowd.dice.random() < 0.5)
    answer = await client.ask(request(method, "/api/echo", request_id, field), body=body)
    answer.expect("200", request_id)
    check_echo(answer, method, size)
    return answer.last


async def _get(crowd: Crowd, client: Client, request_id: str) -> bool:
    size, framing = crowd.dice.randint(0, 30_000), crowd.dice.choice(("sized", "chunked"))
    answer = await client.ask(request("GET", f"/api/bytes?size={size}&framing={framing}", request_id))
    answer.expect("200", request_id)
    check(answer, size)
    return answer.last


async def _head(crowd: Crowd, client: Client, request_id: str) -> bool:
    answer = await client.ask(request("HEAD", "/api/bytes?size=77&framing=sized", request_id), "HEAD")
    answer.expect("200", request_id)
    return answer.last


async def pipelined(crowd: Crowd) -> None:
    """Several requests at once; the answers come whole and in order."""
    async with crowd.act("pipelined") as act, crowd.client() as client:
        ids = [f"{act.request_id}.{number}" for number in range(crowd.dice.randint(2, 12))]
        await client.send([b"".join(request("GET", "/api/echo", own) for own in ids)])
        for own in ids:
            (await client.answer()).expect("200", own)


async def upload(crowd: Crowd) -> None:
    """Some MiB up, sometimes only after a 100."""
    async with crowd.act("upload") as act, crowd.client() as client:
        size = crowd.dice.choice(LARGE)
        field, body = framed(size, chunked=crowd.dice.random() < 0.5)
        head = request("POST", "/api/echo", act.request_id, field)
        answer = await client.ask(head, body=body)
        answer.expect("200", act.request_id)
        check_echo(answer, "POST", size)


async def expects(crowd: Crowd) -> None:
    """A small body that waits for its `100 Continue`."""
    async with crowd.act("expects") as act, crowd.client() as client:
        size = crowd.dice.randint(1, 60_000)
        fields = (f"Content-Length: {size}", "Expect: 100-continue")
        await client.send([request("POST", "/api/echo", act.request_id, *fields)])
        head = await client.any_head()
        if head.status != 100:
            raise Trouble(word_of(head), "in place of 100")
        answer = await client.ask(b"", body=blocks(size))
        answer.expect("200", act.request_id)
        check_echo(answer, "POST", size)


async def download(crowd: Crowd) -> None:
    """Some MiB down."""
    await _download(crowd, "download", crowd.dice.choice(LARGE))


async def slow_reader(crowd: Crowd) -> None:
    """A MiB read with a small window and pauses: the upstream has to wait."""
    await _download(crowd, "slow reader", MIB, pause=crowd.dice.uniform(0.01, 0.1), receive_buffer=16_384)


async def _download(
    crowd: Crowd, kind: str, size: int, *, pause: float = 0.0, receive_buffer: int = 0
) -> None:
    async with crowd.act(kind) as act, crowd.client(receive_buffer=receive_buffer) as client:
        framing = crowd.dice.choice(("sized", "chunked", "close"))
        await client.send([request("GET", f"/api/bytes?size={size}&framing={framing}", act.request_id)])
        answer = await client.answer(pause=pause)
        answer.expect("200", act.request_id)
        check(answer, size)


async def slow_sender(crowd: Crowd) -> None:
    """A head in drips, then a body in pieces, over some seconds."""
    async with crowd.act("slow sender") as act, crowd.client() as client:
        size = 40_000
        field, body = framed(size, chunked=crowd.dice.random() < 0.5)
        head = request("POST", "/api/echo", act.request_id, field)
        await client.send((head[at : at + 20] for at in range(0, len(head), 20)), 0.1)
        whole = b"".join(body)
        pieces = (whole[at : at + 4000] for at in range(0, len(whole), 4000))
        answer = await client.ask(b"", body=pieces, pause=crowd.dice.uniform(0.05, 0.5))
        answer.expect("200", act.request_id)
        check_echo(answer, "POST", size)


async def events(crowd: Crowd) -> None:
    """A stream of events for some seconds; every third reader has enough before its end."""
    async with crowd.act("events") as act, crowd.client() as client:
        count = crowd.dice.randint(5, 60)
        await client.send([request("GET", f"/api/events?count={count}&seconds=0.2", act.request_id)])
        if crowd.dice.random() < 0.3:
            await asyncio.sleep(crowd.dice.uniform(0, 2))
            client.leave(rudely=crowd.dice.random() < 0.5)
            return
        answer = await client.answer()
        answer.expect("200", act.request_id)
        if answer.body != b"".join(b"data: %d\n\n" % number for number in range(count)):
            raise Trouble("wrong events", repr(answer.body[-40:]))


async def leaves_asking(crowd: Crowd) -> None:
    """Gone in the middle of the head or the body."""
    async with crowd.act("leaves asking") as act, crowd.client() as client:
        field, body = framed(MIB, chunked=crowd.dice.random() < 0.5)
        whole = request("POST", "/api/echo", act.request_id, field) + b"".join(body)
        await client.send([whole[: crowd.dice.choice((10, 100, 300, 20_000, 500_000))]])
        await asyncio.sleep(crowd.dice.uniform(0, 0.2))
        client.leave(rudely=crowd.dice.random() < 0.5)


async def leaves_waiting(crowd: Crowd) -> None:
    """Gone before the answer; a client that only closes its half may still get it."""
    async with crowd.act("leaves waiting") as act, crowd.client() as client:
        await client.send([request("GET", "/api/slow?seconds=0.5", act.request_id)])
        await asyncio.sleep(crowd.dice.uniform(0, 0.4))
        client.leave(rudely=crowd.dice.random() < 0.5)


async def leaves_reading(crowd: Crowd) -> None:
    """Gone in the middle of the answer."""
    async with crowd.act("leaves reading") as act, crowd.client(receive_buffer=16_384) as client:
        framing = crowd.dice.choice(("sized", "chunked", "close"))
        await client.send([request("GET", f"/api/bytes?size={4 * MIB}&framing={framing}", act.request_id)])
        await client.reader.read(crowd.dice.choice((1, 1000, 100_000)))
        await asyncio.sleep(crowd.dice.uniform(0, 0.3))
        client.leave(rudely=crowd.dice.random() < 0.5)


async def half_closed(crowd: Crowd) -> None:
    """Says that it has no more to send, and gets its answer."""
    async with crowd.act("half closed") as act, crowd.client() as client:
        await client.send([request("GET", "/api/slow?seconds=0.3", act.request_id)])
        client.half_close()
        (await client.answer()).expect("200", act.request_id)


async def truncated(crowd: Crowd) -> None:
    """An answer that breaks off upstream breaks off for the client: it never looks whole."""
    async with crowd.act("truncated") as act, crowd.client() as client:
        framing = crowd.dice.choice(("sized", "chunked"))
        try:
            answer = await client.ask(request("GET", f"/api/truncated?framing={framing}", act.request_id))
        except Trouble as trouble:
            if trouble.word != "broken off":
                raise
        else:
            raise Trouble(word_of(answer.head), "a whole answer, of one that broke off")


async def garbage(crowd: Crowd) -> None:
    """What is no answer at all is a 502 of ours."""
    async with crowd.act("garbage") as act, crowd.client() as client:
        (await client.ask(request("GET", "/api/garbage", act.request_id))).expect("502 http_protocol_error")


async def always_refused(crowd: Crowd) -> None:
    """A token the upstream never takes: the client gets the refusal."""
    async with crowd.act("always refused") as act, crowd.client() as client:
        (await client.ask(request("GET", "/never/refused", act.request_id))).expect("401")


async def untouched(crowd: Crowd) -> None:
    """A route without a token relays the client's own credentials."""
    async with crowd.act("untouched") as act, crowd.client() as client:
        own = f"Authorization: {PLAIN.decode()}"
        (await client.ask(request("GET", "/plain/echo", act.request_id, own))).expect("200", act.request_id)


async def not_ours(crowd: Crowd) -> None:
    """What the sidecar has to refuse."""
    async with crowd.act("not ours"), crowd.client() as client:
        data, word = crowd.dice.choice(NOT_OURS)
        (await client.ask(data)).expect(word)


async def silent(crowd: Crowd) -> None:
    """Half a head, then nothing: 408 after ten seconds."""
    async with crowd.act("silent"), crowd.client() as client:
        (await client.ask(b"GET /api/echo HTTP/1.1\r\nHost: local")).expect("408 http_request_error")


SHARES = (
    Share(ordinary, 8, 0.2),
    Share(pipelined, 2, 0.2),
    Share(upload, 2, 0.5),
    Share(expects, 1, 0.5),
    Share(download, 2, 0.5),
    Share(slow_reader, 4, 0.5),
    Share(slow_sender, 4, 0.5),
    Share(events, 6, 0.5),
    Share(leaves_asking, 2, 0.3),
    Share(leaves_waiting, 2, 0.3),
    Share(leaves_reading, 2, 0.3),
    Share(half_closed, 1, 0.5),
    Share(truncated, 1, 0.5),
    Share(garbage, 1, 0.5),
    Share(always_refused, 1, 1.0),
    Share(untouched, 2, 0.2),
    Share(not_ours, 1, 0.5),
    Share(silent, 2, 1.0),
    Share(websocket, 3, 0.5),
)
