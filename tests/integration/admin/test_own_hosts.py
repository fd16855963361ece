"""Under which names the admin server shows its state: no web page can read it by DNS rebinding."""

import asyncio
import json
from pathlib import Path

import pytest

from sidecar.admin import own_hosts
from sidecar.admin import server as admin
from sidecar.app.listen import bind
from sidecar.core.errors import RequestRefused
from tests.support.admin_server import TOKEN, State, running
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE
from tests.support.wire_client import ask

OPEN = ("/healthz", "/readyz", "/startupz", "/metrics")
GUARDED = ("/", "/status", "/events")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:9181", "10.1.2.3:80", "[::1]:9181", "[2001:db8::1]", "localhost", "LOCALHOST:1",
        "localhost.", "a.localhost", "sidecar.orders.svc", "Sidecar.Orders.SVC:9181", "sidecar.orders.svc.", "pod",
    ],
)  # fmt: skip
def test_s14_addresses_loopback_and_configured_names_are_ours(host: str) -> None:
    """With or without a port; names without regard to case or a dot at the end."""
    own_hosts.check([host], "pod:9181", {"sidecar.orders.svc"})


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["evil.example"], 421),
        (["evil.example:9181"], 421),
        (["localhost.evil.example"], 421),
        (["sidecar.orders.svc.evil.example"], 421),
        (["xsidecar.orders.svc"], 421),
        (["127.0.0.1.evil.example"], 421),
        (["127.1"], 421),
        (["0x7f000001"], 421),
        (["2130706433"], 421),
        (["0.0.0.0.nip.io"], 421),
        (["a@localhost"], 400),
        (["localhost:x"], 400),
        (["localhost/"], 400),
        (["l\u00f6calhost"], 400),
        (["\udcff"], 400),
        (["[::1"], 400),
        (["[evil]"], 400),
        (["localhost, evil.example"], 400),
        ([""], 400),
        ([], 400),
        (["localhost", "localhost"], 400),
        (["localhost", "evil.example"], 400),
    ],
)  # fmt: skip
def test_s14_other_names_are_not(fields: list[str], status: int) -> None:
    """A well-formed one gets 421 and the key to add it to; on a Unix socket there is nothing to guard."""
    with pytest.raises(RequestRefused) as refused:
        own_hosts.check(fields, "0.0.0.0:9181", {"sidecar.orders.svc"})
    assert refused.value.status == status
    assert ("admin.hosts" in str(refused.value)) is (status == 421)
    own_hosts.check(fields, "unix:/run/admin.sock", set())


@pytest.mark.parametrize("path", [*OPEN, *GUARDED])
async def test_s14_probes_and_metrics_answer_under_any_name(path: str) -> None:
    """The others under ours; the refusal names the key."""
    async with running(State(), lifetime=0.5) as rig, asyncio.timeout(PATIENCE):
        head, _, body = (
            await rig.send(f"HEAD {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
        ).partition(b"\r\n\r\n")
        answer = await rig.send(f"GET {path} HTTP/1.1\r\nHost: evil.example:9181\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 " if path in OPEN else b"HTTP/1.1 421 ")
        assert head.startswith(answer[:12] if path != "/events" else b"HTTP/1.1 405 ")
        assert body == b""
        if path in GUARDED:
            problem = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert "add evil.example to admin.hosts" in problem["detail"]
            assert b"1.2.3" not in answer
        rig.state.names = {"evil.example"}
        if path != "/events":  # which does not end
            named = await rig.send(f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
            assert named.startswith(b"HTTP/1.1 200 ")


async def test_s14_a_bust_is_refused_before_its_token_is_looked_at() -> None:
    """A page that was rebound sends the Origin of the very Host, and may have got hold of a token."""
    fields = f"Host: evil.example\r\nOrigin: http://evil.example\r\nAuthorization: Bearer {TOKEN}\r\n"
    async with running(State()) as rig:
        answer = await rig.send(
            f'POST /bust HTTP/1.1\r\n{fields}Content-Length: 13\r\n\r\n{{"all": true}}'.encode()
        )
        assert answer.startswith(b"HTTP/1.1 421 ")
        assert rig.state.busted == []


async def test_s14_a_unix_socket_takes_any_name(tmp_path: Path) -> None:
    """No browser reaches it."""
    server = await admin.start(State(), f"unix:{tmp_path / 'admin'}", RecordingJournal(), bind)
    answer = await ask(server.address, b"GET /status HTTP/1.1\r\nHost: sidecar\r\n\r\n")
    assert answer.status == 200
    await server.close()
