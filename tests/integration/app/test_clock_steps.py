"""The wall clock is set while a sidecar runs: dates are judged by what it shows today, lives go on as they were.

Each sidecar starts at a wrong time, by which its moments count; the step then shows it the right one.
"""

import json
import math
from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import formatdate
from functools import partial
from pathlib import Path

import jwt as pyjwt
import pytest

from sidecar.core.errors import TokenUnavailable
from sidecar.core.secret import Secret
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.stored_value import read_token, write_token
from sidecar.oauth.ports import Reply
from sidecar.oauth.token import Freshness, bearer
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.clock import FakeClock
from tests.support.issuer import Callers, Issuer
from tests.support.keys import pem
from tests.support.otlp_receiver import Collector
from tests.support.sidecar import Start
from tests.support.token_fetcher_rig import ANY, REQUEST, Rig
from tests.support.unsigned_jwt import jwt
from tests.support.upstream import Upstream

HOUR = 3600.0
STEPS = pytest.mark.parametrize("step", [2 * HOUR, -2 * HOUR], ids=["forward", "back"])


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as server:
        yield server


@pytest.fixture
def callers(issuer: Issuer, clock: FakeClock) -> Callers:
    return Callers(issuer, clock)


def exported(collector: Collector, before: int) -> bool:
    """Whether more has been exported than `before`."""
    return len(collector.exports) > before


@STEPS
async def test_s3_a_callers_token_is_verified_by_todays_date(
    sidecar: Start, callers: Callers, clock: FakeClock, step: float
) -> None:
    """Started at a wrong time that has been set right since; `exp` and `nbf` count from the right one."""
    right = clock.wall() + step
    async with sidecar(token=callers.wanted) as running:
        clock.step(step)
        found = [
            await callers.ask(running, callers.token(sub=f"{exp}{nbf}", exp=right + exp, nbf=right + nbf))
            for exp, nbf in ((HOUR, -HOUR), (-HOUR, -2 * HOUR), (2 * HOUR, HOUR))
        ]
    assert found == [200, 401, 401]


@pytest.mark.parametrize("verified", [True, False])
async def test_s3_a_known_callers_token_ends_at_its_date(
    sidecar: Start, callers: Callers, clock: FakeClock, *, verified: bool
) -> None:
    """It was believed while the clock was behind."""
    right = clock.wall() + 2 * HOUR
    token = callers.token(exp=right - HOUR)
    wanted = (
        callers.wanted if verified else {"grant": "token_exchange", "subject": {"header": "Authorization"}}
    )
    async with sidecar(token=wanted) as running:
        assert await callers.ask(running, token) == 200
        clock.step(2 * HOUR)
        assert await callers.ask(running, token) == 401


@STEPS
async def test_s3_a_life_in_seconds_goes_on_whatever_the_date(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock, step: float
) -> None:
    """`expires_in` is a duration: no step ends it or prolongs it."""
    authorization_server.reply["expires_in"] = 200
    async with sidecar() as running:
        await running.get()
        clock.step(step)
        await clock.advance(100)
        await running.get()
        assert len(authorization_server.requests) == 1
        await clock.advance(101)
        await running.get()
        assert len(authorization_server.requests) == 2


@pytest.mark.parametrize("of", ["token", "subject"])
async def test_s3_a_token_that_ends_at_a_date_ends_then(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock, tmp_path: Path, of: str
) -> None:
    """By its own `exp`, where it has no `expires_in`, or by that of what it was got for."""
    right = clock.wall() + 2 * HOUR
    subject = tmp_path / "subject"
    subject.write_text(jwt(sub="a", exp=right - HOUR))
    exchange = {"grant": "token_exchange", "subject": {"file": str(subject)}} if of == "subject" else {}
    old = json_answer(200, {"token_type": "Bearer", "access_token": jwt(exp=right - HOUR, jti="canary")})
    authorization_server.script(old)
    async with sidecar(token=exchange) as running:
        for _ in range(2):
            await running.get()
        assert len(authorization_server.requests) == 1
        subject.write_text(jwt(sub="a", exp=right + HOUR))
        clock.step(2 * HOUR)
        await running.get()
        assert len(authorization_server.requests) == 2
        (token,) = await running.tokens()
    assert token["state"] == "fresh"


@STEPS
async def test_s3_a_jwts_own_end_is_reckoned_from_todays_date(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock, step: float
) -> None:
    """Fetched after the step: it lives for what is left of it, and is not refused as expired."""
    right = clock.wall() + step
    body = {"token_type": "Bearer", "access_token": jwt(exp=right + HOUR, jti="canary")}
    authorization_server.script(json_answer(200, body))
    async with sidecar() as running:
        clock.step(step)
        assert (await running.get()).status == 200
        (token,) = await running.tokens()
    assert token["expires_in"] == pytest.approx(HOUR, abs=1)


@STEPS
async def test_s3_our_assertions_are_dated_today(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock, tmp_path: Path, step: float
) -> None:
    """The authorization server compares `iat` and `exp` with its own clock."""
    right = clock.wall() + step
    key = tmp_path / "key.pem"
    key.write_text(pem("p256"))
    credentials = {"app": {"client_id": "app", "private_key": {"file": str(key)}}}
    async with sidecar(token={"client_auth": "private_key_jwt"}, credentials=credentials) as running:
        clock.step(step)
        assert (await running.get()).status == 200
    (form,) = authorization_server.forms
    claims = pyjwt.decode(form["client_assertion"][0], options={"verify_signature": False})
    assert (claims["iat"], claims["exp"]) == (int(right), int(right) + 60)


@STEPS
async def test_s3_log_lines_bear_todays_date(sidecar: Start, clock: FakeClock, step: float) -> None:
    """Requests and events, from the step on."""
    right = clock.wall() + step
    async with sidecar() as running:
        clock.step(step)
        await running.get()
    late = {line["event"]: line["ts"] for line in running.log()}
    for event in ("token_fetched", "request", "stopped"):
        assert datetime.fromisoformat(str(late[event])).timestamp() == pytest.approx(right, abs=1)


@STEPS
async def test_s3_status_dates_what_happened_before_the_step_too(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock, step: float
) -> None:
    """Beside today's date it says when that was: events, health, troubles; durations are what they are."""
    right = clock.wall() + step
    authorization_server.script(json_answer(503, {}), json_answer(503, {}))
    async with sidecar() as running:
        await running.get()
        await clock.advance(10)
        clock.step(step)
        shown = await running.status()
        events = await running.rows("events")
        (token,) = await running.rows("tokens")
        health = await running.rows("health")
    assert shown["at"] == pytest.approx(right + 10, abs=1)
    assert shown["uptime"] == pytest.approx(10, abs=1)
    assert events
    assert health
    moments = [each[when] for each in events for when in ("first", "last")]
    moments += [token["problem_since"], token["last_tried"], *(each["since"] for each in health)]
    moments += [each["last_failure"] for each in health if each["state"] == "down"]
    assert moments == [pytest.approx(right, abs=1)] * len(moments)


@STEPS
async def test_s3_a_pause_until_a_date_ends_at_that_date(step: float) -> None:
    """`Retry-After` may be an HTTP date (RFC 9110 section 10.2.3)."""
    rig = Rig()
    rig.clock.step(step)
    rig.endpoint.reply = Reply(503, "", b"", retry_after=formatdate(rig.clock.wall() + 30, usegmt=True))
    with pytest.raises(TokenUnavailable, match="503") as raised:
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert raised.value.retry_after == 30


def test_s3_a_stored_token_keeps_the_date_at_which_it_ends() -> None:
    """A pod whose clock is right judges by it what another pod took for longer; none is stored where there is none."""
    for exp in (5000.0, math.inf, 1e300):
        token = bearer(Secret("t"), fetch_began=0, life=HOUR, leeway=0, exp=exp)
        written = write_token(token, ClockOffset(100.0, 0.0, 0.0))
        found = read_token(written, "f1", 7, ClockOffset(-100.0, 0.0, 0.0))
        assert found is not None
        assert found.exp == (exp if exp == 5000 else math.inf)
        assert ("exp" in json.loads(written)) is (exp == 5000)


@pytest.mark.parametrize(
    ("now", "today", "expected"),
    [
        (0, 0, Freshness.FRESH),
        (49, 49, Freshness.FRESH),
        (50, 50, Freshness.AGING),
        (0, 50, Freshness.AGING),
        (0, 100, Freshness.STALE),
        (100, -1e9, Freshness.STALE),
    ],
)
def test_s3_what_ends_at_a_date_ends_at_the_earlier_of_the_two(
    now: float, today: float, expected: Freshness
) -> None:
    """Its life is over, or its date has come."""
    token = bearer(Secret("t"), fetch_began=0, life=100, leeway=60, exp=100)
    assert token.freshness(now, today) is expected


async def test_s3_counters_never_start_after_they_were_read(
    sidecar: Start, collector: Collector, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """Their start is set back with the clock; otherwise it stays the same to the nanosecond."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    right = clock.wall() - 2 * HOUR
    starts = []
    async with sidecar() as running:
        for step in (0, 0, -2 * HOUR):
            clock.step(step)
            before = len(collector.exports)
            await running.clock.advance(60)
            await collector.until(partial(exported, collector, before))
            point = next(each for each in collector.exports[-1] if each.sum.data_points).sum.data_points[0]
            assert point.start_time_unix_nano <= point.time_unix_nano
            starts.append(point.start_time_unix_nano / 1e9)
    assert starts[0] == starts[1]
    assert starts[2] == pytest.approx(right, abs=1)


async def test_s3_an_upstreams_answer_is_relayed_at_any_date(
    sidecar: Start, upstream: Upstream, clock: FakeClock
) -> None:
    """No timeout of a request in flight is shortened by a step."""
    async with sidecar() as running:
        clock.step(10 * HOUR)
        await clock.advance(1)
        assert (await running.get()).status == 200
        clock.step(-20 * HOUR)
        await clock.advance(1)
        assert (await running.get()).status == 200
    assert len(upstream.requests) == 2
