"""A sidecar between HTTP/2 peers."""

from collections.abc import AsyncIterator

import pytest

from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import Http2Upstream
from tests.support.sidecar import Running, Start
from tests.support.upstream import Server


@pytest.fixture
async def http2() -> AsyncIterator[Http2Upstream]:
    """The upstream; whatever reached it was well-formed."""
    async with Http2Upstream() as upstream:
        yield upstream
        assert upstream.malformed == []


@pytest.fixture
async def listener(http2: Http2Upstream, sidecar: Start) -> AsyncIterator[Running]:
    """A sidecar with a route of HTTP/2 for everything, without a token."""
    async with sidecar(route(http2)) as running:
        yield running


def route(server: Server, /, **more: object) -> dict[str, object]:
    """A route of HTTP/2 for everything, without a token."""
    return {"name": "far", "upstream": server.url, "protocol": "http2", **more}


async def connect(running: Running) -> Http2Client:
    return await Http2Client.connect(running.address)
