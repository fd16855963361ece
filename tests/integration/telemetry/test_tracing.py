"""Traces: what is sent to the upstream, and what an OTLP receiver gets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from sidecar.telemetry.sinks.otlp.exporter import PARTING
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.otlp_receiver import Collector, attributes
from tests.support.sidecar import Running, Start
from tests.support.upstream import OK, Exchange, Upstream, hang_up, refusal
from tests.support.waiting import PATIENCE, awake
from tests.support.wire_client import ask

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = (
    b"traceparent: 00-%s-%s-%s" % (TRACE.encode(), PARENT.encode(), f) for f in (b"01", b"00")
)
Environ = Callable[..., None]
NEVER = str(3_600_000)


@pytest.fixture
def tracing(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Environ:
    """Trace from now on, all of it by default; more variables may be set."""

    def trace(**variables: str) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return trace


def by_kind(spans: list[Span], kind: "Span.SpanKind.ValueType") -> list[Span]:
    return sorted((span for span in spans if span.kind == kind), key=lambda span: span.start_time_unix_nano)


def servers(spans: list[Span]) -> list[Span]:
    return by_kind(spans, Span.SPAN_KIND_SERVER)


def sends(spans: list[Span]) -> list[Span]:
    """The requests to upstreams."""
    return [span for span in by_kind(spans, Span.SPAN_KIND_CLIENT) if "sidecar.service" not in of(span)]


def fetches(spans: list[Span]) -> list[Span]:
    """The questions to authorization servers."""
    return [span for span in spans if span.name == "fetch token"]


def of(span: Span) -> dict[str, str | int]:
    return attributes(list(span.attributes))


def parents(upstream: Upstream) -> list[str]:
    return [b", ".join(request.values("traceparent")).decode() for request in upstream.requests]


async def test_a_request_is_a_server_span_and_a_client_span(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """By OpenTelemetry's stable names, under the client's span; the upstream's parent is our client span."""
    tracing()
    async with sidecar() as running:
        await running.get(b"/")
        answer = await running.get(b"/accounts?secret=canary", SAMPLED, b"tracestate: vendor=1")
        assert answer.status == 200
        await collector.until(lambda: any(span.parent_span_id.hex() == PARENT for span in collector.spans))
        (server,) = [span for span in collector.spans if span.parent_span_id.hex() == PARENT]
        await collector.until(lambda: any(span.parent_span_id == server.span_id for span in collector.spans))
    (client,) = [span for span in collector.spans if span.parent_span_id == server.span_id]
    assert {server.trace_id.hex(), client.trace_id.hex()} == {TRACE}
    assert (server.name, server.kind, client.name, client.kind) == (
        "GET api", Span.SPAN_KIND_SERVER, "GET", Span.SPAN_KIND_CLIENT,
    )  # fmt: skip
    (token,) = await_tokens(running)
    assert of(server) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/accounts",
        "network.protocol.version": "1.1",
        "http.route": "api",
        "http.response.status_code": 200,
        "sidecar.request.id": running.events("request")[1]["request_id"],
        "sidecar.token.source": "memory",
        "sidecar.token.fingerprint": token,
    }
    assert of(client) == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "url.full": f"{upstream.url}/accounts",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
    }
    assert parents(upstream)[1] == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert upstream.requests[1].values("tracestate") == [b"vendor=1"]
    assert server.trace_state == client.trace_state == "vendor=1"
    assert server.start_time_unix_nano <= client.start_time_unix_nano <= client.end_time_unix_nano
    assert client.end_time_unix_nano <= server.end_time_unix_nano
    assert server.status.code == client.status.code == Status.STATUS_CODE_UNSET


def await_tokens(running: Running) -> list[object]:
    return [line["fp"] for line in running.events("token_fetched")]


async def test_the_log_has_the_traces_id(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """The client's, or that of the trace that begins here: what is logged is found in the traces."""
    tracing()
    async with sidecar() as running:
        await running.get(b"/", SAMPLED)
        await running.get(b"/")
        await collector.until(lambda: len(servers(collector.spans)) == 2)
    logged = [line["trace_id"] for line in running.events("request")]
    assert logged[0] == TRACE
    assert sorted(map(str, logged)) == sorted(span.trace_id.hex() for span in servers(collector.spans))
    assert parents(upstream)[1][3:35] == logged[1]


async def test_the_second_send_is_a_span_of_its_own(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """With `http.request.resend_count`; the refused one is an error, the request as a whole is none."""
    tracing()
    async with sidecar() as running:
        await running.get(b"/warm")
        upstream.script(refusal())
        assert (await running.get(b"/", SAMPLED)).status == 200
        await collector.until(lambda: len(of_trace(collector.spans)) == 5)
    spans = of_trace(collector.spans)
    first, second = sends(spans)
    (server,) = servers(spans)
    assert ("http.request.resend_count" in of(first), of(second)["http.request.resend_count"]) == (False, 1)
    assert of(first)["http.response.status_code"] == 401
    assert of(first)["error.type"] == "401"
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert {second.status.code, server.status.code} == {Status.STATUS_CODE_UNSET}
    assert first.end_time_unix_nano <= second.start_time_unix_nano
    assert [parent[36:52] for parent in parents(upstream)[1:]] == [first.span_id.hex(), second.span_id.hex()]
    (fetch,) = fetches(spans)
    (wait,) = by_kind(spans, Span.SPAN_KIND_INTERNAL)
    assert (wait.name, wait.parent_span_id, fetch.parent_span_id) == (
        "wait for token",
        server.span_id,
        wait.span_id,
    )
    assert of(fetch)["sidecar.reason"] == "refused"


def of_trace(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.trace_id.hex() == TRACE]


async def test_a_fetch_belongs_to_the_request_that_began_it(
    sidecar: Start,
    upstream: Upstream,
    collector: Collector,
    authorization_server: AuthorizationServer,
    tracing: Environ,
) -> None:
    """However many wait for it; those that joined show that they waited."""
    tracing(OTEL_TRACES_SAMPLER="parentbased_always_off")
    authorization_server.hold = asyncio.Event()
    async with sidecar() as running:
        asking = [asyncio.create_task(running.get(b"/", SAMPLED)) for _ in range(3)]
        await authorization_server.reached(1)
        async with asyncio.timeout(PATIENCE):
            while await metric(running, "http_server_active_requests") < 3:
                pass
        authorization_server.hold.set()
        assert [(await each).status for each in asking] == [200, 200, 200]
        await collector.until(lambda: len(collector.spans) == 10)
    waits = by_kind(collector.spans, Span.SPAN_KIND_INTERNAL)
    (fetch,) = fetches(collector.spans)
    assert len(waits) == 3
    assert fetch.parent_span_id in {wait.span_id for wait in waits}
    assert {of(server)["sidecar.token.source"] for server in servers(collector.spans)} == {"fetch"}


async def test_a_fetch_that_nobody_waits_for_is_a_trace_of_its_own(
    sidecar: Start, collector: Collector, tracing: Environ
) -> None:
    """Such as the one with which a sidecar starts."""
    tracing()
    async with sidecar() as running:
        await running.clock.advance(5)
        (fetch,) = await collector.traced(1)
    assert (fetch.name, fetch.parent_span_id) == ("fetch token", b"")
    assert of(fetch)["sidecar.reason"] == "warm_up"


async def test_a_failed_fetch_is_an_error(
    sidecar: Start, collector: Collector, authorization_server: AuthorizationServer, tracing: Environ
) -> None:
    """Its span says of what kind, and so does the request's, in our own words."""
    tracing()
    authorization_server.script(json_answer(503, {}))
    async with sidecar() as running:
        assert (await running.get(b"/", SAMPLED)).status == 503
        await collector.traced(3)
    (fetch,) = fetches(collector.spans)
    (server,) = servers(collector.spans)
    assert (of(fetch)["error.type"], fetch.status.code) == ("unavailable", Status.STATUS_CODE_ERROR)
    assert (of(server)["error.type"], server.status.code) == ("token_unavailable", Status.STATUS_CODE_ERROR)
    assert of(server)["http.response.status_code"] == 503
    assert sends(collector.spans) == []


async def test_an_upstream_without_an_answer_is_an_error(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """In both spans; there is no status that it could have."""
    tracing()
    upstream.script(hang_up, hang_up)
    async with sidecar() as running:
        assert (await running.get(b"/", SAMPLED)).status == 502
        await collector.until(lambda: len(sends(collector.spans)) == 1)
    (client,) = sends(collector.spans)
    assert of(client)["error.type"] == "upstream_unreachable"
    assert "http.response.status_code" not in of(client)
    assert client.status.code == Status.STATUS_CODE_ERROR


async def test_with_tracing_off_the_clients_context_passes_as_it_is(
    sidecar: Start, upstream: Upstream
) -> None:
    """Byte for byte, wherever it stands, and nothing is added."""
    async with sidecar() as running:
        for line in (SAMPLED, b"TraceParent:  00-zz-\xff", b"X: 1"):
            await running.get(b"/", line, b"tracestate: a=1")
    assert [request.head.raw.count(b"\r\ntracestate: a=1\r\n") for request in upstream.requests] == [1, 1, 1]
    assert b"\r\n%s\r\n" % SAMPLED in upstream.requests[0].head.raw
    assert b"\r\nTraceParent: 00-zz-\xff\r\n" in upstream.requests[1].head.raw
    assert b"trace" not in upstream.requests[2].head.raw.replace(b"tracestate", b"")


async def test_an_upstream_that_cannot_be_reached_is_a_span_too(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """It names the address, but not the query of the route."""
    tracing()
    async with sidecar() as running:
        await running.get(b"/warm")
        await upstream.stop()
        async with asyncio.timeout(PATIENCE):
            while (await running.get(b"/x?canary", SAMPLED)).status != 502:
                pass
        await collector.until(lambda: len(sends(of_trace(collector.spans))) >= 1)
    client = sends(of_trace(collector.spans))[-1]
    assert of(client)["error.type"] == "upstream_unreachable"
    assert of(client)["url.full"] == f"{upstream.url}/x"
    assert 0 < client.start_time_unix_nano <= client.end_time_unix_nano


@pytest.mark.parametrize(
    ("sampler", "line", "flags"),
    [
        ("always_off", SAMPLED, "00"),
        ("parentbased_always_on", UNSAMPLED, "00"),
        ("always_on", UNSAMPLED, "01"),
        ("parentbased_always_off", SAMPLED, "01"),
    ],
)
async def test_the_upstreams_parent_is_ours_sampled_or_not(
    sidecar: Start, upstream: Upstream, tracing: Environ, *, sampler: str, line: bytes, flags: str
) -> None:
    """The trace goes on, the span is new, the flag is our sampler's; never two fields."""
    tracing(OTEL_TRACES_SAMPLER=sampler)
    async with sidecar() as running:
        await running.get(b"/", line)
    (parent,) = parents(upstream)
    assert parent.startswith(f"00-{TRACE}-")
    assert parent.endswith(f"-{flags}")
    assert PARENT not in parent


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"traceparent: canary",),
        (b"traceparent: 00-%s-%s-01" % (b"0" * 32, PARENT.encode()),),
        (SAMPLED, SAMPLED.replace(b"4bf9", b"4bf8")),
    ],
)
async def test_what_is_no_context_is_replaced_by_a_new_one(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ, lines: tuple[bytes, ...]
) -> None:
    """Nothing of it goes on, nor the state that came with it (W3C Trace Context section 3.4)."""
    tracing()
    async with sidecar() as running:
        await running.get(b"/", *lines, b"TraceState: vendor=canary")
        await collector.until(lambda: len(servers(collector.spans)) == 1)
    (server,) = servers(collector.spans)
    (parent,) = parents(upstream)
    assert parent[:36] == f"00-{server.trace_id.hex()}-"
    assert server.parent_span_id == b""
    assert b"canary" not in upstream.requests[0].head.raw.partition(b"Authorization")[0]
    assert upstream.requests[0].values("tracestate") == []


async def test_what_is_not_sampled_sends_nothing(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """Neither spans of the request nor of the fetch it waited for."""
    tracing(OTEL_TRACES_SAMPLER="parentbased_always_on")
    async with sidecar() as running:
        for _ in range(3):
            await running.get(b"/", UNSAMPLED)
        await running.get(b"/", SAMPLED)
        await collector.until(lambda: len(servers(collector.spans)) == 1)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert len(collector.spans) == 2
    assert fetches(collector.spans) == []


async def test_a_share_of_the_traces_is_sampled(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """By the trace's id, so that all services in the trace agree."""
    tracing(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5")
    low, high = (
        b"traceparent: 00-%s%s-%s-00" % (b"1" * 16, each * 16, PARENT.encode()) for each in (b"1", b"f")
    )
    async with sidecar() as running:
        for line in (high, low):
            await running.get(b"/", line)
        await collector.until(lambda: len(servers(collector.spans)) == 1)
    assert [parent[-2:] for parent in parents(upstream)] == ["00", "01"]


@asynccontextmanager
async def broken(collector: Collector, how: str) -> AsyncIterator[None]:
    """The receiver refuses, fails, is silent or is gone."""
    hold = asyncio.Event()

    async def silence(exchange: Exchange) -> None:
        await exchange.read()
        await hold.wait()

    if how == "gone":
        await collector.stop()
    else:
        status = b"HTTP/1.1 %d canary\r\nContent-Length: 6\r\n\r\ncanary"
        collector.script(*[{"refuses": status % 400, "fails": status % 503}.get(how, silence)] * 1000)
    yield
    hold.set()


@pytest.mark.parametrize(
    ("how", "within"), [("refuses", "30"), ("fails", "30"), ("silent", "30"), ("gone", "0.5")]
)
async def test_a_broken_receiver_touches_no_request(
    sidecar: Start,
    upstream: Upstream,
    collector: Collector,
    tracing: Environ,
    capfd: pytest.CaptureFixture[str],
    *,
    how: str,
    within: str,
) -> None:
    """All are answered, spans find no room and are counted, stopping is not held up, nothing goes to stderr."""
    tracing(
        OTEL_BSP_MAX_QUEUE_SIZE="8", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4", OTEL_EXPORTER_OTLP_TIMEOUT=within
    )
    async with broken(collector, how):
        async with sidecar() as running, await running.connect() as client:
            for _ in range(50):
                assert (await client.ask(running.request(b"GET", b"/", SAMPLED))).status == 200
            if how in ("refuses", "gone"):
                await until_exported(running, "failed")
            else:
                await until_dropped(running)
            limit = asyncio.create_task(awake(2 * PARTING))
        assert not limit.done()
        limit.cancel()
    assert capfd.readouterr().err == ""
    expected = {"refuses": "HTTP 400", "gone": "Connection refused"}.get(how)
    if expected is not None:
        told = {(line["signal"], line["error"]) for line in running.events("export_down")}
        assert told >= {("traces", expected)}
        assert len(running.events("export_down")) == len(told)


ENDLESS = 64 << 20
"""Bytes; more than any reader expects."""


async def test_an_endless_answer_is_not_kept_in_memory(
    sidecar: Start, collector: Collector, tracing: Environ
) -> None:
    """The status is all that is looked at: a receiver cannot fill the pod with what it says besides."""
    cut = asyncio.Event()

    async def endless(exchange: Exchange) -> None:
        await exchange.read()
        try:
            await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS)
            for _ in range(ENDLESS >> 16):
                await exchange.send(bytes(1 << 16))
        except ConnectionError:
            cut.set()

    tracing()
    collector.script(endless)
    async with sidecar() as running:
        await running.get(b"/", SAMPLED)
        await until_exported(running, "ok")
        async with asyncio.timeout(PATIENCE):
            await cut.wait()


@pytest.mark.parametrize("body", [b"Content-Length: 0\r\n\r\n", b"Content-Length: 2\r\n\r\n{}"])
async def test_one_connection_carries_one_export_after_the_other(
    sidecar: Start, collector: Collector, tracing: Environ, body: bytes
) -> None:
    """Whether the receiver says something besides or not."""
    tracing()
    collector.script(*[b"HTTP/1.1 200 OK\r\n" + body] * 3)
    async with sidecar() as running:
        for count in (1, 2, 3):
            await running.get(b"/", SAMPLED)
            await collector.reached(count)
    assert {request.connection for request in collector.requests[:3]} == {1}


async def test_a_redirection_is_no_export(sidecar: Start, collector: Collector, tracing: Environ) -> None:
    """The spans were not accepted, so it is reported like any other failure; they are not sent to the new address."""
    tracing()
    collector.script(b"HTTP/1.1 307 Elsewhere\r\nLocation: /v1/traces\r\nContent-Length: 0\r\n\r\n")
    async with sidecar() as running:
        await running.get(b"/", SAMPLED)
        await until_exported(running, "failed")
    assert [line["error"] for line in running.events("export_down")] == ["HTTP 307"]


async def metric(running: Running, name: str) -> float:
    text = (
        await ask(running.app.admin_address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ).body.decode()
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


async def until_exported(running: Running, outcome: str) -> None:
    name = f'sidecar_telemetry_exports_total{{outcome="{outcome}",signal="traces"}}'
    async with asyncio.timeout(PATIENCE):
        while not await metric(running, name):
            await asyncio.sleep(0.01)


async def until_dropped(running: Running) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await metric(running, "sidecar_telemetry_spans_dropped_total"):
            await asyncio.sleep(0.01)


async def test_when_the_receiver_is_back_that_is_told_once(
    sidecar: Start, collector: Collector, tracing: Environ
) -> None:
    """One warning for the outage, one word for its end, however many exports there were."""
    tracing()
    collector.script(*[b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"] * 2)
    async with sidecar() as running:
        for count in (1, 2, 3):
            await running.get(b"/", SAMPLED)
            await collector.reached(count)
            await until_exported(running, "failed" if count < 3 else "ok")
        await until_exported(running, "ok")
    told = [line for line in running.log() if str(line["event"]).startswith("export")]
    assert [(line["level"], line["event"], line["signal"]) for line in told] == [
        ("warning", "export_down", "traces"),
        ("info", "export_up", "traces"),
    ]


async def test_who_we_are_is_said_as_the_variables_say(
    sidecar: Start, collector: Collector, tracing: Environ
) -> None:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, besides our version and an id of this process."""
    tracing(
        OTEL_SERVICE_NAME="ledger-sidecar",
        OTEL_RESOURCE_ATTRIBUTES="k8s.pod.name=pod-1,service.namespace=pay",
    )
    async with sidecar() as running:
        await running.get(b"/", SAMPLED)
        await collector.traced(2)
    who = collector.resources[0]
    assert (who["service.name"], who["k8s.pod.name"], who["service.namespace"]) == (
        "ledger-sidecar",
        "pod-1",
        "pay",
    )
    assert who["service.version"]
    assert who["service.instance.id"]


async def test_without_a_name_we_have_one_of_our_own(
    sidecar: Start, collector: Collector, tracing: Environ
) -> None:
    """Not the library's `unknown_service`."""
    tracing()
    async with sidecar() as running:
        await running.get(b"/", SAMPLED)
        await collector.traced(2)
    assert collector.resources[0]["service.name"] == "credential-sidecar"


async def test_what_waits_is_sent_when_the_sidecar_stops(
    sidecar: Start, collector: Collector, tracing: Environ
) -> None:
    """The last requests before a roll-out are in the traces, too."""
    tracing(OTEL_BSP_SCHEDULE_DELAY=NEVER)
    async with sidecar() as running:
        await running.get(b"/", SAMPLED)
        assert collector.spans == []
    assert len(servers(collector.spans)) == 1


async def test_a_variable_that_cannot_be_used_is_told_of(
    sidecar: Start, upstream: Upstream, collector: Collector, tracing: Environ
) -> None:
    """Requests are served, and traced by the default."""
    tracing(OTEL_TRACES_SAMPLER="jaeger_remote")
    upstream.script(OK)
    async with sidecar() as running:
        await running.get(b"/", SAMPLED)
        await collector.traced(2)
    assert [line["variable"] for line in running.events("setting_ignored")] == ["OTEL_TRACES_SAMPLER"]
