"""Where tokens must not go: other hosts, and pages in a browser."""

from collections.abc import Mapping

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.sidecar import Start
from tests.support.upstream import Upstream, refusal
from tests.support.wire_client import ask

REDIRECTS = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("code", REDIRECTS)
async def test_b71_redirects_carry_no_token_elsewhere(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, code: int
) -> None:
    """The upstream's are passed on, the authorization server's are not followed."""
    async with Upstream() as elsewhere:
        redirect = b"HTTP/1.1 %d Go\r\nLocation: %s/\r\nContent-Length: 0\r\n\r\n" % (
            code,
            elsewhere.url.encode(),
        )
        upstream.script(redirect)
        async with sidecar() as running:
            answer = await running.get()
            assert (answer.status, answer.values("Location")) == (code, [f"{elsewhere.url}/".encode()])
        authorization_server.scripts.extend([redirect] * 10)
        async with sidecar() as running:
            assert (await running.get()).status in {502, 503}
        assert elsewhere.requests == []
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", [b"LIST", b"get", b"M-SEARCH"])
async def test_h3_a_method_nobody_knows_heals_and_counts_as_other(
    sidecar: Start, upstream: Upstream, method: bytes
) -> None:
    """With a token and a body like any other; clients cannot invent series of metrics."""
    upstream.script(refusal())
    async with sidecar() as running:
        request = running.request(method, b"/x", b"Content-Length: 2", body=b"{}")
        assert (await running.ask(request)).status == 200
        scraped = await ask(running.app.admin_address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert [(got.head.method, bytes(got.body)) for got in upstream.requests] == [(method, b"{}")] * 2
    assert b'http_request_method="_OTHER"' in scraped.body
    assert b'"%b"' % method not in scraped.body


@pytest.mark.parametrize("method", [b"TRACE", b"trace", b"CONNECT"])
async def test_h3_no_method_shows_the_token_or_opens_a_tunnel(
    sidecar: Start, upstream: Upstream, method: bytes
) -> None:
    """400 with the cause, in any case: some servers ignore it."""
    async with sidecar() as running:
        answer = await running.ask(running.request(method, b"/"))
    assert (answer.status, method.upper() + b" is not relayed: " in answer.body) == (400, True)
    assert upstream.requests == []


FOREIGN: Mapping[bytes, int] = {
    b"evil.example": 421,
    b"evil.example:9180": 421,
    b"localhost.evil.example": 421,
    b"127.0.0.1.evil.example": 421,
    b"10.0.0.1": 421,
    b"[fe80::1]": 421,
    b"0x7f.1": 421,
    b"localhost": 200,
    b"LocalHost:1234": 200,
    b"127.0.0.1:80": 200,
    b"[::1]": 200,
}


@pytest.mark.parametrize("host", FOREIGN, ids=bytes.decode)
async def test_b83_a_foreign_host_is_refused(sidecar: Start, upstream: Upstream, host: bytes) -> None:
    """A page whose name was rebound to loopback still says its own name."""
    async with sidecar() as running:
        answer = await running.ask(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
        assert answer.status == FOREIGN[host]
        if answer.status == 421:
            answer = await running.ask(b"GET http://%s/ HTTP/1.1\r\nHost: localhost\r\n\r\n" % host)
            assert answer.status in {400, 421}
    assert len(upstream.requests) == (FOREIGN[host] == 200)


BROWSERS: Mapping[str, tuple[tuple[bytes, ...], int]] = {
    "cross-site": ((b"Sec-Fetch-Site: cross-site",), 403),
    "same-site": ((b"Sec-Fetch-Site: same-site",), 403),
    "same-origin": ((b"Sec-Fetch-Site: same-origin",), 200),
    "typed into the address bar": ((b"Sec-Fetch-Site: none",), 200),
    "foreign origin": ((b"Origin: https://evil.example",), 403),
    "opaque origin": ((b"Origin: null",), 403),
    "no browser": ((b"User-Agent: curl/8",), 200),
}


@pytest.mark.parametrize("name", BROWSERS)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
async def test_b83_a_browser_page_cannot_use_the_sidecar(
    sidecar: Start, upstream: Upstream, name: str, method: bytes
) -> None:
    """What a foreign page sends is refused before it costs a token; preflights too."""
    fields, status = BROWSERS[name]
    async with sidecar() as running:
        answer = await running.ask(running.request(method, b"/", *fields, b"Content-Length: 0"))
    assert answer.status == status
    assert answer.values("Access-Control-Allow-Origin") == []
    assert len(upstream.requests) == (status == 200)


async def test_b83_our_own_origin_is_no_stranger(sidecar: Start, upstream: Upstream) -> None:
    """Origin may be the sidecar's own."""
    async with sidecar() as running:
        assert (await running.get(b"/", b"Origin: http://" + running.host)).status == 200
        assert (await running.get(b"/", b"Origin: http://" + running.host + b".evil.example")).status == 403
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        (b"orders.internal", b"http://orders.internal", 200),
        (b"Orders.internal:9180", b"http://orders.internal:9180", 200),
        (b"orders.internal", b"http://evil.example", 403),
        (b"orders.internal", b"http://other.internal", 403),
        (b"orders.internal", b"null", 403),
        (b"evil.example", b"http://evil.example", 421),
        (b"localhost", b"http://orders.internal", 403),
    ],
)
async def test_h4_the_origin_of_a_routes_host_is_no_stranger(
    sidecar: Start, upstream: Upstream, host: bytes, origin: bytes, status: int
) -> None:
    """A client that names a route's host names it in Origin too; a page of another site cannot."""
    routes = (
        {"name": name, "match": {"host": f"{name}.internal"}, "upstream": upstream.url, "token": "api"}
        for name in ("orders", "other")
    )
    async with sidecar(*routes) as running:
        lines = (b"GET / HTTP/1.1", b"Host: " + host, b"Origin: " + origin, b"", b"")
        assert (await running.ask(b"\r\n".join(lines))).status == status
        lines = (b"GET http://%b/ HTTP/1.1" % host, b"Host: localhost", b"Origin: " + origin, b"", b"")
        assert (await running.ask(b"\r\n".join(lines))).status == status
    assert len(upstream.requests) == (2 if status == 200 else 0)


NAVIGATION = (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document")
OF_A_PAGE = (b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: image")


@pytest.mark.parametrize(
    "first",
    [
        (b"/", *NAVIGATION),
        (b"/favicon.ico", *NAVIGATION),
        (b"/..%2f", *NAVIGATION),
        (b"/" + b"a" * 20_000, *NAVIGATION),
        (b"/", b"Sec-Fetch-Site: none", b"Expect: a-miracle"),
        (b"/", b"Sec-Fetch-Site: same-site"),
    ],
)
async def test_s13_a_refused_navigation_brings_no_other_request(
    sidecar: Start, upstream: Upstream, first: tuple[bytes, ...]
) -> None:
    """A browser shows our refusal as a page and requests an icon for it, as of the same origin and without Referer."""
    async with sidecar() as running:
        refused = await running.get(*first)
        assert refused.status in (400, 403, 414, 417)
        assert refused.values("Referrer-Policy") == [b"no-referrer"]
        for site in (b"same-origin", b"none"):
            icon = await running.get(b"/favicon.ico", b"Sec-Fetch-Site: " + site, *OF_A_PAGE)
            assert (icon.status, icon.values("Content-Type")) == (404, [b"application/problem+json"])
            assert icon.values("Proxy-Status") != []
    assert upstream.requests == []


@pytest.mark.parametrize(
    "request_",
    [
        (b"/favicon.ico",),
        (b"/favicon.ico", b"Sec-Fetch-Site: same-origin", b"Referer: http://localhost/app", *OF_A_PAGE),
        (b"/favicon.icon", b"Sec-Fetch-Site: same-origin"),
        (b"/app/favicon.ico", b"Sec-Fetch-Site: same-origin"),
        (b"/image.png", b"Sec-Fetch-Site: same-origin", *OF_A_PAGE),
    ],
)
async def test_s13_what_an_application_requests_passes(
    sidecar: Start, upstream: Upstream, request_: tuple[bytes, ...]
) -> None:
    """A program's request for that path, the icon of an application's page, and any other picture."""
    async with sidecar() as running:
        assert (await running.get(*request_)).status == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("rewrite", [False, True])
@pytest.mark.parametrize("body", [b"moved", b"m" * 300_000])
async def test_h8_a_client_that_follows_redirects_stays_behind_the_sidecar(
    sidecar: Start, upstream: Upstream, body: bytes, *, rewrite: bool
) -> None:
    """With `rewrite_location`, also after a refusal and with a long body; without it the upstream's URL is relayed."""
    location = f"{upstream.url}/v1/accounts/7?x".encode()
    redirect = b"HTTP/1.1 303 See Other\r\nLocation: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        location,
        len(body),
        body,
    )
    upstream.script(refusal(), redirect)
    ledger = {
        "name": "ledger",
        "match": {"prefix": "/ledger"},
        "upstream": f"{upstream.url}/v1",
        "token": "api",
    }
    async with sidecar({**ledger, "strip_prefix": True, "rewrite_location": rewrite}) as running:
        answer = await running.get(b"/ledger/accounts")
        assert (answer.status, answer.body) == (303, body)
        assert answer.values("Location") == [b"/ledger/accounts/7?x" if rewrite else location]
        if rewrite:
            assert (await running.get(answer.values("Location")[0])).status == 200
            assert upstream.requests[-1].head.target == b"/v1/accounts/7?x"
