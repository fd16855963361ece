"""The admin server over real sockets."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sidecar.admin import server as admin
from sidecar.admin.bust import MAX_BODY
from sidecar.admin.ports import Readiness
from sidecar.admin.server import MAX_CONNECTIONS
from sidecar.app.listen import bind
from sidecar.cache.refused_tokens import BustFailure
from sidecar.core.errors import ListenError
from sidecar.core.secret import Secret
from tests.support.admin_server import TOKEN, Rig, State, bust, running
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """An admin server on a port of its own."""
    async with running(State()) as rig:
        yield rig


@pytest.mark.parametrize(
    ("readiness", "status"),
    [
        (Readiness(ok=True), 200),
        (Readiness(ok=True, degraded=True, detail="the store is down"), 200),
        (Readiness(ok=False, detail="draining"), 503),
    ],
)
async def test_readyz_says_whether_to_send_requests_here(rig: Rig, readiness: Readiness, status: int) -> None:
    """Degraded is still ready."""
    rig.state.readiness = readiness
    answered, headers, body = await rig.ask("GET", "/readyz")
    assert answered == status
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "ok": readiness.ok,
        "degraded": readiness.degraded,
        "detail": readiness.detail,
    }


@pytest.mark.parametrize(("done", "status"), [(True, 200), (False, 503)])
async def test_startupz_says_whether_start_up_is_over(rig: Rig, done: bool, status: int) -> None:
    """Kubernetes holds liveness probes until then."""
    rig.state.is_started = done
    answered, _, body = await rig.ask("GET", "/startupz")
    assert (answered, json.loads(body)) == (status, {"started": done})


async def test_healthz_depends_on_nobody(rig: Rig) -> None:
    """Neither start-up nor readiness matter: a liveness probe must never kill a pod that only waits."""
    rig.state.readiness, rig.state.is_started = Readiness(ok=False), False
    answered, _, body = await rig.ask("GET", "/healthz")
    assert (answered, json.loads(body)) == (200, {"status": "ok"})


async def test_metrics_come_as_prometheus_text(rig: Rig) -> None:
    """The content type names the format's version."""
    answered, headers, body = await rig.ask("GET", "/metrics")
    assert answered == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert body == await rig.state.metrics()


async def test_b82_status_is_json_and_a_stray_secret_shows_its_fingerprint_only(rig: Rig) -> None:
    """Even a programming error shows no secret."""
    rig.state.shown = {"tokens": [{"name": "ledger", "secret": Secret("canary", "abcdef012345")}]}
    answered, _, body = await rig.ask("GET", "/status")
    assert answered == 200
    assert json.loads(body) == {"tokens": [{"name": "ledger", "secret": "<secret abcdef012345>"}]}


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/page.html", 404, "Not Found"),
        ("GET", "/nowhere", 404, "Not Found"),
        ("GET", "/healthz/", 404, "Not Found"),
        ("POST", "/healthz", 405, "Method Not Allowed"),
        ("DELETE", "/status", 405, "Method Not Allowed"),
    ],
)
async def test_whatever_else_is_asked_is_a_problem(
    rig: Rig, method: str, path: str, status: int, title: str
) -> None:
    """RFC 9457; a 405 names what is allowed (RFC 9110 section 15.5.6)."""
    answered, headers, body = await rig.ask(method, path)
    assert answered == status
    assert headers["Content-Type"] == "application/problem+json"
    assert headers.get("Allow") == ("GET, HEAD" if status == 405 else None)
    assert json.loads(body) == {"title": title, "status": status}


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/nowhere"])
async def test_head_gets_the_same_head_and_no_body(rig: Rig, path: str) -> None:
    """RFC 9110 section 9.3.2."""
    status, headers, body = await rig.ask("GET", path)
    answer = await rig.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert f"Content-Length: {len(body)}".encode() in head
    assert headers["Content-Length"] == str(len(body))
    assert rest == b""


async def test_any_host_will_do_for_probes(rig: Rig) -> None:
    """The kubelet asks by the pod's address, Prometheus by whatever it found."""
    answer = await rig.send(b"GET /healthz HTTP/1.1\r\nHost: evil.example:99\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "data",
    [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        b"rubbish\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40 + b"\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
    ],
)
async def test_no_answer_names_the_software_behind_it(
    rig: Rig, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither versions nor the parser's opinion; malformed and oversized heads are refused, not logged."""
    with caplog.at_level(logging.WARNING):
        answer = await rig.send(data)
    assert answer.startswith(b"HTTP/1.")
    for word in (b"aiohttp", b"ython", b"pars"):
        assert word not in answer
    assert b"Server: sidecar\r\n" in answer
    assert (b" 200 " in answer[:16]) is (b"healthz" in data)
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


async def test_a_connection_carries_one_request(rig: Rig) -> None:
    """Nothing is kept open that could be worn out; a pipelined second request is not answered."""
    answer = await rig.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer


async def test_who_only_holds_connections_keeps_no_probe_out(rig: Rig) -> None:
    """Above the limit the oldest makes way, one for each that comes."""
    host, port = rig.server.address.rsplit(":", 1)
    idle = [await asyncio.open_connection(host, int(port)) for _ in range(MAX_CONNECTIONS)]
    answer = await rig.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert await closed(idle[0][0])
    assert not idle[1][0].at_eof()
    for _, writer in idle:
        writer.close()


async def test_who_never_ends_a_bust_is_no_bug_of_ours() -> None:
    """It is cut off; nothing is bust, and no bug is reported."""
    state, journal = State(), RecordingJournal()
    server = await admin.start(state, "127.0.0.1:0", journal, bind, lifetime=0.2)
    host, port = server.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    fields = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n"
    writer.write(f"POST /bust HTTP/1.1\r\n{fields}\r\n{{".encode())
    assert await closed(reader)
    writer.close()
    await server.close()
    assert (state.busted, journal.events) == ([], [])


async def test_a_silent_connection_is_cut_off() -> None:
    """No client holds a place for longer than a connection's lifetime."""
    server = await admin.start(State(), "127.0.0.1:0", RecordingJournal(), bind, lifetime=0.05)
    host, port = server.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HT")
    assert await closed(reader)
    writer.close()
    await server.close()


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the server ended the connection without an answer."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


async def test_a_bug_in_an_answer_is_told_and_the_server_lives_on(rig: Rig) -> None:
    """A 500 without the exception's text; the journal gets its type and place."""

    async def broken() -> bytes:
        raise RuntimeError("canary")

    rig.state.text = broken
    answered, _, body = await rig.ask("GET", "/metrics")
    assert answered == 500
    assert b"canary" not in body
    assert (await rig.ask("GET", "/healthz"))[0] == 200
    (event,) = rig.journal.named("failed")
    assert "RuntimeError at test_admin.py:" in str(event)
    assert "canary" not in str(event)


async def test_a_unix_socket_will_do_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    """A socket file left by a killed process does not keep the next one from starting."""
    path = tmp_path / "admin.sock"
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(path))
    left_over.close()
    server = await admin.start(State(), f"unix:{path}", RecordingJournal(), bind)
    assert server.address == f"unix:{path}"
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://sidecar/healthz") as answer,
    ):
        assert answer.status == 200
    await server.close()


async def test_a_live_unix_socket_is_not_taken_over(tmp_path: Path) -> None:
    """The event loop would replace it silently."""
    listen = f"unix:{tmp_path / 'admin.sock'}"
    server = await admin.start(State(), listen, RecordingJournal(), bind)
    with pytest.raises(ListenError, match="another process listens there"):
        await admin.start(State(), listen, RecordingJournal(), bind)
    await server.close()


async def test_an_address_in_use_is_a_listen_error_that_names_it(rig: Rig) -> None:
    """The message says which key, which address and why."""
    with pytest.raises(ListenError, match=f"cannot listen on {rig.server.address}: .*in use"):
        await admin.start(State(), rig.server.address, RecordingJournal(), bind)


@pytest.mark.parametrize("listen", ["", "127.0.0.1", "127.0.0.1:99999", "unix:relative", "192.0.2.1:0"])
async def test_an_address_that_cannot_be_bound_is_a_listen_error(listen: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ListenError, match="cannot listen on"):
        await admin.start(State(), listen, RecordingJournal(), bind)


async def test_closing_ends_silent_connections_and_frees_the_port() -> None:
    """Bounded: no connected client can delay the end."""
    server = await admin.start(State(), "127.0.0.1:0", RecordingJournal(), bind)
    host, port = server.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(PATIENCE):
        await server.close()
        assert await closed(reader)
    writer.close()
    again = await admin.start(State(), server.address, RecordingJournal(), bind)
    await again.close()


@pytest.mark.parametrize(
    ("body", "chosen", "select"),
    [
        ({"tenant": "acme"}, {("tenant", "acme")}, "tenant=acme"),
        (
            {"user": "a:b", "service": "ledger", "jti": "1", "team": "t", "role": "r"},
            {("user", "a:b"), ("service", "ledger"), ("jti", "1"), ("team", "t"), ("role", "r")},
            "service=ledger user=a:b jti=1 team=t role=r",
        ),
        ({"all": True}, set(), "all"),
    ],
)
async def test_o8_a_bust_names_a_set_and_tells_what_each_pod_dropped(
    rig: Rig, body: dict[str, object], chosen: set[tuple[str, str]], select: str
) -> None:
    """Every label must be carried; no label at all takes an explicit `all`."""
    head, told = await bust(rig, json.dumps(body).encode())
    assert head.startswith(b"HTTP/1.1 200 ")
    assert told == {
        "select": select,
        "pods": 3,
        "dropped": {"a": 2, "b": 0, "c": 1},
        "unanswered": 0,
        "summary": "3 pods answered: a dropped 2, b 0, c 1",
        "warnings": [],
    }
    assert rig.state.busted == [frozenset(chosen)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"tenant=acme",
        b"\xff",
        b"[" * 10_000,
        b'{"all": false}',
        b'{"all": 1}',
        b'{"all": 1.0}',
        b'{"all": "true"}',
        b'{"all": 1, "tenant": "acme"}',
        b'{"all": true, "tenant": "acme"}',
        b'{"tenants": "acme"}',
        b'{"tenant": ""}',
        b'{"tenant": ["acme"]}',
        b'{"tenant": "a\\u0000b"}',
    ],
)
async def test_b52_what_names_no_set_busts_nothing(rig: Rig, body: bytes) -> None:
    """Neither by mistake nor by default is everything bust."""
    head, told = await bust(rig, body)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert told["detail"]
    assert rig.state.busted == []


async def test_o8_a_bust_by_labels_that_no_token_can_carry_gets_422(rig: Rig) -> None:
    """With the reason, but only to clients that may bust."""
    rig.state.impossible = "cannot bust tenant=a/b: it is not a tenant id; use letters"
    head, told = await bust(rig, b'{"tenant": "a/b"}')
    assert head.startswith(b"HTTP/1.1 422 ")
    assert (told["status"], told["detail"]) == (422, rig.state.impossible)
    head, told = await bust(rig, b'{"tenant": "a/b"}', authorization="Bearer wrong")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert "a/b" not in str(told)
    assert (rig.state.busted, rig.journal.events) == ([], [])


async def test_o8_a_bust_by_labels_that_this_pod_does_not_have_is_sent_with_warnings(rig: Rig) -> None:
    """Another pod may have them; also if the bust fails."""
    rig.state.unknown = ["tenant=acmee: this pod's tenant.allow does not contain it; did you mean acme?"]
    head, told = await bust(rig, b'{"tenant": "acmee"}')
    assert head.startswith(b"HTTP/1.1 200 ")
    assert (told["pods"], told["warnings"]) == (3, rig.state.unknown)
    assert rig.state.busted == [frozenset({("tenant", "acmee")})]
    rig.state.outcome = BustFailure("publish", "TimeoutError")
    head, told = await bust(rig, b'{"tenant": "acmee"}')
    assert head.startswith(b"HTTP/1.1 503 ")
    assert str(told["detail"]).endswith(f"; try again; {rig.state.unknown[0]}")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN[:-1]}\u00e9",
        f"Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}",
    ],
)
async def test_b52_whoever_does_not_show_the_token_busts_nothing(rig: Rig, authorization: str) -> None:
    """401 with the scheme to use (RFC 9110 section 15.5.2)."""
    head, told = await bust(rig, b'{"all": true}', authorization=authorization)
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"WWW-Authenticate: Bearer" in head
    assert "canary" not in str(told)
    assert rig.state.busted == []


async def test_b52_the_scheme_is_read_without_regard_to_case(rig: Rig) -> None:
    """RFC 9110 section 11.1."""
    assert (await bust(rig, b'{"all": true}', authorization=f"bearer {TOKEN}"))[0].startswith(
        b"HTTP/1.1 200 "
    )


async def test_b52_without_a_configured_token_nobody_busts(rig: Rig) -> None:
    """403, whatever is shown, an empty token too."""
    rig.state.token = None
    for authorization in ("", "Bearer ", f"Bearer {TOKEN}"):
        head, told = await bust(rig, b'{"all": true}', authorization=authorization)
        assert head.startswith(b"HTTP/1.1 403 ")
        assert "admin.token" in str(told["detail"])
    assert rig.state.busted == []


async def test_b52_a_bust_nobody_else_heard_is_told(rig: Rig) -> None:
    """503: the other pods still have the tokens."""
    rig.state.outcome = BustFailure("publish", "TimeoutError")
    head, told = await bust(rig, b'{"all": true}')
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in head
    assert "in this pod only" in str(told["detail"])


async def test_b52_a_body_that_is_too_long_or_of_unknown_length_is_not_read(rig: Rig) -> None:
    """413 before the first byte of it."""
    head, _ = await bust(rig, b" " * (MAX_BODY + 1))
    assert head.startswith(b"HTTP/1.1 413 ")
    chunked = (
        f"POST /bust HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    assert (await rig.send(chunked.encode())).startswith(b"HTTP/1.1 413 ")


async def test_b52_bust_only_posts(rig: Rig) -> None:
    """A link or an image cannot bust; the 405 says what can."""
    answered, headers, _ = await rig.ask("GET", "/bust")
    assert (answered, headers["Allow"]) == (405, "POST")
