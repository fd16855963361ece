"""Each metric moves with what it names: every instrument is moved here, by the real thing."""

import asyncio
import io
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import TypeVar

import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from sidecar import __version__
from sidecar.app.sidecar import Sidecar
from sidecar.config.load import load
from sidecar.config.settings import Config
from sidecar.telemetry import instruments
from sidecar.telemetry.instruments import INSTRUMENTS, Instrument
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.aws import Aws
from tests.support.clock import FakeClock
from tests.support.fleet_of_sidecars import SidecarFleet, SidecarPod
from tests.support.otlp_receiver import Collector
from tests.support.processes import File, Process, route, serving, spawn
from tests.support.redis_server import RedisServer
from tests.support.sidecar import Running, Start
from tests.support.upstream import Exchange, Upstream, hang_up, refusal
from tests.support.waiting import PATIENCE
from tests.support.wire_client import Client, WireError, ask

A, B = "canary-token-1", "canary-token-2"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK_ = "http_route=api,http_request_method=GET,http_response_status_code=200"
MOVED: set[Instrument] = set()
Test = TypeVar("Test", bound=Callable[..., object])


def moves(*moved: Instrument) -> Callable[[Test], Test]:
    """Note which instruments a test moves."""

    def note(test: Test) -> Test:
        MOVED.update(moved)
        return test

    return note


async def read(source: Running | SidecarPod, series: str) -> float:
    """A series as Prometheus reads it: its name, then labels as `a=b,c=d`, of which it may have more."""
    name, _, labels = series.partition(" ")
    wanted = dict(label.split("=") for label in labels.split(",") if label)
    page = (await ask(source.app.admin_address, SCRAPE)).body.decode()
    found = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and wanted.items() <= sample.labels.items()
    ]
    assert found, f"no {series}"
    return sum(found)


async def reaches(source: Running | SidecarPod, series: str, value: float) -> None:
    """Wait until the series has that value."""
    found = -1.0
    try:
        async with asyncio.timeout(PATIENCE):
            while (found := await read(source, series)) != value:
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"{series} is {found}, not {value}") from None


@asynccontextmanager
async def moving(source: Running | SidecarPod, series: str, *, by: float = 1) -> AsyncIterator[None]:
    """What is done within moves the series by exactly that."""
    before = await read(source, series)
    yield
    await reaches(source, series, before + by)


def test_every_instrument_is_moved_by_a_test() -> None:
    """Each new instrument needs a test here that shows what it measures."""
    assert set(INSTRUMENTS) == MOVED


# Requests


@moves(instruments.SERVER, instruments.CLIENT)
async def test_a_request_is_counted_on_both_sides(sidecar: Start) -> None:
    """With its duration, on the client's side and on the upstream's."""
    async with sidecar() as running:
        server, client = (
            f"http_{side}_request_duration_seconds_count {OK_}" for side in ("server", "client")
        )
        async with moving(running, server), moving(running, client):
            assert (await running.get()).status == 200


@moves(instruments.CONNECTIONS, instruments.TASKS)
async def test_a_client_is_a_connection_and_a_task(sidecar: Start) -> None:
    """While it is there; a task left behind would show."""
    async with sidecar() as running:
        idle = await read(running, "sidecar_tasks")
        async with await running.connect():
            await reaches(running, "sidecar_connections_open", 1)
            await reaches(running, "sidecar_tasks", idle + 1)
        await reaches(running, "sidecar_connections_open", 0)
        await reaches(running, "sidecar_tasks", idle)


@moves(instruments.ACTIVE, instruments.UPSTREAM_CONNECTIONS)
async def test_what_is_under_way_is_shown_while_it_is(sidecar: Start, upstream: Upstream) -> None:
    """A request in flight, and its upstream connection, which then idles."""
    hold = asyncio.Event()

    async def held(exchange: Exchange) -> None:
        await hold.wait()
        await Upstream.default(upstream, exchange)

    upstream.script(held)
    async with sidecar() as running:
        upstreams = "sidecar_upstream_connections server_address=127.0.0.1,state="
        asking = asyncio.create_task(running.get())
        await upstream.reached(1)
        await reaches(running, "http_server_active_requests", 1)
        assert [await read(running, upstreams + state) for state in ("active", "idle")] == [1, 0]
        hold.set()
        assert (await asking).status == 200
        await reaches(running, "http_server_active_requests", 0)
        assert [await read(running, upstreams + state) for state in ("active", "idle")] == [0, 1]


@moves(instruments.UPSTREAM_WAITING)
async def test_a_request_in_line_waits(sidecar: Start, upstream: Upstream) -> None:
    """While the only connection that may be is busy."""
    hold = asyncio.Event()

    async def held(exchange: Exchange) -> None:
        await hold.wait()
        await Upstream.default(upstream, exchange)

    upstream.script(held)
    async with sidecar({"name": "narrow", "upstream": upstream.url, "max_connections": 1}) as running:
        asking = [asyncio.create_task(running.get()) for _ in range(2)]
        await reaches(running, "sidecar_upstream_waiting", 1)
        hold.set()
        assert [(await each).status for each in asking] == [200] * 2
        await reaches(running, "sidecar_upstream_waiting", 0)


@moves(instruments.REFUSALS, instruments.RESENDS, instruments.BUSTS)
async def test_a_refusal_that_heals(sidecar: Start, upstream: Upstream) -> None:
    """Refused, the token bust, the request sent once more."""
    async with sidecar() as running:
        assert (await running.get()).status == 200
        upstream.script(refusal())
        async with (
            moving(running, "sidecar_refusals_total http_route=api,decision=renew"),
            moving(running, "sidecar_busts_sent_total token=api"),
            moving(running, "sidecar_resends_total http_route=api,outcome=healed"),
        ):
            assert (await running.get()).status == 200


@moves(instruments.RELAYED)
async def test_o2_a_refusal_that_is_relayed(sidecar: Start, upstream: Upstream) -> None:
    """The client gets it, and it counts by its error."""
    async with sidecar() as running:
        assert (await running.get()).status == 200
        upstream.script(refusal(b'Bearer error="insufficient_scope"', 403))
        async with (
            moving(running, "sidecar_refusals_total http_route=api,decision=relay"),
            moving(running, "sidecar_refusals_relayed_total http_route=api,error=insufficient_scope"),
        ):
            assert (await running.get()).status == 403


@moves(instruments.COOL_DOWNS)
async def test_a_token_that_is_refused_though_it_is_new_cools_down(
    sidecar: Start, upstream: Upstream
) -> None:
    """Once, and the refusals that then pass straight through count as such."""
    async with sidecar() as running:
        assert (await running.get()).status == 200
        upstream.accepts = set()
        upstream.script(*[refusal()] * 4)
        async with (
            moving(running, "sidecar_cool_downs_total token=api"),
            moving(running, "sidecar_resends_total http_route=api,outcome=refused"),
            moving(running, "sidecar_refusals_total http_route=api,decision=cooling", by=2),
        ):
            assert {(await running.get()).status for _ in range(3)} == {401}


# Tokens


@moves(instruments.HITS, instruments.MISSES, instruments.FETCH_DURATION, instruments.EXPIRY)
async def test_a_token_is_fetched_then_found(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """The first request misses and waits, the next one hits; from then on the token runs out."""
    authorization_server.reply["expires_in"] = 100
    async with sidecar() as running:
        async with (
            moving(running, "m2m_credential_cache_misses_total token=api,level=memory"),
            moving(running, "m2m_credential_fetch_duration_seconds_count token=api"),
        ):
            await running.get()
        async with moving(running, "m2m_credential_cache_hits_total token=api,level=memory"):
            await running.get()
        assert 99 < await read(running, "sidecar_token_expires_in_seconds token=api") <= 100
        await running.clock.advance(10)
        assert 89 < await read(running, "sidecar_token_expires_in_seconds token=api") <= 90


@moves(instruments.FETCH_ERRORS)
@pytest.mark.parametrize(("status", "outcome"), [(503, "unavailable"), (400, "refused")])
async def test_a_fetch_without_a_token_is_an_error(
    sidecar: Start, authorization_server: AuthorizationServer, status: int, outcome: str
) -> None:
    """Of the kind it is, and it took its time, too."""
    authorization_server.script(json_answer(status, {"error": "invalid_scope"}))
    async with (
        sidecar() as running,
        moving(running, f"m2m_credential_fetch_errors_total token=api,outcome={outcome}"),
        moving(running, "m2m_credential_fetch_duration_seconds_count token=api"),
    ):
        assert (await running.get()).status in {502, 503}


@moves(instruments.FAILING)
async def test_c4_a_token_that_is_needed_and_cannot_be_fetched_is_a_state(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """From the first failure to the last, also before the first scrape, until a fetch succeeds.

    A single failure does not grow while no request tries again.
    """
    authorization_server.script(*[json_answer(400, {"error": "invalid_scope"})] * 2)
    missing = "sidecar_token_failing_seconds token=api,state=missing,reason=refused"
    async with sidecar() as running:
        assert (await running.get()).status == 502
        await running.clock.advance(360)
        assert await read(running, missing) < 1
        [token] = await running.rows("tokens")
        assert (token["state"], token["reason"]) == ("missing", "refused")
        assert (await running.get()).status == 502
        for _ in range(2):
            assert 360 <= await read(running, missing) < 361
            await running.clock.advance(180)
        assert (await running.get()).status == 200
        with pytest.raises(AssertionError, match="no sidecar_token_failing"):
            await read(running, "sidecar_token_failing_seconds")


async def test_c5_a_short_lived_token_that_is_renewed_late_fails_for_a_moment_only(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """How long fetches have failed begins at 0 with each failure after a success."""
    authorization_server.reply["expires_in"] = 60
    async with sidecar() as running:
        for _ in range(3):
            assert (await running.get()).status == 200
            authorization_server.script(json_answer(503, {}))
            await running.clock.advance(45)
            async with asyncio.timeout(PATIENCE):
                while not [token for token in await running.rows("tokens") if token["reason"]]:
                    assert (await running.get()).status == 200
            failing = "sidecar_token_failing_seconds token=api,state=aging,reason=unavailable"
            assert await read(running, failing) < 2
            await running.clock.advance(14)
            async with asyncio.timeout(PATIENCE):
                while [token for token in await running.rows("tokens") if token["reason"]]:
                    assert (await running.get()).status == 200


@moves(instruments.CLOCK_SKEW)
async def test_o3_the_token_endpoints_clock_is_compared(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """By the Date of its last answer, whatever that was."""
    where = f"server_address=127.0.0.1,server_port={authorization_server.port}"
    for ahead, status in ((600, 503), (-90, 401)):
        date = b"Date: " + formatdate(clock.wall() + ahead, usegmt=True).encode()
        authorization_server.script(json_answer(status, {}, date))
        async with sidecar() as running:
            await running.get()
            skew = await read(running, f"sidecar_token_endpoint_clock_skew_seconds {where}")
        assert abs(skew - ahead) <= 2


@moves(instruments.SECRET_READS)
async def test_a_secret_is_read(sidecar: Start, aws: Aws) -> None:
    """Once it is there; before that it is missing."""
    secret = {"id": aws.name("{service}"), "region": "eu-west-1", "endpoint": aws.url}
    async with sidecar(credentials={"app": {"aws_secret": secret}}) as running:
        async with moving(running, "sidecar_secret_reads_total outcome=missing"):
            assert (await running.get()).status == 502
        aws.create("app", {"client_id": "me", "client_secret": "canary"})
        await running.clock.advance(60)
        async with moving(running, "sidecar_secret_reads_total outcome=ok"):
            assert (await running.get()).status == 200


@moves(instruments.SECRET_FAILING)
async def test_c4_a_secret_cannot_be_read(sidecar: Start, aws: Aws) -> None:
    """From the first failed read to the last, until one succeeds or no request needs it; the token lacks it."""
    secret = {"id": aws.name("{service}"), "region": "eu-west-1", "endpoint": aws.url}
    failing = "sidecar_secret_failing_seconds service=app,reason=missing"
    async with sidecar(credentials={"app": {"aws_secret": secret}}) as running:
        assert (await running.get()).status == 502
        assert await read(running, failing) == 0
        [token] = await running.rows("tokens")
        assert (token["state"], token["reason"]) == ("missing", "no_credentials")
        await running.clock.advance(900)
        with pytest.raises(AssertionError, match="no sidecar_secret_failing"):
            await read(running, failing)
        assert (await running.get()).status == 502
        assert 900 <= await read(running, failing) < 901
        lacking = "sidecar_token_failing_seconds token=api,state=missing,reason=no_credentials"
        assert 900 <= await read(running, lacking) < 901
        aws.create("app", {"client_id": "me", "client_secret": "canary"})
        await running.clock.advance(60)
        assert (await running.get()).status == 200
        with pytest.raises(AssertionError, match="no sidecar_secret_failing"):
            await read(running, failing)


# The fleet


@moves(instruments.BUSTS_APPLIED, instruments.BUS_LAG)
async def test_another_pods_bust_is_heard_and_obeyed(
    frail: SidecarFleet, authorization_server: AuthorizationServer
) -> None:
    """And how long it took to come."""
    healing, hearing = await frail.start(2)
    assert [await pod.get() for pod in (healing, hearing)] == [200, 200]
    authorization_server.revoke(A)
    async with (
        moving(hearing, "sidecar_busts_applied_total kind=token"),
        moving(hearing, "sidecar_bus_lag_seconds_count"),
    ):
        assert await healing.get() == 200
    assert await read(hearing, "sidecar_bus_lag_seconds_sum") < PATIENCE
    assert await read(healing, "sidecar_bus_lag_seconds_count") == 0


@moves(instruments.BUSTS_FAILED)
async def test_r3_a_bust_without_redis_counts_as_failed_and_not_as_sent(
    frail: SidecarFleet, own_redis: RedisServer, authorization_server: AuthorizationServer
) -> None:
    """By its kind, and by what Redis did not do."""
    (pod,) = await frail.start()
    assert await pod.get() == 200
    authorization_server.revoke(A)
    own_redis.kill()
    async with (
        moving(pod, "sidecar_busts_failed_total kind=token,step=publish"),
        moving(pod, "sidecar_busts_failed_total kind=token,step=record", by=0),
        moving(pod, "sidecar_busts_sent_total", by=0),
    ):
        assert await pod.get() == 200


@moves(instruments.BUSTS_REJECTED)
async def test_a_message_that_is_none_is_rejected(frail: SidecarFleet) -> None:
    """By its reason."""
    (pod,) = await frail.start()
    async with moving(pod, "sidecar_busts_rejected_total reason=malformed"):
        await frail.redis.publish(f"{frail.prefix}m2m:bust", b"rubbish")


@moves(instruments.LEASES, instruments.STORE_OPERATIONS)
async def test_one_pod_takes_the_lease_and_the_other_waits(
    frail: SidecarFleet, authorization_server: AuthorizationServer
) -> None:
    """Both send requests to the store; hits and misses of the second level are counted separately, too."""
    pods = await frail.start(2)
    authorization_server.hold = asyncio.Event()
    authorization_server.revoke(A)
    first = asyncio.create_task(pods[0].get())
    await authorization_server.reached(2)
    async with (
        moving(pods[0], "sidecar_leases_total outcome=taken", by=0),
        moving(pods[0], "sidecar_store_operations_total operation=fill,outcome=ok"),
        moving(pods[1], "m2m_credential_cache_hits_total level=store"),
    ):
        before = await read(pods[1], "sidecar_leases_total outcome=awaited")
        second = asyncio.create_task(pods[1].get())
        async with asyncio.timeout(PATIENCE):
            while await read(pods[1], "sidecar_leases_total outcome=awaited") == before:
                await asyncio.sleep(0)
        authorization_server.hold.set()
        assert [await first, await second] == [200, 200]
    assert sum([await read(pod, "sidecar_leases_total outcome=taken") for pod in pods]) == 2


@moves(instruments.STORE_UP, instruments.BUS_UP)
async def test_an_outage_of_redis_shows(frail: SidecarFleet, own_redis: RedisServer) -> None:
    """While it is out both are 0, then 1 again."""
    (pod,) = await frail.start(cache={"memory_ttl": "1ms"})
    for series in ("sidecar_store_up", "sidecar_bus_up"):
        await reaches(pod, series, 1)
    own_redis.kill()
    await reaches(pod, "sidecar_bus_up", 0)
    async with asyncio.timeout(PATIENCE):
        while await read(pod, "sidecar_store_up"):
            assert await pod.get() == 200
    async with moving(pod, "sidecar_store_operations_total operation=claim,outcome=skipped", by=0):
        assert await pod.get() == 200
    own_redis.start()
    for series in ("sidecar_store_up", "sidecar_bus_up"):
        await reaches(pod, series, 1)


@moves(instruments.NEIGHBOUR_DOWN)
async def test_o4_an_outage_is_as_long_as_requests_fail(
    sidecar: Start, plain: dict[str, object], upstream: Upstream
) -> None:
    """From the first failure to the last, which no time without requests prolongs; until one is answered."""
    down = f"sidecar_neighbour_down_seconds neighbour=upstream,name={upstream.url}"
    async with sidecar(plain) as running:
        upstream.script(hang_up, hang_up)
        assert (await running.get()).status == 502
        assert await read(running, down) == 0
        await running.clock.advance(360)
        assert await read(running, down) == 0
        assert (await running.get()).status == 502
        assert 360 <= await read(running, down) < 361
        assert (await running.get()).status == 200
        with pytest.raises(AssertionError, match="no sidecar_neighbour_down"):
            await read(running, down)
        upstream.script(hang_up, hang_up)
        assert (await running.get()).status == 502
        await running.clock.advance(600)
        with pytest.raises(AssertionError, match="no sidecar_neighbour_down"):
            await read(running, down)


@moves(instruments.CERTIFICATE, instruments.CERTIFICATE_LIFE)
async def test_o4_certificates_run_out(sidecar: Start, tmp_path: Path) -> None:
    """The upstream's from the first connection, a client certificate of the sidecar's own from the start."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    days = {"server": 36500, "client": 20000}
    ours, theirs = (
        authority.issue_cert("127.0.0.1", not_before=begins, not_after=begins + timedelta(days=days[role]))
        for role in ("client", "server")
    )
    theirs.configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours.private_key_and_cert_chain_pem.write_to_path(file := str(tmp_path / "client.pem"))
    async with Upstream(tls) as secure:
        trust = {"ca_file": str(tmp_path / "ca.pem"), "certificate_file": file}
        async with sidecar({"name": "up", "upstream": secure.url, "tls": trust}) as running:
            async with asyncio.timeout(PATIENCE):
                while b"sidecar_certificate_lifetime_seconds{" not in await running.app.metrics():
                    await asyncio.sleep(0)
            with pytest.raises(AssertionError, match="no sidecar_certificate"):
                await read(running, "sidecar_certificate_expires_in_seconds role=upstream")
            assert (await running.get()).status == 200
            for role, name, life in (("client", file, 20000), ("upstream", secure.url, 36500)):
                whole = await read(running, f"sidecar_certificate_lifetime_seconds role={role},name={name}")
                left = await read(running, f"sidecar_certificate_expires_in_seconds role={role},name={name}")
                assert whole == life * 86400
                ends = (begins + timedelta(days=life)).timestamp()
                assert abs(left - (ends - running.clock.wall())) < 1
            renewed = authority.issue_cert(
                "127.0.0.1", not_before=begins, not_after=begins + timedelta(days=7)
            )
            renewed.private_key_and_cert_chain_pem.write_to_path(file)
            await running.clock.advance(60)
            await reaches(running, f"sidecar_certificate_lifetime_seconds role=client,name={file}", 7 * 86400)


# The process


@moves(instruments.LOOP_LAG)
async def test_a_blocked_event_loop_is_late(frail: SidecarFleet) -> None:
    """By as much as it was blocked, but for what was left of the pause between two looks."""
    (pod,) = await frail.start()
    late = "sidecar_event_loop_lag_seconds_bucket le="
    on_time, all_ = await read(pod, f"{late}0.25"), await read(pod, f"{late}+Inf")
    async with asyncio.timeout(PATIENCE):
        while all_ - on_time == (await read(pod, f"{late}+Inf")) - (await read(pod, f"{late}0.25")):
            time.sleep(0.8)  # noqa: ASYNC251  what nobody may do on an event loop
            await asyncio.sleep(0.05)


@asynccontextmanager
async def on_its_own(directory: Path, plain: dict[str, object], sink: int) -> AsyncIterator[SidecarPod]:
    """A sidecar whose log is not read."""
    file = directory / "config.yaml"
    file.write_text(f"listen: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:0}}\nroutes: [{plain}]\n")
    app = Sidecar(load(str(file), {}), output=sink, quiet=0.01)
    await app.start()
    try:
        yield SidecarPod(app, file)
    finally:
        await app.stop()


@moves(instruments.DROPPED)
async def test_lines_that_nobody_reads_are_dropped(tmp_path: Path, plain: dict[str, object]) -> None:
    """A full pipe, then a broken one: requests are answered, and each line lost is counted."""
    reading, writing = os.pipe()
    with io.FileIO(reading, "rb") as source, io.FileIO(writing, "wb"):
        async with on_its_own(tmp_path, plain, writing) as pod:
            target = b"/" + b"a" * 7000
            async with asyncio.timeout(PATIENCE):
                while not await read(pod, "sidecar_log_lines_dropped_total"):
                    assert {await each for each in [pod.get(target) for _ in range(100)]} == {200}
            source.close()
            await reaches_more(pod, "sidecar_log_lines_dropped_total", 500)
            async with moving(pod, "sidecar_log_lines_dropped_total"):
                assert await pod.get() == 200


async def reaches_more(source: SidecarPod, series: str, value: float) -> None:
    """Wait until the series is above that, and has come to rest."""
    found = [-1.0]
    async with asyncio.timeout(PATIENCE):
        while min(found[-5:]) < max(value, found[-1]) or len(found) < 5:
            found.append(await read(source, series))
            await asyncio.sleep(0.05)


@moves(instruments.EXPORTS, instruments.SPANS_DROPPED)
async def test_what_is_exported_counts_and_what_finds_no_room(
    sidecar: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken by the receiver; then it is silent, and spans wait until their queue is full."""
    async with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
        async with sidecar() as running:
            for signal in ("metrics", "traces"):
                assert await read(running, f"sidecar_telemetry_exports_total signal={signal},outcome=ok") == 0
            await running.get()
            await running.clock.advance(60)
            await reaches(running, "sidecar_telemetry_exports_total signal=metrics,outcome=ok", 1)
            async with asyncio.timeout(PATIENCE):
                while not await read(running, "sidecar_telemetry_exports_total signal=traces,outcome=ok"):
                    await asyncio.sleep(0)
            collector.script(*[silence] * 100)
            assert await read(running, "sidecar_telemetry_spans_dropped_total") == 0
            async with asyncio.timeout(PATIENCE):
                while not await read(running, "sidecar_telemetry_spans_dropped_total"):
                    assert (await running.get()).status == 200


async def silence(exchange: Exchange) -> None:
    await exchange.peer_left()


@moves(instruments.RELOADS, instruments.OUTDATED)
async def test_reloads_are_counted(sidecar: Start, tmp_path: Path) -> None:
    """A good configuration, and a bad one, which makes the one in force outdated until the file is corrected."""
    file = tmp_path / "config.yaml"
    async with sidecar() as running:
        good = file.read_text()
        for _ in range(2):
            async with moving(running, "sidecar_reloads_total outcome=ok"):
                await running.app.try_reload(lambda: load(str(file), {}))
            assert await read(running, "sidecar_config_outdated") == 0
            file.write_text("routes: []")
            async with moving(running, "sidecar_reloads_total outcome=failed"):
                await running.app.try_reload(lambda: load(str(file), {}))
            assert await read(running, "sidecar_config_outdated") == 1
            file.write_text(good)


@moves(instruments.BUGS)
async def test_a_bug_is_counted(tmp_path: Path, plain: dict[str, object]) -> None:
    """An unexpected error is raised: here, by the part that reads the configuration."""

    def trip() -> Config:
        raise ZeroDivisionError

    with (tmp_path / "log").open("wb") as log:
        async with on_its_own(tmp_path, plain, log.fileno()) as pod, moving(pod, "sidecar_bugs_total"):
            await pod.app.try_reload(trip)


@moves(instruments.NO_DESCRIPTORS)
async def test_a_process_without_a_free_descriptor_counts_that(file: File, upstream: Upstream) -> None:
    """The event is logged at the same moment; read when there is one again."""
    child = await spawn(file, {"routes": [route(upstream)]}, shell="ulimit -Sn 64; ulimit -Hn 64")
    async with serving(child) as process:
        async with AsyncExitStack() as clients:
            for _ in range(64):
                with suppress(ConnectionError):
                    await clients.enter_async_context(await Client.connect(process.address))
            await process.logs("out_of_descriptors")
        async with asyncio.timeout(PATIENCE):
            while b"\nsidecar_descriptors_exhausted_total 1.0\n" not in await page_of(process):
                await asyncio.sleep(0.01)


async def page_of(process: Process) -> bytes:
    """Its metrics, empty while it cannot be asked."""
    try:
        return (await process.page(b"/metrics"))[1]
    except (OSError, WireError):
        return b""


@moves(instruments.BUILD)
async def test_the_version_is_shown(sidecar: Start) -> None:
    """The one that runs."""
    async with sidecar() as running:
        assert await read(running, f"sidecar_build_info version={__version__}") == 1
