"""Answers that the sidecar gives itself."""

import ast
import json
from pathlib import Path

import pytest

import sidecar
from sidecar.core import problem
from sidecar.core.errors import (
    DeadlinePassed,
    ListenError,
    MessageMalformed,
    RequestRefused,
    TokenRefused,
    TokenUnavailable,
    UnknownTenant,
    UpstreamTimeout,
    UpstreamUnreachable,
    WrongVersion,
)
from sidecar.core.problem import Grpc, render


@pytest.mark.parametrize(
    ("error", "status", "word", "proxy_error"),
    [
        (RequestRefused(400, "why"), 400, "bad_request", "http_request_error"),
        (RequestRefused(401, "why"), 401, "bad_subject", "http_request_denied"),
        (RequestRefused(403, "why"), 403, "cross_site", "http_request_denied"),
        (RequestRefused(404, "why"), 404, "no_route", "destination_not_found"),
        (RequestRefused(408, "why"), 408, "request_timeout", "http_request_error"),
        (RequestRefused(414, "why"), 414, "target_too_long", "http_request_error"),
        (RequestRefused(417, "why"), 417, "unknown_expectation", "http_request_error"),
        (RequestRefused(421, "why"), 421, "foreign_host", "http_request_denied"),
        (RequestRefused(431, "why"), 431, "fields_too_large", "http_request_error"),
        (UnknownTenant("acmee", "why"), 400, "unknown_tenant", "http_request_denied"),
        (TokenRefused("why", "invalid_scope"), 502, "token_refused", "proxy_internal_response"),
        (TokenUnavailable("why", 3), 503, "token_unavailable", "proxy_internal_response"),
        (UpstreamUnreachable("why"), 502, "upstream_unreachable", "destination_unavailable"),
        (UpstreamTimeout("why"), 504, "upstream_timeout", "http_response_timeout"),
        (MessageMalformed("why"), 502, "upstream_malformed", "http_protocol_error"),
    ],
)
def test_each_error_has_its_answer(error: Exception, status: int, word: str, proxy_error: str) -> None:
    """Each error has one status, word and Proxy-Status; the body is a problem that repeats its message."""
    answer = render(error, "req-1")
    fields = dict(answer.fields)
    assert (answer.status, answer.word) == (status, word)
    assert fields[b"Content-Type"] == b"application/problem+json"
    assert fields[b"Cache-Control"] == b"no-store"
    assert fields[b"Referrer-Policy"] == b"no-referrer"
    assert fields[b"Proxy-Status"] == b"sidecar; error=" + proxy_error.encode()
    body = json.loads(answer.body)
    title = body.pop("title")
    assert title
    assert body == {
        "type": "about:blank",
        "status": status,
        "detail": "why",
        "instance": "req-1",
        "error": word,
    }
    assert answer.cause == ("why" if word.startswith("upstream_") else "")


@pytest.mark.parametrize("error", [ValueError("canary-secret"), ListenError("canary-secret")])
def test_b82_unforeseen_errors_are_not_repeated(error: Exception) -> None:
    """An unexpected exception gives a 500 without anything of the exception."""
    answer = render(error, "req-1")
    assert (answer.status, answer.word) == (500, "internal_error")
    assert dict(answer.fields)[b"Proxy-Status"] == b"sidecar; error=proxy_internal_error"
    assert b"canary" not in answer.body


@pytest.mark.parametrize(
    ("seconds", "field"), [(0.0, b"1"), (-5.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.01, b"2"), (59.5, b"60")]
)
def test_retry_after_is_whole_seconds_rounded_up(seconds: float, field: bytes) -> None:
    """A client that waits for it never comes back too early, and never at once."""
    assert dict(render(TokenUnavailable("why", seconds), "r").fields)[b"Retry-After"] == field


def test_the_statuses_we_refuse_with_are_those_that_have_a_word() -> None:
    """No refusal without an answer of its own, and no answer that is never given."""
    texts = [path.read_text() for path in Path(sidecar.__path__[0]).rglob("*.py")]
    modules = [ast.parse(text) for text in texts if "RequestRefused" in text]
    calls = [node for module in modules for node in ast.walk(module) if isinstance(node, ast.Call)]
    raised = {ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "RequestRefused"}
    assert raised == set(map(str, problem.REFUSED))


def test_only_an_unavailable_token_has_retry_after() -> None:
    """Asking again helps against outages only."""
    assert b"Retry-After" not in dict(render(UpstreamUnreachable("why"), "r").fields)


def test_instance_is_a_uri_reference() -> None:
    """A request id with characters a URI cannot hold is percent-encoded."""
    assert json.loads(render(UpstreamTimeout("why"), "a:b c/é").body)["instance"] == "a%3Ab%20c%2F%C3%A9"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestRefused(400, "why"), Grpc.INVALID_ARGUMENT),
        (RequestRefused(401, "why"), Grpc.UNAUTHENTICATED),
        (RequestRefused(403, "why"), Grpc.PERMISSION_DENIED),
        (RequestRefused(404, "why"), Grpc.UNIMPLEMENTED),
        (RequestRefused(408, "why"), Grpc.DEADLINE_EXCEEDED),
        (RequestRefused(414, "why"), Grpc.RESOURCE_EXHAUSTED),
        (RequestRefused(417, "why"), Grpc.INVALID_ARGUMENT),
        (RequestRefused(421, "why"), Grpc.PERMISSION_DENIED),
        (RequestRefused(429, "why"), Grpc.RESOURCE_EXHAUSTED),
        (RequestRefused(431, "why"), Grpc.RESOURCE_EXHAUSTED),
        (UnknownTenant("acmee", "why"), Grpc.PERMISSION_DENIED),
        (TokenRefused("why", "invalid_scope"), Grpc.UNAVAILABLE),
        (TokenUnavailable("why", 3), Grpc.UNAVAILABLE),
        (DeadlinePassed("why"), Grpc.DEADLINE_EXCEEDED),
        (WrongVersion("why"), Grpc.UNIMPLEMENTED),
        (UpstreamUnreachable("why"), Grpc.UNAVAILABLE),
        (UpstreamTimeout("why"), Grpc.DEADLINE_EXCEEDED),
        (MessageMalformed("why"), Grpc.INTERNAL),
        (RuntimeError("why"), Grpc.INTERNAL),
    ],
)
def test_b96_each_error_has_a_grpc_status(error: Exception, status: Grpc) -> None:
    """What a gRPC client gets in place of the problem."""
    assert render(error, "req-1").grpc is status
