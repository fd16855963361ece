"""The access log's fields, each filled by what really happened to a request."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.clock import FakeClock
from tests.support.sidecar import Running, Start
from tests.support.upstream import Exchange, Upstream, closing, refusal
from tests.support.waiting import PATIENCE
from tests.support.wire_client import TruncatedError, ask, reset

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
TENANT = {"header": "X-Tenant-Id", "default": "acme"}
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
OURS = (b"X-Request-Id: req-1", b"traceparent: 00-%s-00f067aa0ba902b7-01" % TRACE)


def fingerprints(running: Running) -> list[object]:
    return [line["fp"] for line in running.events("token_fetched")]


async def at_rest(running: Running) -> None:
    """Wait until no request is in flight."""
    async with asyncio.timeout(PATIENCE):
        while (
            b"\nhttp_server_active_requests 0.0\n" not in (await ask(running.app.admin_address, SCRAPE)).body
        ):
            pass


async def test_a_request_that_was_healed_fills_every_field(sidecar: Start, upstream: Upstream) -> None:
    """Method, sizes, both sends, the token that was fetched for it, and whose it was."""
    upstream.script(refusal())
    async with sidecar(tenant=TENANT) as running:
        body = running.request(b"POST", b"/a/b?c=canary", *OURS, b"Content-Length: 6") + b"canary"
        assert (await running.ask(body)).status == 200
    (line,) = running.events("request")
    times = {name: line.pop(name) for name in ("ts", "duration_ms", "upstream_ms")}
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "req-1",
        "trace_id": TRACE.decode(),
        "method": "POST",
        "route": "api",
        "path": "/a/b",
        "status": 200,
        "attempts": 2,
        "token": "fetch",
        "fp": fingerprints(running)[1],
        "tenant": "acme",
        "bytes_in": 6,
        "bytes_out": 2,
        "error": "",
    }
    assert str(times["ts"]).startswith("2027-01-15T08:")
    assert 0 < float(str(times["upstream_ms"])) < float(str(times["duration_ms"]))


async def test_where_a_token_came_from_is_told(sidecar: Start) -> None:
    """Fetched while the request waited, then out of memory; always the same one."""
    async with sidecar() as running:
        for _ in range(2):
            assert (await running.get()).status == 200
    first, second = running.events("request")
    assert (first["token"], second["token"]) == ("fetch", "memory")
    assert [first["fp"], second["fp"]] == fingerprints(running) * 2
    assert first["request_id"] != second["request_id"]


@pytest.mark.parametrize(
    ("asking", "expected"),
    [
        (
            b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            {"status": 421, "error": "foreign_host", "route": ""},
        ),
        (b"nonsense\r\n\r\n", {"status": 400, "error": "bad_request", "method": "", "path": ""}),
    ],
)
async def test_what_is_refused_says_why(
    sidecar: Start, asking: bytes, expected: Mapping[str, object]
) -> None:
    """With one of the documented words; nothing was sent, and no token was needed."""
    async with sidecar() as running:
        assert (await running.ask(asking)).status == expected["status"]
    (line,) = running.events("request")
    assert expected.items() <= line.items()
    assert (line["attempts"], line["token"], line["fp"], line["upstream_ms"]) == (0, "none", "", 0)


async def test_an_upstream_without_an_answer_took_its_time(
    sidecar: Start, upstream: Upstream, clock: FakeClock
) -> None:
    """It was sent, and what the wait came to is there though no answer is."""

    async def dawdle(exchange: Exchange) -> None:
        await exchange.read()
        await clock.advance(2)
        exchange.close()

    upstream.script(dawdle)
    async with sidecar() as running:
        assert (await running.get()).status == 502
    (line,) = running.events("request")
    assert (line["status"], line["error"], line["attempts"]) == (502, "upstream_unreachable", 1)
    assert 2000 <= float(str(line["upstream_ms"])) < 2100


async def test_an_answer_that_breaks_off_keeps_its_status(sidecar: Start, upstream: Upstream) -> None:
    """That is what the client got; the error shows that it did not get all of it."""
    upstream.script(closing(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    async with sidecar() as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        with pytest.raises(TruncatedError):
            await client.answer()
    (line,) = running.events("request")
    assert (line["status"], line["error"]) == (200, "upstream_malformed")


async def test_a_client_that_left_has_no_status(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """It got no answer."""
    authorization_server.hold = asyncio.Event()
    async with sidecar() as running:
        async with await running.connect() as client:
            await client.send(running.request(b"GET", b"/"))
            await authorization_server.reached(1)
            reset(client.writer)
        await at_rest(running)
        authorization_server.hold.set()
        await running.get()
    left, _ = sorted(running.events("request"), key=lambda line: int(str(line["status"])))
    assert (left["status"], left["error"], left["bytes_out"], left["token"]) == (0, "client_gone", 0, "fetch")
