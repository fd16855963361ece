"""Which calls are served: a table of forged requests, and the requests that must pass."""

from collections.abc import Mapping

import pytest

from sidecar.core.errors import RequestRefused
from sidecar.http1.message import Request, parse_request
from sidecar.token_api.calls import check_query, read_call
from sidecar.token_api.guards import admit

MARK = "Sidecar-Request: true"
LOCAL = "Host: 127.0.0.1:9182"


def request(line: str, *fields: str) -> Request:
    return parse_request("\r\n".join((f"{line} HTTP/1.1", *fields, "", "")).encode())


def judge(line: str, *fields: str, unix: bool = False, authorize: bool = True) -> int:
    """Return the status of the refusal, 200 if the request passes."""
    asked = request(line, *fields)
    try:
        call = read_call(asked.target, tenant_in_path=False)
        admit(call, asked, unix=unix, authorize=authorize)
        check_query(call)
    except RequestRefused as refusal:
        return refusal.status
    return 200


FORGED: Mapping[str, tuple[int, str, tuple[str, ...]]] = {
    "no mark": (403, "GET /token/ledger", (LOCAL,)),
    "another mark": (403, "GET /token/ledger", (LOCAL, "Sidecar-Request: 1")),
    "mark twice": (403, "GET /token/ledger", (LOCAL, MARK, MARK)),
    "mark in capitals": (403, "GET /token/ledger", (LOCAL, "Sidecar-Request: TRUE")),
    "twin of the mark": (403, "GET /token/ledger", (LOCAL, "Sidecar_Request: true")),
    "foreign Host": (421, "GET /token/ledger", ("Host: evil.example", MARK)),
    "Host that begins as ours": (421, "GET /token/ledger", ("Host: 127.0.0.1.evil.example", MARK)),
    "Host of the cloud": (421, "GET /token/ledger", ("Host: 169.254.169.254", MARK)),
    "Host of any address": (421, "GET /token/ledger", ("Host: 0.0.0.0:9182", MARK)),
    "Host in the target": (421, "GET http://evil.example/token/ledger", (LOCAL, MARK)),
    "Origin": (403, "GET /token/ledger", (LOCAL, MARK, "Origin: http://evil.example")),
    "Origin of loopback": (403, "GET /token/ledger", (LOCAL, MARK, "Origin: http://127.0.0.1:9182")),
    "Origin null": (403, "GET /token/ledger", (LOCAL, MARK, "Origin: null")),
    "Sec-Fetch-Site": (403, "GET /token/ledger", (LOCAL, MARK, "Sec-Fetch-Site: same-origin")),
    "Sec-Fetch-Mode": (403, "GET /token/ledger", (LOCAL, MARK, "sec-fetch-mode: navigate")),
    "X-Forwarded-For": (403, "GET /token/ledger", (LOCAL, MARK, "X-Forwarded-For: 203.0.113.7")),
    "X-Forwarded-Host": (403, "GET /token/ledger", (LOCAL, MARK, "x-forwarded-host: localhost")),
    "X_Forwarded_For": (403, "GET /token/ledger", (LOCAL, MARK, "X_Forwarded_For: 127.0.0.1")),
    "X-Forwarded alone": (403, "GET /token/ledger", (LOCAL, MARK, "X-Forwarded: for=1")),
    "empty X-Forwarded-Proto": (403, "GET /token/ledger", (LOCAL, MARK, "X-Forwarded-Proto:")),
    "Forwarded": (403, "GET /token/ledger", (LOCAL, MARK, "Forwarded: for=127.0.0.1")),
    "X-Real-IP": (403, "GET /token/ledger", (LOCAL, MARK, "X-Real-IP: 127.0.0.1")),
    "Via": (403, "GET /token/ledger", (LOCAL, MARK, "Via: 1.1 squid")),
    "POST for GET": (405, "POST /token/ledger", (LOCAL, MARK)),
    "HEAD for GET": (405, "HEAD /token/ledger", (LOCAL, MARK)),
    "preflight": (403, "OPTIONS /token/ledger", (LOCAL, "Origin: http://evil.example")),
    "query": (400, "GET /token/ledger?scope=admin", (LOCAL, MARK)),
    "dot segment": (400, "GET /authorize/../token/ledger/..", (LOCAL, MARK)),
    "encoded dots": (400, "GET /token/%2e%2e/ledger", (LOCAL, MARK)),
    "encoded name": (404, "GET /token/led%67er", (LOCAL, MARK)),
    "no name": (404, "GET /token/", (LOCAL, MARK)),
    "path below": (404, "GET /token/ledger/x", (LOCAL, MARK)),
    "another path": (404, "GET /", (LOCAL, MARK)),
    "report by GET": (405, "GET /token/ledger/refused", (LOCAL, MARK)),
    "report without the mark": (403, "POST /token/ledger/refused", (LOCAL,)),
    "report of a page": (403, "POST /token/ledger/refused", (LOCAL, MARK, "Origin: http://localhost")),
    "forwarded report": (403, "POST /token/ledger/refused", (LOCAL, MARK, "X-Forwarded-For: 1.2.3.4")),
    "report to a foreign Host": (421, "POST /token/ledger/refused", ("Host: evil.example", MARK)),
    "agent of a page": (403, "GET /AuthorizationHeaderUnauthenticated/ledger", (LOCAL, "Origin: null")),
    "forwarded agent": (403, "GET /AuthorizationHeaderUnauthenticated/ledger", (LOCAL, "Via: 1.1 x")),
    "rebound agent": (421, "GET /AuthorizationHeaderUnauthenticated/ledger", ("Host: evil.example",)),
    "another identity": (
        400, "GET /AuthorizationHeaderUnauthenticated/ledger?AgentIdentity=other", (LOCAL,),
    ),
    "other scopes": (
        400, "GET /AuthorizationHeaderUnauthenticated/ledger?optionsOverride.Scopes=x", (LOCAL,),
    ),
    "agent by POST": (405, "POST /AuthorizationHeaderUnauthenticated/ledger", (LOCAL,)),
    "proxy without the mark": (403, "GET /authorize/ledger", (LOCAL,)),
    "proxy's report without the mark": (403, "GET /refused/ledger", (LOCAL,)),
    "proxy with another mark": (403, "GET /authorize/ledger", (LOCAL, "Sidecar-Request: yes")),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_b90_a_forged_request_is_refused(name: str) -> None:
    """Each by its own rule."""
    status, line, fields = FORGED[name]
    assert judge(line, *fields) == status


@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize("line", ["GET /authorize/ledger", "POST /refused/ledger/x?y"])
def test_b90_header_mode_is_off_unless_configured(line: str, *, unix: bool) -> None:
    """Over a Unix socket too, with the mark or without."""
    assert judge(line, LOCAL, MARK, unix=unix, authorize=False) == 403
    assert judge(line, LOCAL, unix=unix, authorize=False) == 403


PASSING: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "loopback": ("GET /token/ledger", (LOCAL, MARK)),
    "localhost": ("GET /token/ledger", ("Host: localhost", MARK)),
    "IPv6": ("GET /token/ledger", ("Host: [::1]:9182", MARK)),
    "small field name": ("GET /token/ledger", (LOCAL, "sidecar-request: true")),
    "absolute-form": ("GET http://localhost:9182/token/ledger", (LOCAL, MARK)),
    "own fields": ("GET /token/ledger", (LOCAL, MARK, "X-Request-Id: 1", "User-Agent: x", "Viaduct: x")),
    "report": ("POST /token/ledger/refused", (LOCAL, MARK, "Content-Length: 2")),
    "agent": ("GET /AuthorizationHeaderUnauthenticated/ledger", (LOCAL,)),
    "agent, as ASP.NET reads paths": ("GET /authorizationheaderunauthenticated/ledger", (LOCAL,)),
    "agent that wants an application's token": (
        "GET /AuthorizationHeaderUnauthenticated/ledger?optionsOverride.RequestAppToken=true", (LOCAL,),
    ),
    "proxy with its client's fields": (
        "DELETE /authorize/ledger/a/../b?token=x",
        ("Host: shop.example", MARK, "Origin: https://shop.example", "X-Forwarded-For: 203.0.113.7"),
    ),
    "proxy's report": ("PUT /refused/ledger/%2e%2e", ("Host: shop.example", MARK, "Sec-Fetch-Site: none")),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_b90_programs_and_proxies_are_served(name: str) -> None:
    """What they send passes."""
    line, fields = PASSING[name]
    assert judge(line, *fields) == 200


def test_b90_a_unix_socket_needs_no_host_and_no_proxys_mark() -> None:
    """No browser reaches it; a request that a server was made to send may."""
    assert judge("GET /token/ledger", "Host: sidecar", MARK, unix=True) == 200
    assert judge("GET /authorize/ledger/x", "Host: shop.example", unix=True) == 200
    assert judge("GET /token/ledger", "Host: sidecar", unix=True) == 403
    assert judge("GET /token/ledger", LOCAL, MARK, "X-Forwarded-For: 1.2.3.4", unix=True) == 403
