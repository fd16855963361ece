"""Tokens for programs in the pod: those of the routes, for listed entries, and for nobody else's requests."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigError
from tests.support.authorization_server import AuthorizationServer, PerTenant, json_answer
from tests.support.clock import FakeClock
from tests.support.processes import File
from tests.support.sidecar import Start
from tests.support.token_api import MARK, SETTINGS, Program, error, granted
from tests.support.unsigned_jwt import jwt
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import Client, ask

FIRST = "canary-token-1"


async def test_b90_a_program_gets_the_routes_token(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """One fetch for both. The answer is a token response, and no cache keeps it."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        answer = await program.get(b"X-Request-Id: mine")
        assert (await running.get()).status == 200
        (row,) = await running.tokens()
    members = json.loads(answer.body)
    assert members == {
        "access_token": FIRST,
        "token_type": "Bearer",
        "expires_in": members["expires_in"],
        "fp": row["fp"],
    }
    assert 3590 <= members["expires_in"] <= 3600
    assert answer.values("Cache-Control") == [b"no-store"]
    assert answer.values("Content-Type") == [b"application/json"]
    assert upstream.tokens == [FIRST]
    assert len(authorization_server.requests) == 1
    line, _ = running.events("request")
    shown = ("request_id", "method", "route", "path", "status", "fp", "error", "attempts")
    assert [line[name] for name in shown] == [
        "mine", "GET", "token_api/api", "/token/api", 200, members["fp"], "", 0,
    ]  # fmt: skip


async def test_b90_an_entry_needs_no_route(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Its token is warmed up, shown and counted as others are; what is not listed is not handed out."""
    entry = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    tokens = {"api": entry, "kafka": {**entry, "scope": ["kafka"]}, "other": {**entry, "scope": ["x"]}}
    api = {"listen": "127.0.0.1:0", "tokens": ["kafka"]}
    async with sidecar(tokens=tokens, token_api=api) as running:
        program = await Program.of(running)
        await running.clock.advance(2)

        async def warm() -> bool:
            return {row["token"] for row in await running.tokens()} == {"api", "kafka"}

        await until(warm)
        assert granted(await program.ask(b"GET", b"/token/kafka", MARK))[0].startswith("canary-token-")
        for name in (b"api", b"other", b"none"):
            assert error(await program.ask(b"GET", b"/token/" + name, MARK)) == (404, "not_listed")
        metrics = await ask(running.app.admin_address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert len(authorization_server.requests) == 2
    series = re.compile(rb"^(\w+)\{[^}]*(?:http_route=\"token_api/kafka\"|token=\"kafka\")", re.MULTILINE)
    found = set(series.findall(metrics.body))
    assert {b"m2m_credential_cache_hits_total", b"http_server_request_duration_seconds_count"} <= found
    assert b"http_client_request_duration_seconds_count" not in found


FORGED: Mapping[str, tuple[int, bytes]] = {
    "no mark": (403, b"GET /token/api HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "foreign Host": (421, b"GET /token/api HTTP/1.1\r\nHost: evil.example\r\n%s\r\n\r\n" % MARK),
    "Origin": (403, b"GET /token/api HTTP/1.1\r\nHost: localhost\r\n%s\r\nOrigin: null\r\n\r\n" % MARK),
    "forwarded": (
        403,
        b"GET /token/api HTTP/1.1\r\nHost: localhost\r\n%s\r\nX-Forwarded-For: x\r\n\r\n" % MARK,
    ),
    "header mode": (403, b"GET /authorize/api HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % MARK),
    "proxy's report": (
        403,
        b"GET /refused/api HTTP/1.1\r\nHost: localhost\r\n%s\r\nAuthorization: Bearer canary-token-1\r\n"
        b"Sidecar-Refused-Status: 401\r\n\r\n" % MARK,
    ),
    "name not listed": (404, b"GET /token/other HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % MARK),
    "agent of a page": (
        403,
        b"GET /AuthorizationHeaderUnauthenticated/api HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none\r\n\r\n",
    ),
    "report without the mark": (
        403,
        b"POST /token/api/refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    ),
    "no request at all": (400, b"GET /token/api\r\n\r\n"),
    "two lengths": (
        400,
        b"POST /token/api/refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ),
}


@pytest.mark.parametrize("name", FORGED)
async def test_b90_a_forged_request_gets_no_token(
    sidecar: Start, authorization_server: AuthorizationServer, name: str
) -> None:
    """Nor does it bust one, or cause a token request. The whole table is beside the rules."""
    status, data = FORGED[name]
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        await program.token()
        answer = await ask(program.address, data)
        assert answer.status == status
        assert b"canary" not in answer.head.raw + answer.body
        assert answer.values("Content-Type") == [b"application/problem+json"]
        assert len(await running.tokens()) == 1
    assert len(authorization_server.requests) == 1
    assert running.events("bust_sent") == []


async def test_b90_the_sdks_form(sidecar: Start) -> None:
    """What Microsoft's agent SDKs request of a sidecar: no mark, and another member."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        answer = await program.ask(b"GET", b"/AuthorizationHeaderUnauthenticated/api")
        assert json.loads(answer.body) == {"authorizationHeader": f"Bearer {FIRST}"}
        refused = await program.ask(b"GET", b"/AuthorizationHeaderUnauthenticated/api?AgentIdentity=x")
    assert error(refused) == (400, "bad_request")


async def test_b90_an_outage_is_a_503(sidecar: Start, authorization_server: AuthorizationServer) -> None:
    """With Retry-After, as on a route; a refusal is a 502."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        authorization_server.script(*[json_answer(503, {})] * 3)
        answer = await program.get()
        assert error(answer) == (503, "token_unavailable")
        assert int(answer.values("Retry-After")[0]) >= 1
        await running.clock.advance(120)
        authorization_server.scripts.clear()
        authorization_server.script(*[json_answer(400, {"error": "invalid_scope"})] * 3)
        assert error(await program.get()) == (502, "token_refused")


TENANTS: Mapping[str, tuple[Mapping[str, object], bytes, tuple[bytes, ...], str]] = {
    "field": ({"header": "X-Tenant-Id"}, b"/token/api", (b"X-Tenant-Id: acme",), "acme"),
    "path": ({"path": True}, b"/t/acme/token/api", (), "acme"),
    "default": ({"header": "X-Tenant-Id", "default": "globex"}, b"/token/api", (), "globex"),
    "fixed": ({"default": "globex"}, b"/token/api", (b"X-Tenant-Id: acme",), "globex"),
}


class TestTenants:
    """Tenants are named as on a route."""

    @pytest.fixture
    async def authorization_server(self, upstream: Upstream) -> AsyncIterator[PerTenant]:
        async with PerTenant(upstream) as server:
            yield server

    @pytest.mark.parametrize("name", TENANTS)
    async def test_b90_a_tenants_program_gets_its_token(
        self, sidecar: Start, authorization_server: PerTenant, name: str
    ) -> None:
        """And the log names the tenant."""
        tenant, path, fields, expected = TENANTS[name]
        allow = {"allow": ["acme", "globex"]}
        async with sidecar(tenant={**tenant, **allow}, token_api=SETTINGS) as running:
            program = await Program.of(running)
            token, _ = granted(await program.ask(b"GET", path, MARK, *fields))
        assert token.startswith(f"canary-{expected}-")
        assert running.events("request")[-1]["tenant"] == expected

    @pytest.mark.parametrize(
        ("path", "fields", "word"),
        [
            (b"/token/api", (b"X-Tenant-Id: evil",), "unknown_tenant"),
            (b"/token/api", (b"X-Tenant-Id: ../acme",), "unknown_tenant"),
            (b"/token/api", (b"X-Tenant-Id: acme", b"X-Tenant-Id: globex"), "unknown_tenant"),
            (b"/token/api", (), "bad_request"),
            (b"/t/evil/token/api", (), "unknown_tenant"),
            (b"/t/../token/api", (), "bad_request"),
        ],
    )  # fmt: skip
    async def test_b90_a_wrong_tenant_gets_none(
        self,
        sidecar: Start,
        authorization_server: PerTenant,
        path: bytes,
        fields: tuple[bytes, ...],
        word: str,
    ) -> None:
        """Not those of the default or of another tenant."""
        named = {"path": True} if path.startswith(b"/t/") else {"header": "X-Tenant-Id"}
        tenant = {**named, "allow": ["acme", "globex"]}
        async with sidecar(tenant=tenant, token_api=SETTINGS) as running:
            program = await Program.of(running)
            assert error(await program.ask(b"GET", path, MARK, *fields)) == (400, word)
        assert authorization_server.requests == []
        assert len(running.events("unknown_tenant")) == (word == "unknown_tenant")


async def test_b90_a_caller_brings_its_subject(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """As on a route: the program gets a token for it, and 401 without one."""
    exchange = {"grant": "token_exchange", "subject": {"header": "X-Subject", "type": "jwt"}}
    subject = jwt(sub="alice", exp=clock.now() + 1000)
    async with sidecar(token=exchange, token_api=SETTINGS) as running:
        program = await Program.of(running)
        assert error(await program.get()) == (401, "bad_subject")
        await program.token(b"X-Subject: " + subject.encode())
    assert [form["subject_token"] for form in authorization_server.forms] == [[subject]]


async def test_b90_one_connection_carries_many_calls(sidecar: Start) -> None:
    """Calls and errors, one after the other; a report's body is read whole."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        async with await Client.connect(program.address) as client:
            for _ in range(3):
                call = program.call(b"GET", b"/token/api", MARK)
                _, fp = granted(await client.ask(call))
                assert error(await client.ask(program.call(b"GET", b"/other"))) == (404, "not_listed")
                body = json.dumps({"fp": fp, "status": 403}).encode()
                report = program.call(b"POST", b"/token/api/refused", MARK, body=body)
                assert error(await client.ask(report)) == (409, "not_the_token")


@pytest.mark.parametrize(
    ("fields", "body", "interim"),
    [
        ((b"Content-Length: 27", b"Expect: 100-continue"), b'{"fp": "ab", "status": 401}', 1),
        ((b"Transfer-Encoding: chunked",), b'1b\r\n{"fp": "ab", "status": 401}\r\n0\r\n\r\n', 0),
    ],
)
async def test_b91_a_reports_body_may_come_in_any_form(
    sidecar: Start, fields: tuple[bytes, ...], body: bytes, interim: int
) -> None:
    """Sized, chunked, or after a 100."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        async with await Client.connect(program.address) as client:
            await client.send(program.call(b"POST", b"/token/api/refused", MARK, *fields))
            await client.send(body)
            answer = await client.answer()
    assert error(answer) == (409, "not_the_token")
    assert len(answer.interim) == interim


async def test_b91_a_reports_body_is_bounded(sidecar: Start) -> None:
    """Too long: 400, and the connection ends. Too slow: 408."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        valid = b'{"fp": "ab", "status": 401}' + b" " * 70_000
        long = program.call(b"POST", b"/token/api/refused", MARK, body=valid)
        assert error(await ask(program.address, long, "POST")) == (400, "bad_request")
        async with await Client.connect(program.address) as client:
            await client.send(program.call(b"POST", b"/token/api/refused", MARK, b"Content-Length: 9"))
            await client.send(b"{")
            await running.clock.advance(11)
            assert (await client.answer()).status == 408


async def test_b90_a_unix_socket(sidecar: Start, tmp_path: Path) -> None:
    """Programs may name any Host there."""
    api = {**SETTINGS, "listen": f"unix:{tmp_path}/api.sock"}
    async with sidecar(token_api=api) as running:
        program = await Program.of(running)
        assert (await program.token())[0] == FIRST
    assert not (tmp_path / "api.sock").exists()


async def test_b90_a_reload_changes_what_is_listed(
    sidecar: Start, authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    """The address takes a restart."""
    entry = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    tokens = {"api": entry, "kafka": {**entry, "scope": ["kafka"]}}
    file = File(tmp_path / "config.yaml")
    async with sidecar(tokens=tokens, token_api=SETTINGS) as running:
        program = await Program.of(running)
        assert error(await program.ask(b"GET", b"/token/kafka", MARK)) == (404, "not_listed")
        file.change(token_api={**SETTINGS, "tokens": ["kafka"], "authorize": True})
        await running.app.reload(load(str(file.path), {}))
        await program.ask(b"GET", b"/token/kafka", MARK)
        assert error(await program.get()) == (404, "not_listed")
        assert (await program.ask(b"GET", b"/authorize/kafka", MARK)).status == 200
        file.change(token_api=None)
        with pytest.raises(ConfigError, match=r"token_api\.listen: changing this takes a restart"):
            await running.app.reload(load(str(file.path), {}))


async def test_b80_programs_are_served_until_the_end_of_the_drain(sidecar: Start) -> None:
    """An application that stops later than the sidecar still gets its token."""
    async with sidecar(token_api=SETTINGS, drain_min_delay="1s", drain_timeout="1m") as running:
        program = await Program.of(running)
        stopping = asyncio.create_task(running.app.stop())
        await asyncio.sleep(0)
        answer = await program.get()
        assert (answer.status, answer.values("Connection")) == (200, [b"close"])
        running.app.hurry()
        async with asyncio.timeout(PATIENCE):
            await stopping


async def test_b90_a_call_that_passed_opens_nothing(sidecar: Start, tmp_path: Path) -> None:
    """The next one is guarded by itself, also on the same connection; and the same one again after a reload."""
    file = File(tmp_path / "config.yaml")
    async with sidecar(token_api={**SETTINGS, "authorize": True}) as running:
        program = await Program.of(running)
        proxied = program.call(b"GET", b"/authorize/api", MARK)
        async with await Client.connect(program.address) as client:
            good = program.call(b"GET", b"/token/api", MARK)
            for forged, status in (
                (program.call(b"GET", b"/token/api"), 403),
                (program.call(b"GET", b"/token/api", MARK, b"Origin: null"), 403),
                (program.call(b"HEAD", b"/token/api", MARK), 405),
                (program.call(b"GET", b"/token/api?x", MARK), 400),
                (program.call(b"GET", b"http://evil.example/token/api", MARK), 421),
                (good.replace(b"Host: 127.0.0.1", b"Host: 127.0.0.x"), 421),
            ):
                granted(await client.ask(good))
                assert (await client.ask(forged, "HEAD" if forged[:4] == b"HEAD" else "GET")).status == status
            assert (await client.ask(proxied)).status == 200
            file.change(token_api={**SETTINGS, "authorize": False})
            await running.app.reload(load(str(file.path), {}))
            assert error(await client.ask(proxied)) == (403, "foreign_call")
