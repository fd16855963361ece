"""The second send: the same request with another token, if the body could be kept."""

import asyncio
import hashlib

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.clock import settle
from tests.support.sidecar import Running, Start
from tests.support.upstream import OK, Exchange, Script, Upstream, refusal
from tests.support.waiting import PATIENCE

FIRST, SECOND = "canary-token-1", "canary-token-2"
BODY = hashlib.sha256(b"seed").digest() * 1920
"""60 KiB."""


def wait_for(after: int | None, *, hangs_up: bool) -> Script:
    """Refuse when that much of the body came (None: all), then read on or hang up."""

    async def script(exchange: Exchange) -> None:
        await exchange.read(after)
        await exchange.send(refusal())
        if hangs_up:
            exchange.close()
        else:
            await exchange.read()

    return script


@pytest.mark.parametrize("hangs_up", [False, True], ids=["reads on", "hangs up"])
@pytest.mark.parametrize("after", [0, 1, 30_000, None], ids=["before", "begun", "half", "end"])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_b23_the_second_send_is_the_same_request(
    sidecar: Start, upstream: Upstream, after: int | None, *, chunked: bool, hangs_up: bool
) -> None:
    """Method, target, fields and body are the same bytes, whenever the refusal came."""
    upstream.script(wait_for(after, hangs_up=hangs_up))
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(BODY)
    fields = (b"X-b: 1", b"x-B: 2", b"Accept: */*", framing)
    pieces = [BODY[:30_000], BODY[30_000:]]
    if chunked:
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
    async with sidecar() as running, await running.connect() as client:
        await client.send(running.request(b"PATCH", b"/a?b=canary", *fields) + pieces[0])
        await upstream.reached(1)
        await settle()
        await client.send(b"".join(pieces[1:]))
        assert (await client.answer()).status == 200
        assert (await client.ask(running.request(b"GET", b"/next"))).status == 200
    first, second, _ = upstream.requests
    assert hashlib.sha256(second.body).digest() == hashlib.sha256(BODY).digest()
    assert (first.token, second.token) == (FIRST, SECOND)
    assert first.head.raw.replace(FIRST.encode(), SECOND.encode()) == second.head.raw


async def test_b23_trailers_are_sent_again_too(sidecar: Start, upstream: Upstream) -> None:
    """They belong to the request."""
    upstream.script(refusal())
    async with sidecar() as running:
        data = running.request(b"POST", b"/", b"Trailer: X-Sum", b"Transfer-Encoding: chunked")
        assert (await running.ask(data + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")).status == 200
    assert [received.trailers for received in upstream.requests] == [((b"X-Sum", b"1"),)] * 2


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_b24_a_body_too_large_to_keep_is_not_sent_again(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, *, chunked: bool
) -> None:
    """It streams on, the refusal is relayed, and the next request has a fresh token."""
    upstream.script(refusal())
    body = b"a" * 300_000
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    data = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    async with sidecar() as running:
        answer = await running.ask(running.request(b"POST", b"/", framing) + data)
        assert (answer.status, answer.body) == (401, b"refused")
        await authorization_server.reached(2)
        await settle()
        assert (await running.get()).status == 200
    assert upstream.tokens == [FIRST, SECOND]
    assert bytes(upstream.requests[0].body) == body


async def test_b24_the_process_keeps_only_so_much(sidecar: Start, upstream: Upstream) -> None:
    """Bodies over the process's share of 16 MiB are relayed all the same but not sent again."""
    waiting, everyone = 0, asyncio.Event()

    async def all_together(exchange: Exchange) -> None:
        nonlocal waiting
        await exchange.read()
        waiting += 1
        if waiting == 300:
            everyone.set()
        await everyone.wait()
        await exchange.send(refusal())

    # Three hundred connections at once take time on a busy machine.
    patient = {"connect": f"{PATIENCE:.0f}s"}
    route = {"name": "api", "upstream": upstream.url, "token": "api", "timeouts": patient}
    async with sidecar(route) as running:
        upstream.scripts.extend([all_together] * 300)
        post = running.request(b"POST", b"/", b"Content-Length: %d" % len(BODY)) + BODY
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(running.ask(post) for _ in range(300)))
        healed = sum(answer.status == 200 for answer in answers)
        assert healed + sum(answer.status == 401 for answer in answers) == 300
        assert (16 << 20) // (64 << 10) <= healed <= (16 << 20) // len(BODY)
        upstream.script(refusal())
        assert (await running.ask(post)).status in {200, 401}


async def expect_100(running: Running, upstream: Upstream) -> None:
    async with await running.connect() as client:
        await client.send(running.request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5"))
        assert (await client.head()).status == 100
        answer = await client.ask(b"hello")
        assert (answer.status, answer.interim) == (200, ())
    assert [bytes(received.body) for received in upstream.requests] == [b"", b"hello"]


async def test_a_refusal_may_come_before_the_body_was_asked_for(sidecar: Start, upstream: Upstream) -> None:
    """With Expect the refused send has no body at all; the second asks for it and gets it."""

    async def impatient(exchange: Exchange) -> None:
        await exchange.send(refusal())
        exchange.close()

    async def polite(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await exchange.read()
        await exchange.send(OK)

    upstream.script(impatient, polite)
    async with sidecar() as running:
        await expect_100(running, upstream)
