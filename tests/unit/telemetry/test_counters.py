"""Metrics: what is counted, and how Prometheus reads it."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.app.telemetry import measured
from sidecar.core.origin import Origin
from sidecar.core.tenants import TenantRule
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.telemetry.counters import Counters, unread
from sidecar.telemetry.events import (
    CoolingDown,
    Event,
    Refused,
    Resent,
    Stopped,
    TokenFetched,
    TokenFetchFailed,
)
from sidecar.telemetry.fan_out import FanOut
from sidecar.telemetry.fleet_events import BustApplied, BustSent
from sidecar.telemetry.instruments import (
    CLIENT,
    GRPC_CALLS,
    HITS,
    INSTRUMENTS,
    SERVER,
    Distribution,
    Instrument,
)
from sidecar.telemetry.ports import ExportReadings, FleetReadings, PoolReadings, Readings
from sidecar.telemetry.request_counters import MOST_SERIES
from sidecar.telemetry.request_record import RequestRecord, Send
from sidecar.telemetry.sinks.prometheus import prometheus_text, text_name
from sidecar.telemetry.tenant_labels import MOST_TENANTS
from tests.support.journal import RecordingJournal

UPSTREAM = Origin("https", "ledger.internal", 443)
TOKEN = TokenRequest("ledger-token", "https://auth.example.com/token", "ledger-client", "ledger-client")
LEDGER = measured(Route("ledger", UPSTREAM, prefix="/ledger", token=TOKEN))
CALLS = measured(Route("calls", replace(UPSTREAM, http2=True), prefix="/calls"))
PLAIN = measured(Route("plain", UPSTREAM, prefix="/plain"))
NOTHING = Readings(0, 0, 0, 0, {}, {})
FLEET = Readings(
    0,
    0,
    0,
    0,
    {},
    {},
    FleetReadings(
        store_up=False,
        store_operations={("get", "ok"): 3},
        bus_up=True,
        leases={"taken": 2},
        rejected={"forged": 0},
    ),
)


async def read(metrics: Counters, readings: Readings = NOTHING) -> dict[str, float]:
    """Scrape, parse with Prometheus's own parser, and return every series by its text."""
    text = (await prometheus_text(metrics.families(readings))).decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            series = f"{sample.name}{{{labels}}}"
            assert series not in found
            found[series] = sample.value
    return found


def finish(metrics: Counters, *, seconds: float = 0.003, **fields: object) -> None:
    record = RequestRecord(100.0, "GET", "/ledger", "", "")
    record.finished = 100.0 + seconds
    record.route, record.status = "ledger", 200
    for name, value in fields.items():
        setattr(record, name, value)
    metrics.request_finished(record)


def of(found: dict[str, float], name: str) -> dict[str, float]:
    return {series: value for series, value in found.items() if series.startswith(name + "{")}


def test_grpc_calls_count_by_route_and_status() -> None:
    """A route of HTTP/2 has a series from the start; a call that matched no route has none of its own."""
    metrics = Counters("1", [LEDGER, CALLS])
    for status in (0, 16, 16, -1):
        finish(metrics, route="calls", grpc_status=status)
    finish(metrics, route="unknown", grpc_status=12)
    [calls] = [each for each in metrics.families(NOTHING) if each.instrument is GRPC_CALLS]
    assert dict(calls.series) == {
        ("calls", "OK"): 1,
        ("calls", "UNAUTHENTICATED"): 2,
        ("", "UNIMPLEMENTED"): 1,
    }
    list(metrics.configuring([LEDGER, CALLS], None))
    [calls] = [each for each in metrics.families(NOTHING) if each.instrument is GRPC_CALLS]
    assert dict(calls.series) == {("calls", "OK"): 1, ("calls", "UNAUTHENTICATED"): 2}


def test_the_first_failed_grpc_call_is_dated() -> None:
    """As a 5xx or a 401 is, which it stands for; other statuses are the application's."""
    metrics = Counters("1", [LEDGER, CALLS])
    for status, seconds in ((0, 1), (5, 2), (7, 3), (14, 4), (13, 5), (16, 6)):
        finish(metrics, route="calls", grpc_status=status, seconds=seconds)
    assert metrics.first_errors() == {("calls", 500): 104, ("calls", 401): 106}


def test_o5_the_first_error_of_a_route_is_dated_by_its_own_moment() -> None:
    """By status, whatever else differs; once forgotten, the next one is. Other answers have no date."""
    metrics = Counters("1", [LEDGER])
    finish(metrics, status=404, seconds=1)
    assert metrics.first_errors() == {}
    for seconds in (2, 3):
        finish(metrics, status=503, seconds=seconds, method="POST", error="token_unavailable")
        finish(metrics, status=503, seconds=seconds - 0.5)
        finish(metrics, status=401, seconds=seconds + 5)
        assert metrics.first_errors() == {("ledger", 503): 101.5, ("ledger", 401): 107}
    metrics.forget_first_errors()
    assert metrics.first_errors() == {}
    finish(metrics, status=200, seconds=8)
    finish(metrics, status=503, seconds=9)
    list(metrics.configuring([LEDGER], None))
    finish(metrics, status=503, seconds=10)
    finish(metrics, status=500, seconds=11, method="STRANGE")
    assert metrics.first_errors() == {("ledger", 503): 109, ("ledger", 500): 111}


async def test_every_series_of_what_is_configured_is_there_from_the_start_at_0() -> None:
    """A rate or an alert works before the first event."""
    found = await read(Counters("1.2.3", [LEDGER, PLAIN]))
    assert found.pop("sidecar_build_info{version=1.2.3}") == 1
    assert set(found.values()) == {0.0}
    assert len(of(found, "sidecar_refusals_total")) == 3
    assert set(found) >= {
        "m2m_credential_cache_hits_total{level=memory,token=ledger-token}",
        "m2m_credential_cache_misses_total{level=memory,token=ledger-token}",
        "m2m_credential_fetch_errors_total{outcome=bad_subject,token=ledger-token}",
        "m2m_credential_fetch_errors_total{outcome=refused,token=ledger-token}",
        "m2m_credential_fetch_errors_total{outcome=unavailable,token=ledger-token}",
        "m2m_credential_fetch_duration_seconds_count{token=ledger-token}",
        "m2m_credential_fetch_duration_seconds_bucket{le=0.005,token=ledger-token}",
        "m2m_credential_fetch_duration_seconds_bucket{le=10.0,token=ledger-token}",
        (
            "http_server_request_duration_seconds_count"
            "{http_request_method=GET,http_response_status_code=200,http_route=ledger}"
        ),
        (
            "http_server_request_duration_seconds_count"
            "{http_request_method=GET,http_response_status_code=200,http_route=plain}"
        ),
        (
            "http_client_request_duration_seconds_count{http_request_method=GET,http_response_status_code=200,"
            "http_route=ledger,server_address=ledger.internal,server_port=443}"
        ),
        "sidecar_busts_sent_total{token=ledger-token}",
        "sidecar_cool_downs_total{token=ledger-token}",
        "sidecar_refusals_total{decision=renew,http_route=ledger}",
        "sidecar_refusals_total{decision=cooling,http_route=ledger}",
        "sidecar_refusals_total{decision=relay,http_route=ledger}",
        "sidecar_refusals_relayed_total{error=insufficient_scope,http_route=ledger}",
        "sidecar_resends_total{http_route=ledger,outcome=healed}",
        "sidecar_resends_total{http_route=ledger,outcome=refused}",
        "sidecar_resends_total{http_route=ledger,outcome=failed}",
        "http_server_active_requests{}",
        "sidecar_connections_open{}",
        "sidecar_tasks{}",
        "sidecar_log_lines_dropped_total{}",
    }


async def test_a_sidecar_on_its_own_shows_nothing_of_a_fleet() -> None:
    """No series that could only ever be 0."""
    found = await read(Counters("1", [LEDGER]))
    assert not [series for series in found if "store" in series or "bus_" in series or "applied" in series]


async def test_a_sidecar_of_a_fleet_shows_store_bus_and_busts() -> None:
    """Their state as the two know it, busts by kind and rejections by reason from the start."""
    metrics = Counters("1", [LEDGER])
    before = await read(metrics, FLEET)
    assert before["sidecar_busts_rejected_total{reason=forged}"] == 0
    metrics.tell(BustApplied("gap", "", "", 2))
    assert FLEET.fleet is not None
    found = await read(metrics, replace(FLEET, fleet=replace(FLEET.fleet, rejected={"forged": 1})))
    assert found["sidecar_busts_applied_total{kind=gap}"] == 1
    assert found["sidecar_busts_applied_total{kind=token}"] == 0
    assert found["sidecar_busts_rejected_total{reason=forged}"] == 1
    assert found["sidecar_store_operations_total{operation=get,outcome=ok}"] == 3
    assert (found["sidecar_store_up{}"], found["sidecar_bus_up{}"]) == (0, 1)


async def test_a_token_from_the_store_is_a_hit_of_the_second_level() -> None:
    """Each level counts what reached it: memory every request, the store those that memory had nothing for."""
    metrics = Counters("1", [LEDGER])
    for source in ("memory", "memory", "memory", "store", "store", "fetch"):
        finish(metrics, token=source)
    found = await read(metrics, FLEET)
    assert {
        series.partition("{")[0].split("_")[3] + series.partition("level=")[2].split(",")[0]: value
        for series, value in found.items()
        if "level=" in series
    } == {"hitsmemory": 3, "missesmemory": 3, "hitsstore": 2, "missesstore": 1}


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, "0.005"), (0.005, "0.005"), (0.0051, "0.01"), (9.9, "10.0"), (10.0, "10.0"), (11.0, "+Inf")],
)
async def test_a_request_falls_into_its_bucket_upper_bound_included(seconds: float, bucket: str) -> None:
    """Buckets are in seconds and cumulative; count and sum agree with them."""
    metrics = Counters("1", [LEDGER])
    record = RequestRecord(0.0, "GET", "/ledger", "", "")
    record.finished, record.route, record.status = seconds, "ledger", 200
    metrics.request_finished(record)
    found = of(await read(metrics), "http_server_request_duration_seconds_bucket")
    counts = {series.split("le=")[1].rstrip("}"): value for series, value in found.items()}
    reached = [float(bound) >= float(bucket) for bound in counts]
    assert list(counts.values()) == [1.0 if over else 0.0 for over in reached]
    totals = await read(metrics)
    labels = "{http_request_method=GET,http_response_status_code=200,http_route=ledger}"
    assert totals[f"http_server_request_duration_seconds_count{labels}"] == 1
    assert totals[f"http_server_request_duration_seconds_sum{labels}"] == seconds


@pytest.mark.parametrize(
    ("level", "hits", "misses"), [("memory", 1, 0), ("store", 0, 1), ("fetch", 0, 1), ("none", 0, 0)]
)
async def test_where_a_requests_token_came_from_is_a_hit_or_a_miss_of_memory(
    level: str, hits: int, misses: int
) -> None:
    """Hits and misses follow from the access log's `token`, whatever the request's status was."""
    metrics = Counters("1", [LEDGER])
    finish(metrics, token=level, status=404, method="POST")
    found = await read(metrics)
    assert found["m2m_credential_cache_hits_total{level=memory,token=ledger-token}"] == hits
    assert found["m2m_credential_cache_misses_total{level=memory,token=ledger-token}"] == misses


def upstreams(
    found: dict[str, float], name: str = "http_client_request_duration_seconds_count"
) -> dict[str, float]:
    """What was counted of the upstream's, by the labels that differ."""
    same = {
        "http_route=ledger",
        "http_request_method=GET",
        "server_address=ledger.internal",
        "server_port=443",
    }
    return {
        ",".join(label for label in series[len(name) + 1 : -1].split(",") if label not in same): value
        for series, value in of(found, name).items()
        if value
    }


async def test_the_upstreams_time_counts_where_it_was_asked() -> None:
    """A request that never went there is no client duration; one that got no answer has our word for it."""
    metrics = Counters("1", [LEDGER])
    finish(metrics, status=503, error="token_unavailable")
    finish(metrics, upstream_seconds=0.25, upstream_status=200)
    finish(metrics, upstream_seconds=5.0, status=504, error="upstream_timeout")
    finish(metrics, upstream_seconds=0.5, upstream_status=200, error="client_gone")
    finish(metrics, upstream_seconds=0.1, upstream_status=404, status=404)
    assert upstreams(await read(metrics)) == {
        "http_response_status_code=200": 1,
        "error_type=upstream_timeout": 1,
        "error_type=client_gone,http_response_status_code=200": 1,
        "error_type=404,http_response_status_code=404": 1,
    }


async def test_each_send_counts_by_itself_with_its_own_answer() -> None:
    """A refusal that was healed shows here, though the client never saw it."""
    metrics = Counters("1", [LEDGER])
    finish(metrics, first=Send(100.0, 0.5, 401), upstream_seconds=2.5, upstream_status=200)
    finish(
        metrics, first=Send(100.0, 0.5, 401), upstream_seconds=0.5, status=502, error="upstream_unreachable"
    )
    found = await read(metrics)
    assert upstreams(found) == {
        "error_type=401,http_response_status_code=401": 2,
        "http_response_status_code=200": 1,
    }
    assert upstreams(found, "http_client_request_duration_seconds_sum") == {
        "error_type=401,http_response_status_code=401": 1.0,
        "http_response_status_code=200": 2.0,
    }


async def test_a_status_of_an_error_is_the_errors_type() -> None:
    """To clients of ours from 500 on; our own errors have a word, which distinguishes them from the upstream's."""
    metrics = Counters("1", [LEDGER])
    for status, error in ((404, ""), (502, ""), (502, "upstream_unreachable")):
        finish(metrics, status=status, error=error)
    found = of(await read(metrics), "http_server_request_duration_seconds_count")
    assert sorted(
        series.split("{")[1].split("http_request")[0] for series, value in found.items() if value
    ) == [
        "",
        "error_type=502,",
        "error_type=upstream_unreachable,",
    ]


def fetched(milliseconds: float) -> Event:
    return TokenFetched("ledger-token", "s", "", "fp", 300.0, milliseconds, "cold")


def failed(outcome: str) -> Event:
    return TokenFetchFailed("ledger-token", "s", "", outcome, "no", 20.0, 1.0)  # type: ignore[arg-type]


def refused(decision: str) -> Event:
    return Refused("id", "ledger", "", "fp", 401, "", decision)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "series"),
    [
        (fetched(70.0), "m2m_credential_fetch_duration_seconds_bucket{le=0.075,token=ledger-token}"),
        (failed("refused"), "m2m_credential_fetch_errors_total{outcome=refused,token=ledger-token}"),
        (
            failed("unavailable"),
            "m2m_credential_fetch_errors_total{outcome=unavailable,token=ledger-token}",
        ),
        (failed("refused"), "m2m_credential_fetch_duration_seconds_count{token=ledger-token}"),
        (BustSent("ledger-token", "s", "", "fp"), "sidecar_busts_sent_total{token=ledger-token}"),
        (CoolingDown("ledger-token", "s", "", 1.0), "sidecar_cool_downs_total{token=ledger-token}"),
        (refused("renew"), "sidecar_refusals_total{decision=renew,http_route=ledger}"),
        (refused("cooling"), "sidecar_refusals_total{decision=cooling,http_route=ledger}"),
        (refused("relay"), "sidecar_refusals_total{decision=relay,http_route=ledger}"),
        (refused("relay"), "sidecar_refusals_relayed_total{error=none,http_route=ledger}"),
        (Resent("id", "ledger", "fp", "healed"), "sidecar_resends_total{http_route=ledger,outcome=healed}"),
    ],
)
async def test_an_event_counts_in_its_series(event: Event, series: str) -> None:
    """Each event once; the fetch's duration comes in milliseconds and is counted in seconds."""
    metrics = Counters("1", [LEDGER])
    metrics.tell(event)
    assert (await read(metrics))[series] == 1
    metrics.tell(event)
    assert (await read(metrics))[series] == 2


async def test_what_is_told_at_the_scrape_is_shown() -> None:
    """Gauges, and the log's dropped lines, are read from the parts that know them."""
    found = await read(Counters("1", [LEDGER]), Readings(3, 4, 6, 5, {("ledger-token", ""): 12.5}, {}))
    assert found["http_server_active_requests{}"] == 3
    assert found["sidecar_connections_open{}"] == 4
    assert found["sidecar_tasks{}"] == 6
    assert found["sidecar_log_lines_dropped_total{}"] == 5
    assert found["sidecar_token_expires_in_seconds{token=ledger-token}"] == 12.5


async def test_strangers_cannot_make_series() -> None:
    """Unknown methods share `_OTHER`; an unknown route is the empty one."""
    metrics = Counters("1", [LEDGER])
    before = len(await read(metrics))
    for number in range(500):
        finish(metrics, method=f"M{number}", route=f"r{number}", status=404)
    found = await read(metrics)
    assert len(found) - before < 30
    labels = "{http_request_method=_OTHER,http_response_status_code=404}"
    assert found[f"http_server_request_duration_seconds_count{labels}"] == 500


def test_an_upstream_with_any_status_cannot_make_series_without_end() -> None:
    """Past the limit a route's requests are separated by status class only, and none goes uncounted."""
    metrics = Counters("1", [LEDGER, PLAIN])
    methods = ("GET", "HEAD", "POST", "PUT")
    for status in range(100, 1000):
        for method in methods:
            finish(metrics, status=status, method=method, token="memory", upstream_seconds=0.1)
    series = {family.instrument: family.series for family in metrics.families(NOTHING)}
    counts = {
        labels: sum(value.counts) for labels, value in series[SERVER] if isinstance(value, Distribution)
    }
    assert len(counts) == len(series[SERVER]) <= MOST_SERIES + 10
    assert len(series[CLIENT]) <= MOST_SERIES
    assert sum(counts.values()) == 900 * len(methods)
    assert series[HITS] == ((("ledger-token", "", "memory"), 900 * len(methods)),)


async def test_a_request_without_an_answer_has_no_status() -> None:
    """The client went away first: the label is empty, which Prometheus takes as absent."""
    metrics = Counters("1", [LEDGER])
    finish(metrics, status=0)
    labels = "{http_request_method=GET,http_route=ledger}"
    assert (await read(metrics))[f"http_server_request_duration_seconds_count{labels}"] == 1


async def test_a_new_configuration_keeps_counting_what_stays_and_forgets_what_went() -> None:
    """Counters never go back on a reload, and names that went do not pile up."""
    metrics = Counters("1", [LEDGER, PLAIN])
    finish(metrics, token="memory")
    finish(metrics, route="plain")
    metrics.tell(refused("renew"))
    other = measured(Route("other", UPSTREAM, prefix="/other", token=TOKEN))
    metrics.configure([LEDGER, other])
    finish(metrics, token="memory", route="other")
    found = await read(metrics)
    assert found["m2m_credential_cache_hits_total{level=memory,token=ledger-token}"] == 2
    assert found["sidecar_refusals_total{decision=renew,http_route=ledger}"] == 1
    assert found["sidecar_refusals_total{decision=renew,http_route=other}"] == 0
    assert not [series for series in found if "http_route=plain" in series]


async def test_a_request_that_outlives_its_route_makes_no_series_of_it() -> None:
    """A route removed while a request is in flight stays removed."""
    metrics = Counters("1", [LEDGER, PLAIN])
    metrics.configure([LEDGER])
    finish(metrics, route="plain")
    assert not [series for series in await read(metrics) if "http_route=plain" in series]


async def test_b82_metrics_show_names_and_nothing_else() -> None:
    """No path, query, fingerprint, request id or error text becomes a label."""
    metrics = Counters("1", [LEDGER])
    finish(metrics, path="/canary", request_id="canary", fp="canary")
    metrics.tell(TokenFetchFailed("ledger-token", "canary", "", "refused", "canary", 1.0, 1.0))
    metrics.tell(Refused("canary", "ledger", "canary", "canary", 401, "canary", "renew"))
    assert b"canary" not in await prometheus_text(metrics.families(NOTHING))


async def test_label_values_are_escaped() -> None:
    """Whatever a route is called, the text stays readable."""
    name = 'a"b\\c\nd'
    text = await prometheus_text(Counters("1", [measured(Route(name, UPSTREAM))]).families(NOTHING))
    labels = [sample.labels for f in text_string_to_metric_families(text.decode()) for sample in f.samples]
    assert name in {found.get("http_route") for found in labels}


def test_the_client_library_is_not_imported_before_the_first_scrape() -> None:
    """It would cost every start a twentieth of a second."""
    program = (
        "import sidecar.telemetry.sinks.prometheus, sys, json; json.dump(sorted(sys.modules), sys.stdout)"
    )
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert "prometheus_client" not in json.loads(listed.stdout)


@pytest.mark.parametrize("event", [Stopped(), BustSent("t", "s", "", "fp")])
def test_each_journal_is_told_in_order(event: Event) -> None:
    """Logs, metrics and later journals get the same."""
    told: list[str] = []

    class Noted(RecordingJournal):
        def tell(self, event: Event) -> None:
            told.append(self.label)
            super().tell(event)

        label = ""

    first, second = Noted(), Noted()
    first.label, second.label = "first", "second"
    journals = FanOut(first, second)
    record = RequestRecord(0.0, "GET", "/", "", "")
    journals.tell(event)
    journals.request_finished(record)
    assert told == ["first", "second"]
    assert first.events == second.events == [event]
    assert first.records == second.records == [record]


async def test_a_route_that_got_another_token_counts_that_ones_hits() -> None:
    """After a reload the requests of the route belong to its new token."""
    metrics = Counters("1", [LEDGER])
    finish(metrics, token="memory")
    other = TokenRequest("other-token", "https://auth.example.com/token", "ledger-client", "ledger-client")
    metrics.configure([measured(Route("ledger", UPSTREAM, prefix="/ledger", token=other))])
    finish(metrics, token="memory")
    found = of(await read(metrics), "m2m_credential_cache_hits_total")
    assert found == {"m2m_credential_cache_hits_total{level=memory,token=other-token}": 1}


ACME = TokenRequest("ledger-token", "ledger-client", "ledger-client", tenant="acme")


async def test_without_tenants_nothing_is_labelled_with_one() -> None:
    """An ordinary sidecar's series have no such label."""
    assert not [series for series in await read(Counters("1", [LEDGER])) if "tenant" in series]


async def test_the_only_tenant_labels_its_tokens() -> None:
    """Where the configuration fixes it, its series are there from the start."""
    metrics = Counters("1", [measured(Route("ledger", UPSTREAM, token=ACME))])
    assert (await read(metrics))[
        "m2m_credential_cache_hits_total{level=memory,tenant=acme,token=ledger-token}"
    ] == 0


async def test_what_is_counted_of_tokens_tells_their_tenants_apart() -> None:
    """Tenants in the configuration from the start, others as they come."""
    metrics = Counters("1", [LEDGER], TenantRule(b"x-tenant", default="acme"))
    finish(metrics, token="memory", tenant="acme")
    finish(metrics, token="fetch", tenant="globex")
    metrics.tell(TokenFetched("ledger-token", "s", "globex", "fp", 300.0, 1.0, "cold"))
    metrics.tell(TokenFetchFailed("ledger-token", "s", "globex", "refused", "no", 1.0, 0.0))
    metrics.tell(BustSent("ledger-token", "s", "acme", "fp"))
    metrics.tell(CoolingDown("ledger-token", "s", "acme", 1.0))
    found = await read(metrics, replace(NOTHING, token_expires_in={("ledger-token", "globex"): 5.0}))
    assert {
        series: value
        for series, value in found.items()
        if "tenant" in series and value and "bucket" not in series
    } == {
        "m2m_credential_cache_hits_total{level=memory,tenant=acme,token=ledger-token}": 1,
        "m2m_credential_cache_misses_total{level=memory,tenant=globex,token=ledger-token}": 1,
        "m2m_credential_fetch_errors_total{outcome=refused,tenant=globex,token=ledger-token}": 1,
        "m2m_credential_fetch_duration_seconds_count{tenant=globex,token=ledger-token}": 2,
        "m2m_credential_fetch_duration_seconds_sum{tenant=globex,token=ledger-token}": 0.002,
        "sidecar_busts_sent_total{tenant=acme,token=ledger-token}": 1,
        "sidecar_cool_downs_total{tenant=acme,token=ledger-token}": 1,
        "sidecar_token_expires_in_seconds{tenant=globex,token=ledger-token}": 5,
    }
    assert found["m2m_credential_cache_hits_total{level=memory,tenant=_other,token=ledger-token}"] == 0


async def test_tenants_that_clients_invent_share_one_series() -> None:
    """Past the limit they are `_other`; those in the configuration keep their own, also after a reload."""
    rule = TenantRule(b"x-tenant", allow=frozenset({"acme", "globex"}))
    metrics = Counters("1", [LEDGER], TenantRule(b"x-tenant", default="acme"))
    for number in range(10 * MOST_TENANTS):
        finish(metrics, token="memory", tenant=f"t{number}")
        metrics.tell(TokenFetched("ledger-token", "s", f"t{number}", "fp", 300.0, 1.0, "cold"))
    finish(metrics, token="memory", tenant="acme")
    metrics.configure([LEDGER], rule)
    hits = of(await read(metrics), "m2m_credential_cache_hits_total")
    assert len(hits) == MOST_TENANTS + 1
    assert hits["m2m_credential_cache_hits_total{level=memory,tenant=acme,token=ledger-token}"] == 1
    assert (
        hits["m2m_credential_cache_hits_total{level=memory,tenant=_other,token=ledger-token}"]
        == 9 * MOST_TENANTS + 1
    )


async def test_a_closed_list_of_tenants_needs_no_other() -> None:
    """There are no other tenants."""
    metrics = Counters("1", [LEDGER], TenantRule(b"x-tenant", allow=frozenset({"acme", "globex"})))
    assert len(of(await read(metrics), "sidecar_cool_downs_total")) == 2


async def test_what_several_tokens_of_one_label_have_left_is_the_least() -> None:
    """Of all the tenants that share `_other`, the one whose token expires first."""
    many = {("ledger-token", f"t{number}"): 1000.0 - number for number in range(3 * MOST_TENANTS)}
    found = await read(
        Counters("1", [LEDGER], TenantRule(b"x-tenant")), replace(NOTHING, token_expires_in=many)
    )
    assert (
        found["sidecar_token_expires_in_seconds{tenant=_other,token=ledger-token}"]
        == 1001.0 - 3 * MOST_TENANTS
    )


async def test_c4_tokens_of_one_label_that_fail_are_one_series() -> None:
    """Of all the tenants that share `_other`, the one whose fetches have failed longest; states and reasons apart."""
    many = {
        ("ledger-token", f"t{number}", "missing", "refused"): float(number)
        for number in range(3 * MOST_TENANTS)
    }
    aging = {("ledger-token", "t0", "aging", "unavailable"): 7.0}
    found = of(
        await read(
            Counters("1", [LEDGER], TenantRule(b"x-tenant")), replace(NOTHING, tokens_failing=many | aging)
        ),
        "sidecar_token_failing_seconds",
    )
    assert len(found) == MOST_TENANTS + 2
    series = "sidecar_token_failing_seconds{{reason={},state={},tenant={},token=ledger-token}}"
    assert found[series.format("refused", "missing", "_other")] == 3 * MOST_TENANTS - 1
    assert found[series.format("unavailable", "aging", "t0")] == 7


UNITS = {"seconds", "bytes", "ratio", "celsius", "volts", "amperes", "joules", "grams", "meters"}
ABBREVIATED = {"s", "ms", "us", "ns", "sec", "secs", "b", "kb", "mb", "gb", "m", "h", "d"}
SCALED = re.compile(r"(milli|micro|nano|kilo|mega|giga)(seconds|bytes|grams|meters)|minutes|hours|days")


def blamed(name: str, kind: str, help_: str, labels: set[str]) -> list[str]:
    """What `promtool check metrics` would say of a family, by the rules of its linter (promlint)."""
    words = name.split("_")
    faults = {
        "no help": not help_,
        "a counter ends in _total": (kind == "counter") != name.endswith("_total"),
        "its type is in its name": bool({"counter", "gauge", "histogram", "summary"} & set(words)),
        "colons are for rules": ":" in name,
        "camelCase": name != name.lower() or any(label != label.lower() for label in labels),
        "a unit is abbreviated": bool(ABBREVIATED & set(words)),
        "no base unit": bool(SCALED.search(name)),
        "the unit is not last": any(
            word in UNITS and word != words[-1] for word in words if kind != "counter"
        ),
        "a suffix of histograms": kind != "histogram" and words[-1] in {"bucket", "count", "sum"},
        "labels of histograms": bool(labels & {"le", "quantile"}) and kind != "histogram",
    }
    return [f"{name}: {fault}" for fault, found in faults.items() if found]


EXPORTS = ExportReadings({("metrics", "ok"): 1}, spans_dropped=0)
EVERYTHING = replace(
    FLEET,
    token_expires_in={("t", ""): 1.0},
    pools={("h", 1): PoolReadings(0, 0, 0)},
    exports=EXPORTS,
    clock_skews={("h", 1): 600.0},
    tokens_failing={("t", "", "missing", "refused"): 1.0},
    secrets_failing={("ledger", "", "denied"): 1.0},
    neighbours_down={("upstream", "https://h"): 1.0},
    certificates={("client", "/tls/client.pem"): (1.0, 2.0)},
)


async def test_promtool_would_find_nothing_to_say() -> None:
    """Each instrument once, with TYPE and HELP, named as Prometheus requires, units in base units and last."""
    text = (await prometheus_text(Counters("1", [LEDGER, CALLS]).families(EVERYTHING))).decode()
    found = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            family.documentation,
            family.samples,
        )
        for family in text_string_to_metric_families(text)
    }
    assert len(found) == len(INSTRUMENTS)
    faults = [
        fault
        for name, (kind, help_, samples) in found.items()
        for fault in blamed(name, kind, help_, {label for sample in samples for label in sample.labels})
    ]
    assert faults == []
    assert {name for name, (kind, _, samples) in found.items() if not samples} == set()


async def test_every_type_is_the_instruments_own() -> None:
    """Each family stands together, its TYPE and HELP said once, before its samples."""
    text = (await prometheus_text(Counters("1", [LEDGER]).families(EVERYTHING))).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert kinds == {
        text_name(each) + ("_total" if each.kind == "counter" else ""): each.kind for each in INSTRUMENTS
    }
    assert len(re.findall(r"^# HELP ", text, re.MULTILINE)) == len(INSTRUMENTS)
    in_seconds = {each for each in INSTRUMENTS if each.unit == "s"}
    assert {each for each in INSTRUMENTS if text_name(each).endswith("_seconds")} == in_seconds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("requests", "counter"),
        ("requests_total", "gauge"),
        ("wait_ms", "gauge"),
        ("wait_milliseconds", "gauge"),
        ("wait_seconds_histogram", "histogram"),
        ("items_count", "gauge"),
        ("Items", "gauge"),
        ("seconds_left", "gauge"),
    ],
)
def test_the_linter_finds_what_is_wrong(name: str, kind: str) -> None:
    """The rules above can fail."""
    assert blamed(name, kind, "Help.", set()) != []


@pytest.mark.parametrize("left_out", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_o18_an_instrument_left_out_of_a_table_is_named(left_out: Instrument) -> None:
    """When counters are made, and not by the first request that would be counted."""
    everything = replace(FLEET, exports=ExportReadings(exports={}, spans_dropped=0))
    families = Counters("1", []).families(everything)
    assert list(unread(families)) == []
    (fault,) = unread(family for family in families if family.instrument is not left_out)
    assert fault.startswith(f"{left_out.name}: ")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("del counters._BY_ROUTE[instruments.REFUSALS]", "sidecar.refusals: no table"),
        ("del counters._BY_TOKEN[instruments.BUSTS]", "sidecar.busts.sent: no table"),
        ("del counters._FIXED[instruments.RELOADS]", "sidecar.reloads: no table"),
        ("del counters._OF_THE_FLEET[instruments.BUSTS_FAILED]", "sidecar.busts.failed: no table"),
        ("counters._BY_ROUTE[instruments.BUSTS] = ((),)", "sidecar.busts.sent: its labels"),
        ("counters._BY_ROUTE[instruments.RESENDS] = ((),)", "sidecar.resends: its labels"),
        ("counters._FIXED[instruments.BUGS] = (('x',),)", "sidecar.bugs: its labels"),
    ],
)
def test_o18_no_sidecar_is_put_together_without_its_tables(change: str, named: str) -> None:
    """Each table as it would be with a line forgotten, or put elsewhere."""
    code = f"from sidecar.telemetry import counters, instruments; {change}; counters.Counters('1', [])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"LookupError: {named}" in done.stderr


async def test_s18_metrics_of_ten_thousand_tenants_are_as_many_as_those_of_a_hundred() -> None:
    """The tenants after the first hundred share one label: a route with one token makes a text of some 200 KB."""

    def used_by(tenants: int) -> Counters:
        counters = Counters("0", [LEDGER], TenantRule(header=b"x-tenant"))
        for number in range(tenants):
            tenant = f"t{number:05}"
            record = RequestRecord(1.0, "GET", "/", "id", "")
            record.route, record.status, record.token, record.tenant = "ledger", 200, "fetch", tenant
            counters.request_finished(record)
            counters.tell(TokenFetched("ledger-token", "s", tenant, "fp", 300.0, 1.0, "cold"))
        return counters

    few, many = [
        (await prometheus_text(used_by(tenants).families(NOTHING))) for tenants in (MOST_TENANTS + 1, 10_000)
    ]
    assert many.count(b"\n") == few.count(b"\n")
    assert len(many) < 250_000, len(many)
