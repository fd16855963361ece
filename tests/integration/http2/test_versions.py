"""Which version a connection and a route use, and what the other version gets."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecar.config.load import load
from tests.support.clock import settle
from tests.support.http2_client import Http2Client
from tests.support.http2_peer import PREFACE, frame, settings
from tests.support.http2_upstream import Http2Upstream
from tests.support.processes import File
from tests.support.sidecar import Start
from tests.support.upstream import Upstream
from tests.support.wire_client import Client

GRPC = (b"content-type", b"application/grpc+proto")


def both(http2: Http2Upstream, upstream: Upstream) -> tuple[Mapping[str, object], ...]:
    """A route of each version."""
    return (
        {"name": "new", "match": {"prefix": "/new"}, "upstream": http2.url, "protocol": "http2"},
        {"name": "old", "match": {"prefix": "/old"}, "upstream": upstream.url},
    )


async def test_b93_one_port_serves_both_versions(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream
) -> None:
    """Each connection by its first bytes."""
    async with (
        sidecar(*both(http2, upstream)) as running,
        await Http2Client.connect(running.address) as new,
        await running.connect() as old,
    ):
        for _ in range(3):
            assert (await new.ask(b"GET", b"/new")).status == 200
            assert (await old.ask(running.request(b"GET", b"/old"))).status == 200
    assert (len(http2.requests), len(upstream.requests)) == (3, 3)
    lines = running.events("request")
    assert [line.get("protocol") for line in lines] == ["http2", None] * 3


async def test_b93_http2_on_a_unix_socket(sidecar: Start, http2: Http2Upstream, tmp_path: Path) -> None:
    """Prior knowledge there too; any authority."""
    route = {"name": "far", "upstream": http2.url, "protocol": "http2"}
    async with (
        sidecar(route, listen=f"unix:{tmp_path}/s") as running,
        await Http2Client.connect(running.address) as client,
    ):
        assert (await client.ask(authority=b"any.example")).status == 200


@pytest.mark.parametrize("at", range(1, len(PREFACE) + 1))
async def test_b93_the_preface_may_arrive_in_pieces(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream, at: int
) -> None:
    """Cut at every byte."""
    async with sidecar(*both(http2, upstream)) as running:
        client = await Client.connect(running.address)
        async with client:
            await client.send_in_pieces(PREFACE[:at], PREFACE[at:] + settings())
            assert (await client.reader.readexactly(9))[3] == 4


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        b"PRI * HTTP/2.0\r\n\r\nX",
        b"PRI * HTTP/1.1\r\n\r\n",
        b"PRI / HTTP/2.0\r\n\r\n",
    ],
)
async def test_what_is_nearly_a_preface_is_a_bad_request(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream, sent: bytes
) -> None:
    """Of HTTP/1.1."""
    async with sidecar(*both(http2, upstream)) as running, await running.connect() as client:
        assert (await client.refused(sent)).status == 400


async def test_a_preface_after_a_request_is_none(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream
) -> None:
    """A connection has one version."""
    async with sidecar(*both(http2, upstream)) as running, await running.connect() as client:
        assert (await client.ask(running.request(b"GET", b"/old"))).status == 200
        assert (await client.refused(PREFACE)).status == 400


async def test_b93_the_other_version_gets_a_problem(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream
) -> None:
    """Which names the route and what to do; no upstream sees the request."""
    async with (
        sidecar(*both(http2, upstream)) as running,
        await Http2Client.connect(running.address) as new,
        await running.connect() as old,
    ):
        over2 = await new.ask(b"POST", b"/old", [], b"content")
        over1 = await old.ask(running.request(b"GET", b"/new"))
        assert (await new.ask(b"GET", b"/new")).status == 200
        assert (await old.ask(running.request(b"GET", b"/old"))).status == 200
    assert (over2.status, over1.status) == (502, 502)
    assert b"route old uses HTTP/1.1: send HTTP/1.1, or set `protocol: http2`" in over2.body
    assert b"route new uses HTTP/2: send HTTP/2, or remove `protocol: http2`" in over1.body
    assert [line["error"] for line in running.events("request")][:2] == ["wrong_version"] * 2
    assert (len(http2.requests), len(upstream.requests)) == (1, 1)


async def test_b93_a_grpc_client_gets_a_status(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream
) -> None:
    """UNIMPLEMENTED in a head that ends the stream."""
    async with (
        sidecar(*both(http2, upstream)) as running,
        await Http2Client.connect(running.address) as client,
    ):
        answer = await client.ask(b"POST", b"/old/Method", [GRPC, (b"te", b"trailers")], b"\0\0\0\0\0")
    assert dict(answer.fields) == {
        b":status": b"200",
        b"content-type": b"application/grpc",
        b"grpc-status": b"12",
        b"grpc-message": b"route old uses HTTP/1.1: send HTTP/1.1, or set `protocol: http2`",
    }
    assert bytes(answer.body) == b""


async def test_without_a_route_of_http2_its_clients_are_refused(sidecar: Start, upstream: Upstream) -> None:
    """In HTTP/1.1, as ever; and none of it is loaded."""
    program = """
import sys
from sidecar.app.sidecar import Sidecar
from sidecar.config.load import load
print([name for name in sys.modules if name.startswith("sidecar.http2")])
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
    async with sidecar() as running, await running.connect() as client:
        assert (await client.refused(PREFACE)).status == 400


async def test_a_reload_brings_http2_and_takes_it_away(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream, file: File
) -> None:
    """For new connections; those that there are serve on, and get the other route's answer."""
    old, new = (
        {"name": "a", "upstream": upstream.url},
        {"name": "a", "upstream": http2.url, "protocol": "http2"},
    )
    async with sidecar(old) as running:
        file.change(routes=[new])
        await running.app.reload(load(str(file.path), {}))
        async with await Http2Client.connect(running.address) as client:
            assert (await client.ask()).status == 200
            file.change(routes=[old])
            await running.app.reload(load(str(file.path), {}))
            assert (await client.ask()).status == 502
        async with await running.connect() as client1:
            assert (await client1.refused(PREFACE)).status == 400


async def test_a_first_read_that_is_large_stops_no_reading(
    sidecar: Start, http2: Http2Upstream, upstream: Upstream
) -> None:
    """It may arrive before the story runs, and then pauses the transport, which is handed over."""
    ours, theirs = socket.socketpair()
    async with sidecar(*both(http2, upstream)) as running:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        connection = running.app._listener.connection()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(PREFACE + settings() + frame(99, 0, 0, bytes(16_000)) * 5)
        assert not transport.is_reading()
        await settle()
        assert transport.is_reading()
        transport.abort()
        theirs.close()
