"""A page in a browser and a sidecar on the same machine: what the page sends, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.browser import browsing
from tests.support.processes import File, route, run
from tests.support.sidecar import Start
from tests.support.upstream import Upstream
from tests.support.waiting import until
from tests.support.wire_client import ask

pytestmark = pytest.mark.unmeasured

UPGRADE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
FORM = b"Content-Type: application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Page:
    """A request as a browser sends it; `{port}` is the sidecar's."""

    status: int
    fields: tuple[bytes, ...] = ()
    host: bytes = b"127.0.0.1:{port}"
    method: bytes = b"GET"


PAGES: Mapping[str, Page] = {
    "image": Page(403, (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: no-cors")),
    "fetch": Page(403, (b"Sec-Fetch-Site: cross-site", b"Origin: https://evil.example")),
    "fetch of an old browser": Page(403, (b"Origin: https://evil.example",)),
    "form": Page(403, (b"Sec-Fetch-Site: cross-site", b"Origin: https://evil.example", FORM), method=b"POST"),
    "sandboxed form": Page(403, (b"Origin: null", FORM), method=b"POST"),
    "preflight": Page(
        403,
        (b"Origin: https://evil.example", b"Access-Control-Request-Method: PUT"),
        method=b"OPTIONS",
    ),
    "websocket": Page(403, (b"Sec-Fetch-Site: cross-site", b"Origin: https://evil.example", *UPGRADE)),
    "websocket of an old browser": Page(403, (b"Origin: https://evil.example", *UPGRADE)),
    "page on another port": Page(403, (b"Sec-Fetch-Site: same-site", b"Origin: http://127.0.0.1:8000")),
    "page on another port, old browser": Page(200, (b"Origin: http://127.0.0.1:8000",)),
    "rebound name": Page(
        421,
        (b"Sec-Fetch-Site: same-origin", b"Origin: http://evil.example:{port}"),
        host=b"evil.example:{port}",
    ),
    "rebound name, first visit": Page(421, (b"Sec-Fetch-Site: none",), host=b"evil.example:{port}"),
    "rebound websocket": Page(
        421, (b"Origin: http://evil.example:{port}", *UPGRADE), host=b"evil.example:{port}"
    ),
    "address bar": Page(200, (b"Sec-Fetch-Site: none", b"Sec-Fetch-Mode: navigate")),
    "no browser": Page(200),
}


async def test_b83_a_page_of_another_site_cannot_use_the_sidecar(
    file: File, upstream: Upstream, authorization_server: AuthorizationServer, secret_file: Path
) -> None:
    """Whatever a browser lets a page send is refused before it reaches the upstream, and never allowed to be read."""
    statuses = {}
    credentials = {"app": {"client_id": "app", "client_secret": {"file": str(secret_file)}}}
    tokens = {"api": {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}}
    async with run(file, route(upstream, token="api"), credentials=credentials, tokens=tokens) as process:
        port = process.address.rpartition(":")[2].encode()
        for name, page in PAGES.items():
            lines = (page.method + b" / HTTP/1.1", b"Host: " + page.host, b"Content-Length: 0", *page.fields)
            answer = await ask(process.address, b"\r\n".join((*lines, b"", b"")).replace(b"{port}", port))
            statuses[name] = answer.status
            assert answer.values("Access-Control-Allow-Origin") == []
    assert statuses == {name: page.status for name, page in PAGES.items()}
    assert len(upstream.requests) == list(statuses.values()).count(200)


async def test_s13_a_refused_navigation_is_followed_by_no_request_upstream(
    sidecar: Start, upstream: Upstream, other: Upstream
) -> None:
    """A real browser follows a link of another site, shows the refusal and requests an icon, which ends here."""
    async with sidecar() as running, browsing() as browser:
        link = b'<link rel="icon" href="data:,"><a href="http://%b/x">go</a>' % running.host
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(link)
        other.script(head + link)
        await browser.page.goto(other.url.replace("127.0.0.1", "localhost"))
        await browser.page.click("a")
        await until(lambda: {"/x", "/favicon.ico"} <= {line.get("path") for line in running.log()})
    answered = {line["path"]: line["status"] for line in running.events("request")}
    assert answered == {"/x": 403, "/favicon.ico": 404}
    assert upstream.requests == []


SOCKET: Mapping[tuple[bytes, ...], int] = {
    (b"Host: api.example",): 200,
    (b"Host: api.example", b"Sec-Fetch-Site: cross-site"): 403,
    (b"Host: api.example", b"Origin: https://evil.example"): 403,
    (b"Host: user@api.example",): 400,
}


async def test_b83_a_unix_socket_takes_any_host_and_no_page(
    file: File, upstream: Upstream, tmp_path: Path
) -> None:
    """No browser reaches it by itself; what comes through something that bridges to it is refused all the same."""
    async with run(file, route(upstream), listen=f"unix:{tmp_path}/s") as process:
        for fields, status in SOCKET.items():
            request = b"\r\n".join((b"GET / HTTP/1.1", *fields, b"", b""))
            assert (await ask(process.address, request)).status == status
    assert len(upstream.requests) == 1


async def test_b83_a_page_cannot_read_the_admin_server(file: File, upstream: Upstream) -> None:
    """It changes nothing for any client, and gives no page permission to read it."""
    async with run(file, route(upstream)) as process:
        for method, host, status in (
            (b"GET", b"localhost", 200),
            (b"GET", b"evil.example", 421),
            (b"POST", b"localhost", 405),
            (b"OPTIONS", b"localhost", 405),
        ):
            lines = (
                method + b" /status HTTP/1.1",
                b"Host: " + host,
                b"Origin: https://evil.example",
                b"",
                b"",
            )
            answer = await ask(process.admin, b"\r\n".join(lines))
            assert (answer.status, answer.values("Access-Control-Allow-Origin")) == (status, [])
