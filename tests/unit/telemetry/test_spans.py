"""What the spans of a request say, beside what a real receiver is shown to get."""

import pytest

from sidecar.core.origin import Origin
from sidecar.telemetry.events import SecretRead, SecretUnread, Stopped
from sidecar.telemetry.request_record import RequestRecord, Send
from sidecar.telemetry.spans import LONGEST_TEXT, Span, of_event, of_request
from sidecar.telemetry.trace_context import Sampler, SamplerName
from sidecar.telemetry.tracing import Trace, Tracer

ORIGIN = Origin("https", "ledger.internal", 8443)


def bits(size: int) -> int:
    return (1 << size) - 1


def tracer(name: SamplerName = "always_on") -> Tracer:
    return Tracer(Sampler(name), bits)


def a_request(method: str = "GET", path: str = "/x", target: bytes = b"/x") -> tuple[RequestRecord, Trace]:
    """One that was sent, and got no answer yet."""
    record = RequestRecord(100.0, method, path, "id", "")
    trace = tracer().begin({})
    trace.next_hop(ORIGIN, target)
    record.finished, record.route, record.attempts, record.sent_at = 103.0, "ledger", 1, 101.0
    return record, trace


def spans(record: RequestRecord, trace: Trace) -> tuple[Span, Span]:
    server, client = of_request(record, trace)
    return server, client


def test_an_unknown_method_is_other() -> None:
    """So that clients cannot invent names of spans; what they said is kept beside it."""
    server, client = spans(*a_request("FROBNICATE"))
    assert (server.name, client.name) == ("HTTP ledger", "HTTP")
    for span in (server, client):
        assert span.attributes["http.request.method"] == "_OTHER"
        assert span.attributes["http.request.method_original"] == "FROBNICATE"


def test_no_text_is_longer_than_its_limit() -> None:
    """A client may send 16 KiB of path, and thousands of spans may wait."""
    for span in spans(*a_request("M" * 10_000, "/" + "p" * 16_000, b"/" + b"p" * 16_000)):
        assert max(len(str(value)) for value in span.attributes.values()) == LONGEST_TEXT


@pytest.mark.parametrize(
    ("target", "full"),
    [
        (b"/a?b=canary", "https://ledger.internal:8443/a"),
        (b"/a?", "https://ledger.internal:8443/a"),
        (b"/%C3%A9;x=1", "https://ledger.internal:8443/%C3%A9;x=1"),
        (b"/\xff", "https://ledger.internal:8443/\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_where_a_request_went_is_told_without_its_query(target: bytes, full: str) -> None:
    """Whatever bytes the target has, it is text."""
    _, client = spans(*a_request(target=target))
    assert client.attributes["url.full"] == full


def test_a_client_that_left_is_the_error_of_both() -> None:
    """It lasted from when it was sent until then."""
    record, trace = a_request()
    record.error, record.upstream_seconds = "client_gone", 1.5
    server, client = spans(record, trace)
    assert (server.failed, server.attributes["error.type"]) == (True, "client_gone")
    assert (client.failed, client.attributes["error.type"]) == (True, "client_gone")
    assert (client.began, client.ended) == (101.0, 102.5)
    assert "http.response.status_code" not in {**server.attributes, **client.attributes}


def test_a_status_is_an_error_to_a_client_sooner_than_to_a_server() -> None:
    """By OpenTelemetry's conventions a 404 is the client's own fault."""
    record, trace = a_request()
    record.status = record.upstream_status = 404
    server, client = spans(record, trace)
    assert (server.failed, client.failed) == (False, True)
    record.status = record.upstream_status = 500
    server, client = spans(record, trace)
    assert (server.failed, client.failed) == (True, True)
    assert server.attributes["error.type"] == client.attributes["error.type"] == "500"


def test_a_secret_read_is_a_span_and_says_which() -> None:
    """With its time, and why there was none."""
    good = of_event(SecretRead("app", "acme", "tenants/acme", "AWSCURRENT", 250.0), 10.0, tracer())
    bad = of_event(SecretUnread("app", "acme", "tenants/acme", "denied", "no", 1.0), 10.0, tracer())
    assert good is not None
    assert bad is not None
    assert (good.name, good.began, good.ended, good.failed) == ("read secret", 9.75, 10.0, False)
    assert (bad.failed, bad.attributes["error.type"]) == (True, "denied")
    assert good.attributes == {
        "sidecar.service": "app",
        "sidecar.tenant": "acme",
        "sidecar.secret": "tenants/acme",
    }


def test_only_questions_to_others_are_spans() -> None:
    """No other event; and none of them where such traces are not sampled."""
    assert of_event(Stopped(), 1.0, tracer()) is None
    read = SecretRead("app", "", "app", "AWSCURRENT", 1.0)
    assert of_event(read, 1.0, tracer("always_off")) is None


def a_call(status: int) -> tuple[RequestRecord, Trace]:
    """A gRPC call that ended with this status."""
    record, trace = a_request("POST", "/test.Calls/Echo", b"/test.Calls/Echo")
    record.http2, record.grpc_status = True, status
    record.status = record.upstream_status = 200
    record.upstream_seconds = 0.5
    return record, trace


@pytest.mark.parametrize(
    ("status", "name", "of_server"),
    [
        (0, "OK", False),
        (5, "NOT_FOUND", False),
        (7, "PERMISSION_DENIED", False),
        (2, "UNKNOWN", True),
        (4, "DEADLINE_EXCEEDED", True),
        (12, "UNIMPLEMENTED", True),
        (13, "INTERNAL", True),
        (14, "UNAVAILABLE", True),
        (15, "DATA_LOSS", True),
        (16, "UNAUTHENTICATED", False),
    ],
)
def test_a_grpc_call_has_the_attributes_of_the_conventions(
    status: int, name: str, *, of_server: bool
) -> None:
    """Its name is the method's; to a client all but OK is an error, to a server some statuses are."""
    for span, failed in zip(spans(*a_call(status)), (of_server, status > 0), strict=True):
        assert (span.name, span.failed) == ("test.Calls/Echo", failed)
        assert span.attributes.get("error.type", "") == (name if failed else "")
        found = {key: value for key, value in span.attributes.items() if key.startswith(("rpc.", "network."))}
        assert found == {
            "rpc.system.name": "grpc",
            "rpc.method": "test.Calls/Echo",
            "rpc.response.status_code": name,
            "network.protocol.version": "2",
        }


def test_a_healed_grpc_call_shows_both_statuses() -> None:
    """UNAUTHENTICATED of the first send, OK of the second."""
    record, trace = a_call(0)
    trace.next_hop(ORIGIN, b"/test.Calls/Echo")
    record.first = Send(101.0, 0.1, 200, 16)
    _, first, second = of_request(record, trace)
    assert [each.attributes["rpc.response.status_code"] for each in (first, second)] == [
        "UNAUTHENTICATED",
        "OK",
    ]
    assert [each.failed for each in (first, second)] == [True, False]
