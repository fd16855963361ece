"""Refusals that programs and proxies report: the same bust, renewal and cool-down as on a route."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.fleet_of_sidecars import SidecarFleet
from tests.support.sidecar import Start
from tests.support.token_api import SETTINGS, Program, error, granted
from tests.support.upstream import INVALID_TOKEN, Upstream
from tests.support.waiting import until

FIRST, SECOND, THIRD = (f"canary-token-{number}" for number in (1, 2, 3))
HEADER_MODE = {**SETTINGS, "authorize": True}


async def test_b91_a_reported_refusal_is_healed(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The successor comes with the answer, and routes send it from then on."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        token, fp = await program.token()
        authorization_server.revoke(token)
        answer = await program.report(fp, b"User-Agent: orders/1.0")
        assert granted(answer)[0] == SECOND
        assert answer.values("Cache-Control") == [b"no-store"]
        assert (await program.token())[0] == SECOND
        assert (await running.get()).status == 200
    assert upstream.tokens == [SECOND]
    assert len(authorization_server.requests) == 2
    (event,) = running.events("refused")
    shown = ("route", "fp", "status", "error", "decision", "reporter")
    assert [event[name] for name in shown] == [
        "token_api/api", fp, 401, "invalid_token", "renew", "orders/1.0",
    ]  # fmt: skip
    assert len(running.events("bust_sent")) == 1


TABLE: Mapping[str, tuple[int, bytes, bool]] = {
    "invalid_token": (401, INVALID_TOKEN, True),
    "no challenge": (401, b"", True),
    "no error": (401, b'Bearer realm="api"', True),
    "rubbish": (401, b'="', True),
    "insufficient_scope": (401, b'Bearer error="insufficient_scope"', False),
    "invalid_request": (401, b'Bearer error="invalid_request"', False),
    "only Basic": (401, b'Basic realm="x"', False),
    "403": (403, b"", False),
    "403 with invalid_token": (403, INVALID_TOKEN, False),
    "a status of the route": (440, b"", True),
    "another status": (419, INVALID_TOKEN, False),
    "an outage": (503, b"", False),
}


BY_PROXIES = [(name, True) for name, (status, *_) in TABLE.items() if status == 401]


@pytest.mark.parametrize(("name", "by_proxy"), [*((name, False) for name in TABLE), *BY_PROXIES])
async def test_b91_refusals_are_judged_as_on_a_route(
    sidecar: Start,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    name: str,
    *,
    by_proxy: bool,
) -> None:
    """Others change nothing: 409, and the token stays."""
    status, challenge, healed = TABLE[name]
    route = {"name": "r", "upstream": upstream.url, "token": "api", "refused_statuses": [401, 440]}
    async with sidecar(route, token_api=HEADER_MODE) as running:
        program = await Program.of(running)
        token, fp = await program.token()
        if by_proxy:
            answer = await program.proxy_reports(f"Bearer {token}".encode(), challenge=challenge)
        else:
            answer = await program.report(fp, status=status, challenge=challenge)
        if healed:
            assert answer.status == 200
        else:
            assert error(answer) == (409, "not_the_token")
        assert (await program.token())[0] == (SECOND if healed else FIRST)
    assert len(authorization_server.requests) == 1 + healed
    assert len(running.events("bust_sent")) == healed


async def test_b91_a_report_of_no_token_of_ours_changes_nothing(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """A wrong fingerprint, that of another entry, a foreign token."""
    entry = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    tokens = {"api": entry, "other": {**entry, "scope": ["x"]}}
    async with sidecar(tokens=tokens, token_api={**HEADER_MODE, "tokens": ["api", "other"]}) as running:
        program = await Program.of(running)
        await program.token()
        _, others = granted(await program.ask(b"GET", b"/token/other", b"Sidecar-Request: true"))
        for fp in ("0" * 12, others, "canary", " "):
            assert error(await program.report(fp)) == (409, "not_the_token")
        for foreign in (b"Bearer canary-foreign", b"Bearer canary-token-9"):
            assert error(await program.proxy_reports(foreign)) == (409, "not_the_token")
        assert (await program.proxy_reports(b"Basic canary")).status == 400
        await running.get()
    assert len(authorization_server.requests) == 2
    assert running.events("bust_sent") == []


async def test_b91_a_report_again_costs_nothing(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """It is answered with the token that is current; the old reports stay harmless whatever their order."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        _, first = await program.token()
        second = granted(await program.report(first))[1]
        for _ in range(30):
            await program.token()
        assert granted(await program.report(second))[0] == THIRD
        for fp in (first, second, first, second, first):
            assert granted(await program.report(fp))[0] == THIRD
    assert len(authorization_server.requests) == 3
    assert len(running.events("bust_sent")) == 2


async def test_b91_ten_programs_that_report_at_once_cost_one_renewal(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """All get the same successor."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        _, fp = await program.token()
        authorization_server.hold = asyncio.Event()
        reports = [asyncio.create_task(program.report(fp)) for _ in range(10)]
        await authorization_server.reached(2)
        api = running.app._token_api.listener
        await until(lambda: api.busy == 10)
        authorization_server.hold.set()
        assert {granted(answer)[0] for answer in await asyncio.gather(*reports)} == {SECOND}
    assert len(authorization_server.requests) == 2
    assert len(running.events("bust_sent")) == 1


async def test_b91_a_program_that_lies_costs_the_rate_of_the_cool_down(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """A good token reported for five minutes, ten times a second: renewals as on a route whose tokens are refused."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        _, fp = await program.token()
        cooled = 0
        for _ in range(300):
            answer = await program.report(fp, b"User-Agent: liar/2.0")
            if answer.status == 429:
                cooled += 1
                assert error(answer) == (429, "cooling_down")
                assert 1 <= int(answer.values("Retry-After")[0]) <= 75
                _, fp = await program.token()
            else:
                _, fp = granted(answer)
            await running.clock.advance(1.0)
        assert (await running.get()).status == 200
    assert cooled > 250
    assert len(authorization_server.requests) <= 13
    doubted = [event for event in running.events("refused") if event["decision"] == "cooling"]
    assert {event["reporter"] for event in doubted} == {"liar/2.0"}
    assert len(running.events("cooling_down")) <= 13


async def test_b91_a_liar_that_pretends_to_use_its_tokens_is_bounded_too(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """It requests each token often enough that it seems to work, and then reports it."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        for _ in range(100):
            for _ in range(20):
                _, fp = await program.token()
            await program.report(fp)
    assert len(authorization_server.requests) <= 11


async def test_b91_a_successor_that_is_refused_too_cools_down(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Routes relay refusals meanwhile; after the window one report probes."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        _, fp = await program.token()
        _, fp = granted(await program.report(fp))
        assert error(await program.report(fp)) == (429, "cooling_down")
        upstream.accepts = set()
        assert (await running.get()).status == 401
        assert len(upstream.requests) == 1
        await running.clock.advance(2)
        assert granted(await program.report(fp))[0] == THIRD
    assert len(authorization_server.requests) == 3


async def test_b91_without_a_new_token_the_report_fails(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """As a request for a token does; the next report is served once there is one."""
    async with sidecar(token_api=SETTINGS) as running:
        program = await Program.of(running)
        _, fp = await program.token()
        authorization_server.script(*[json_answer(503, {})] * 3)
        assert error(await program.report(fp)) == (503, "token_unavailable")
        authorization_server.scripts.clear()
        await running.clock.advance(120)
        assert granted(await program.report(fp))[0] == SECOND


async def test_b92_header_mode(sidecar: Start, authorization_server: AuthorizationServer) -> None:
    """A proxy gets the field for each request, and the successor for a refused one, whatever its client sent."""
    theirs = (b"Origin: https://shop.example", b"X-Forwarded-For: 203.0.113.7", b"Cookie: canary")
    async with sidecar(token_api=HEADER_MODE) as running:
        program = await Program.of(running)
        first = await program.authorize(*theirs, below=b"/orders/../x?secret=canary")
        assert first == f"Bearer {FIRST}".encode()
        answer = await program.proxy_reports(first, *theirs)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.values("Authorization") == [f"Bearer {SECOND}".encode()]
        assert await program.authorize() == f"Bearer {SECOND}".encode()
    assert len(authorization_server.requests) == 2
    assert {line["path"] for line in running.events("request")} == {"/authorize/api", "/refused/api"}


async def test_b92_a_subject_in_authorization_cannot_be_reported_by_a_proxy(sidecar: Start) -> None:
    """There is one field for two tokens; nothing is exchanged for the refused one."""
    exchange = {"grant": "token_exchange", "subject": {"header": "Authorization"}}
    async with sidecar(token=exchange, token_api=HEADER_MODE) as running:
        program = await Program.of(running)
        token = await program.authorize(b"Authorization: Bearer canary-alice")
        assert error(await program.proxy_reports(token)) == (400, "bad_request")


async def test_b91_the_fleet_receives_the_bust(
    fleet: SidecarFleet, authorization_server: AuthorizationServer
) -> None:
    """One message, one renewal; the other pods' programs get the successor, also those that report late."""
    one, other = await fleet.start(2, token_api=SETTINGS)
    program, late = await Program.of(one), await Program.of(other)
    _, fp = await program.token()
    assert (await late.token())[1]
    _, same = await late.token()
    token, _ = granted(await program.report(fp))
    assert token == SECOND
    assert granted(await late.report(same))[0] == SECOND
    assert await other.get() == 200
    assert len(authorization_server.requests) == 2
    await until(lambda: len(fleet.busts) == 1)
