"""The rig itself: what it records and what it refuses, without a sidecar between."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.environment import SAFE_PATH, VARIABLE, bare, unmeasured
from tests.support.redis_server import RedisServer, newer_redis
from tests.support.upstream import OK, FaultProxy, Upstream, closing, early, hang_up
from tests.support.waiting import awake
from tests.support.wire_client import Client, TruncatedError, WireError, ask


async def test_the_upstream_records_requests_as_they_were_sent(upstream: Upstream) -> None:
    """First line, fields in order and case, body, trailers and the connection are kept."""
    async with await Client.connect(f"127.0.0.1:{upstream.port}") as client:
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nX-b: 1\r\nx-B:  2 \r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send_in_pieces(*(bytes([byte]) for byte in head))
        assert (await client.ask(b"3\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n")).body == b"ok"
        assert (await client.ask(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200
    first, second = upstream.requests
    assert first.head.fields[1:3] == ((b"X-b", b"1"), (b"x-B", b"2"))
    assert (bytes(first.body), first.chunks, first.trailers) == (
        b"abcde",
        [b"abc", b"de", b""],
        ((b"T", b"v"),),
    )
    assert (first.connection, second.connection, second.head.target) == (1, 1, b"/b")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"rubbish",
    ],
)
async def test_the_client_refuses_loose_answers(upstream: Upstream, answer: bytes) -> None:
    """Whatever could be read in two ways is an error."""
    upstream.script(closing(answer))
    with pytest.raises(WireError):
        await ask(f"127.0.0.1:{upstream.port}", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_the_client_tells_how_connections_end(upstream: Upstream) -> None:
    """A close, a RST, and a body that stops early are three things."""
    address, get = f"127.0.0.1:{upstream.port}", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    upstream.script(closing(OK), closing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"), hang_up)
    async with await Client.connect(address) as client:
        await client.ask(get)
        assert await client.ending() == "closed"
    with pytest.raises(TruncatedError) as truncated:
        await ask(address, get)
    assert (truncated.value.received, truncated.value.reset) == (b"part", False)
    with pytest.raises(TruncatedError):
        await ask(address, get)
    async with await Client.connect(address) as client:
        await client.ask(get)
        upstream.drop(hard=True)
        assert await client.ending() == "reset"


async def test_scripts_may_answer_while_the_body_comes(upstream: Upstream) -> None:
    """An early answer does not end the reading."""
    upstream.script(early(OK, after=3))
    async with await Client.connect(f"127.0.0.1:{upstream.port}") as client:
        await client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        assert (await client.answer()).status == 200
        assert not upstream.requests[0].whole
        await client.send(b"def")
        assert (await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200
    assert bytes(upstream.requests[0].body) == b"abcdef"


async def test_tokens_are_accepted_until_revoked(
    upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The upstream takes what the authorization server issued and did not revoke."""
    upstream.accepts = set()
    post = b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b"
    assert b"canary-token-1" in (await ask(f"127.0.0.1:{authorization_server.port}", post)).body
    get = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-token-1\r\n\r\n"
    assert (await ask(f"127.0.0.1:{upstream.port}", get)).status == 200
    authorization_server.revoke("canary-token-1")
    assert (await ask(f"127.0.0.1:{upstream.port}", get)).status == 401
    assert authorization_server.forms == [{"a": ["b"]}]


async def test_the_fault_proxy_stalls_and_cuts(upstream: Upstream) -> None:
    """Bytes wait while it stalls; both sides lose the connection when it drops."""
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with FaultProxy(f"127.0.0.1:{upstream.port}") as proxy:  # noqa: SIM117  the port is known then
        async with await Client.connect(f"127.0.0.1:{proxy.port}") as client:
            assert (await client.ask(get)).status == 200
            proxy.flowing.clear()
            asking = asyncio.create_task(client.ask(get))
            await awake(0.05)
            assert not asking.done()
            proxy.flowing.set()
            assert (await asking).status == 200
            proxy.drop(hard=True)
            assert await client.ending() == "reset"


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [
        ("", pytest.skip.Exception),
        ("Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", pytest.skip.Exception),
        ("Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64", pytest.skip.Exception),
        ("something else", pytest.skip.Exception),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", None),
        ("Redis server v=10.2.0 sha=00000000:1 malloc=libc bits=64", None),
        ("Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", None),
    ],
)
@pytest.mark.parametrize("ci", [False, True])
def test_a_newer_redis_is_one_of_the_path_and_must_be_there_in_ci(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    ci: bool,
    shown: str,
    outcome: type[BaseException] | None,
) -> None:
    """Version 7 or later. Without one the test is skipped with the reason, and in CI it fails."""
    program = tmp_path / "redis-server"
    if shown:
        program.write_text(f"#!/bin/sh\necho '{shown}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true" if ci else "")
    if outcome is None:
        assert newer_redis.__wrapped__() == str(program)
        return
    with pytest.raises(pytest.fail.Exception if ci else outcome, match=r"no Redis 7 or newer.*`make redis`"):
        newer_redis.__wrapped__()


def test_the_oldest_redis_is_the_wheels_whatever_the_path_has(redis_server: RedisServer) -> None:
    """Tests depend on no machine."""
    with redis_server.client() as client:
        assert str(client.info("server")["redis_version"]).startswith("6.2.")


def test_a_child_is_measured_where_the_tests_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage's variable goes along with an environment of the child's own, and is not made up."""
    monkeypatch.setenv(VARIABLE, "config")
    monkeypatch.delenv(SAFE_PATH, raising=False)
    assert bare({"A": "b"}) == {VARIABLE: "config", "A": "b"}
    assert {**unmeasured(), VARIABLE: "config"} == os.environ
    monkeypatch.delenv(VARIABLE)
    assert bare({"A": "b"}) == {"A": "b"}


@pytest.mark.unmeasured
def test_a_child_that_is_measured_otherwise_is_not_slowed_down_by_coverage() -> None:
    """Neither with the tests' environment nor with one of its own."""
    assert VARIABLE not in {*os.environ, *bare()}
