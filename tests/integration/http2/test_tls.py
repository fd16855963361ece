"""HTTP/2 to an upstream over TLS: agreed on by ALPN, with a certificate of the sidecar's own if the route has one."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import Http2Upstream, echo
from tests.support.sidecar import Start
from tests.support.upstream import Upstream

AUTHORITY = trustme.CA()


def context(*alpn: str) -> ssl.SSLContext:
    """A server's, which chooses one of these protocols."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(made)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


def route(server: Http2Upstream | Upstream, directory: Path, **tls: str) -> Mapping[str, object]:
    AUTHORITY.cert_pem.write_to_path(str(directory / "ca.pem"))
    tls = {"ca_file": str(directory / "ca.pem"), **tls}
    return {"name": "far", "upstream": server.url, "protocol": "http2", "tls": tls}


async def test_b93_http2_by_alpn(sidecar: Start, tmp_path: Path) -> None:
    """With content both ways; the scheme is https."""
    content = bytes(range(256)) * 4096
    async with Http2Upstream(context("h2", "http/1.1")) as far:
        far.script(echo)
        async with (
            sidecar(route(far, tmp_path)) as running,
            await Http2Client.connect(running.address) as client,
        ):
            assert bytes((await client.ask(b"POST", b"/", [], content)).body) == content
            assert (await client.ask()).status == 200
        assert far.malformed == []
    assert {bytes(value) for received in far.requests for value in received.values(":scheme")} == {b"https"}
    assert {received.connection for received in far.requests} == {1}


@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("http/1.0", "http/1.1")])
async def test_b93_an_upstream_that_does_not_agree_is_named(
    sidecar: Start, upstream: Upstream, tmp_path: Path, alpn: tuple[str, ...]
) -> None:
    """One without ALPN speaks HTTP/1.1; nothing is sent to it."""
    async with Upstream(context(*alpn)) as old:
        async with (
            sidecar(route(old, tmp_path)) as running,
            await Http2Client.connect(running.address) as client,
        ):
            answer = await client.ask()
        assert old.requests == []
        old.malformed.clear()
    assert answer.status == 502
    assert b"does not accept HTTP/2 over TLS" in answer.body


async def test_a_client_certificate_is_shown(sidecar: Start, tmp_path: Path) -> None:
    """As over HTTP/1.1."""
    mutual = context("h2")
    mutual.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(mutual)
    own = tmp_path / "own.pem"
    own.write_bytes(AUTHORITY.issue_cert("sidecar@pod").private_key_and_cert_chain_pem.bytes())
    async with Http2Upstream(mutual) as far:
        with_own = route(far, tmp_path, certificate_file=str(own))
        async with sidecar(with_own) as running, await Http2Client.connect(running.address) as client:
            assert (await client.ask()).status == 200
        async with (
            sidecar(route(far, tmp_path)) as running,
            await Http2Client.connect(running.address) as client,
        ):
            assert (await client.ask()).status == 502
