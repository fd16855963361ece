"""An upstream's outage in the log: its cause, its beginning and its end, each once."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from sidecar.config.load import load
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream, hang_up

Route = dict[str, object]
FREE_PORT = "127.0.0.1:1"
"""A port at which no server listens."""
UNREACHABLE: Mapping[str, tuple[str, str]] = {
    "refused": (f"http://{FREE_PORT}", "onnection refused"),
    "refused with TLS": (f"https://{FREE_PORT}", "onnection refused"),
    "no such name": ("http://no-such-host.invalid", "cannot connect to no-such-host.invalid:80"),
}


@pytest.mark.parametrize("kind", UNREACHABLE)
async def test_o4_the_log_names_the_cause_of_an_outage_once(sidecar: Start, plain: Route, kind: str) -> None:
    """However many requests fail; `/status` has the same cause."""
    url, cause = UNREACHABLE[kind]
    async with sidecar({**plain, "upstream": url}) as running:
        for _ in range(3):
            assert (await running.get()).status == 502
        [health] = await running.rows("health")
    [down] = running.events("upstream_down")
    assert (down["upstream"], down["level"]) == (url, "warning")
    assert cause in str(down["error"])
    assert cause in str(health["why"])
    assert running.events("upstream_up") == []


NOW = datetime.now(UTC)
CERTIFICATES: Mapping[str, tuple[str, timedelta, str]] = {
    "expired": ("127.0.0.1", -timedelta(days=1), "certificate has expired"),
    "another name": ("127.0.0.2", timedelta(days=9), "IP address mismatch"),
}


@pytest.mark.parametrize("kind", CERTIFICATES)
async def test_o4_a_certificate_is_the_cause(sidecar: Start, tmp_path: Path, kind: str) -> None:
    """In OpenSSL's words."""
    name, left, cause = CERTIFICATES[kind]
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue_cert(name, not_before=NOW - timedelta(days=9), not_after=NOW + left)
    issued.configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Upstream(tls) as secure:
        route = {"name": "up", "upstream": secure.url, "tls": {"ca_file": str(tmp_path / "ca.pem")}}
        async with sidecar(route) as running:
            assert (await running.get()).status == 502
    [down] = running.events("upstream_down")
    assert cause in str(down["error"])


async def post(running: Running) -> int:
    """Send what is not sent again if a connection is lost."""
    return (await running.ask(running.request(b"POST", b"/"), "POST")).status


async def test_o4_each_change_is_an_event(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """An outage, its end after a minute, and another outage; the first answer of all is no change."""
    async with sidecar(plain) as running:
        assert await post(running) == 200
        for _ in range(2):
            upstream.script(hang_up, hang_up)
            assert await post(running) == 502
            await running.clock.advance(60)
            assert await post(running) == 502
            assert await post(running) == 200
            assert await post(running) == 200
    told = [line["event"] for line in running.log() if str(line["event"]).startswith("upstream_")]
    assert told == ["upstream_down", "upstream_up"] * 2
    for up in running.events("upstream_up"):
        assert isinstance(up["seconds"], float)
        assert 60 <= up["seconds"] < 61
    assert "before it answered" in str(running.events("upstream_down")[0]["error"])


async def test_o4_an_outage_that_began_before_a_reload_ends_after_it(
    sidecar: Start, plain: Route, upstream: Upstream, tmp_path: Path
) -> None:
    """The upstream's connections are kept, and with them what is known of it."""
    async with sidecar(plain) as running:
        upstream.script(hang_up)
        assert await post(running) == 502
        await running.app.try_reload(lambda: load(str(tmp_path / "config.yaml"), {}))
        assert await post(running) == 200
    assert len(running.events("upstream_down")) == len(running.events("upstream_up")) == 1


async def test_o4_a_flapping_upstream_is_logged_once_a_minute(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """The next event has the number of outages since."""
    async with sidecar(plain) as running:
        for _ in range(10):
            upstream.script(hang_up)
            assert [await post(running), await post(running)] == [502, 200]
        await running.clock.advance(60)
        upstream.script(hang_up)
        assert [await post(running), await post(running)] == [502, 200]
    assert [down["outages"] for down in running.events("upstream_down")] == [1, 10]
    assert len(running.events("upstream_up")) == 2
