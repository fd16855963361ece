"""Where a client finds what the upstream calls by its own address."""

import pytest

from sidecar.core.origin import Origin
from sidecar.http1.message import parse_request, parse_response
from sidecar.http1.next_hop import relayed_response
from sidecar.proxy.locations import put_right
from sidecar.proxy.router import Router
from sidecar.proxy.routes import Route

UP = Origin("https", "up.internal", 443)
WHOLE = Route("whole", UP, rewrite_location=True)
STRIPPED = Route("stripped", UP, prefix="/ledger", base_path="/v1", strip_prefix=True, rewrite_location=True)
KEPT = Route("kept", UP, prefix="/orders", base_path="/v1", rewrite_location=True)
HOSTED = Route("hosted", UP, host="orders.internal", rewrite_location=True)
INNER = Route("inner", Origin("http", "other.internal", 8080), prefix="/ledger/inner")
ROUTER = Router((WHOLE, STRIPPED, KEPT, HOSTED, INNER), "127.0.0.1:9180")


def rewritten(
    route: Route, location: bytes, target: bytes, host: bytes, name: bytes, *, by_path: bool = False
) -> bytes:
    """The field's value as the client gets it."""
    head = b"HTTP/1.1 302 Found\r\nA: 1\r\n%b: %b \r\nB: https://up.internal/b\r\nContent-Length: 0\r\n\r\n"
    answer = parse_response(head % (name, location), b"GET")
    request = parse_request(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host))
    changed = put_right(answer, request, route, ROUTER, by_path=by_path)
    assert answer.values(name.lower()) == [location]  # the connection may meet the same head again
    onward = parse_response(relayed_response(changed, request, close=False)[0], b"GET")
    assert (onward.status, onward.values(b"a"), onward.values(b"b")) == (
        302,
        [b"1"],
        [b"https://up.internal/b"],
    )
    [value] = onward.values(name.lower())
    return value


@pytest.mark.parametrize("name", [b"Location", b"content-LOCATION"])
@pytest.mark.parametrize(
    ("route", "location", "found"),
    [
        (WHOLE, b"https://up.internal/a/b?c=d#e", b"/a/b?c=d#e"),
        (WHOLE, b"https://up.internal", b"/"),
        (WHOLE, b"https://up.internal?x", b"/?x"),
        (WHOLE, b"https://up.internal#x", b"/#x"),
        (WHOLE, b"HTTPS://UP.Internal:443/a", b"/a"),
        (WHOLE, b"https://up.internal.:/a", b"/a"),
        (WHOLE, b"//up.internal/a", b"/a"),
        (WHOLE, b"https://up.internal/a//b/%2F;c?http://x", b"/a//b/%2F;c?http://x"),
        (STRIPPED, b"https://up.internal/v1/accounts/7?x", b"/ledger/accounts/7?x"),
        (STRIPPED, b"https://up.internal/v1", b"/ledger"),
        (STRIPPED, b"https://up.internal/v1/", b"/ledger/"),
        (STRIPPED, b"https://up.internal/v1//evil.example", b"/ledger//evil.example"),
        (KEPT, b"https://up.internal/v1/orders/7", b"/orders/7"),
        (KEPT, b"https://up.internal/v1/orders?x", b"/orders?x"),
        (WHOLE, b"https://up.internal/caf\xc3\xa9?\xe9#\xe9", b"/caf\xc3\xa9?\xe9#\xe9"),
        (WHOLE, b"/a?b#c", b"/a?b#c"),
        (STRIPPED, b"/v1/accounts/7?x#y", b"/ledger/accounts/7?x#y"),
        (STRIPPED, b"/v1", b"/ledger"),
        (STRIPPED, b"/v1//evil.example", b"/ledger//evil.example"),
        (STRIPPED, b"/v1/caf\xc3\xa9", b"/ledger/caf\xc3\xa9"),
        (KEPT, b"/v1/orders/7", b"/orders/7"),
    ],
)
def test_h8_the_upstreams_own_locations_lead_to_the_sidecar(
    route: Route, location: bytes, found: bytes, name: bytes
) -> None:
    """Without the base path, with the prefix that was taken off; query and fragment stay."""
    assert rewritten(route, location, b"/x", b"127.0.0.1:9180", name) == found


@pytest.mark.parametrize(
    ("route", "location"),
    [
        (WHOLE, b"https://elsewhere.example/a"),
        (WHOLE, b"http://up.internal/a"),
        (WHOLE, b"https://up.internal:8443/a"),
        (WHOLE, b"https://up.internal.evil.example/a"),
        (WHOLE, b"https://up.internal@evil.example/a"),
        (WHOLE, b"https://user@up.internal/a"),
        (WHOLE, b"https://up.internal\\.evil.example/a"),
        (WHOLE, b"//evil.example/a"),
        (WHOLE, b"https://up.internal//evil.example"),
        (WHOLE, b"https://up.internal/\\evil.example"),
        (WHOLE, b"https://up.internal/a b"),
        (WHOLE, b"https://up.internal/a/../ledger"),
        (WHOLE, b"https://up.internal/ledger/x"),
        (WHOLE, b"https:up.internal/a"),
        (WHOLE, b"/a"),
        (WHOLE, b"a/b"),
        (WHOLE, b"../b"),
        (WHOLE, b"?c"),
        (WHOLE, b""),
        (STRIPPED, b"/v2/a"),
        (STRIPPED, b"/v10/a"),
        (STRIPPED, b"/a"),
        (STRIPPED, b"/ledger/a"),
        (STRIPPED, b"/v1/inner/a"),
        (STRIPPED, b"/v1/../a"),
        (STRIPPED, b"/v1/a b"),
        (STRIPPED, b"v1/a"),
        (STRIPPED, b"///v1/a"),
        (STRIPPED, b"/\\v1/a"),
        (KEPT, b"/orders/7"),
        (KEPT, b"/v1//evil.example"),
        (STRIPPED, b"https://up.internal/v2/a"),
        (STRIPPED, b"https://up.internal/v10/a"),
        (STRIPPED, b"https://up.internal/"),
        (STRIPPED, b"https://up.internal/v1/inner/a"),
        (KEPT, b"https://up.internal/v1/accounts"),
        (KEPT, b"https://up.internal/v1"),
    ],
)
def test_h8_every_other_location_is_untouched(route: Route, location: bytes) -> None:
    """Relative, of another origin, outside the base path, another route's, or one that a client could misread."""
    assert rewritten(route, location, b"/x", b"127.0.0.1:9180", b"Location") == location


@pytest.mark.parametrize(
    ("target", "by_path", "found"),
    [
        (b"/t/acme/ledger/x", True, b"/t/acme/ledger/7"),
        (b"/t/acme", True, b"/t/acme/ledger/7"),
        (b"http://localhost/t/acme/ledger", True, b"/t/acme/ledger/7"),
        (b"/ledger/x", True, b"/ledger/7"),
        (b"/t/acme/ledger/x", False, b"/ledger/7"),
    ],
)
def test_h8_the_tenant_in_the_path_is_put_back(target: bytes, found: bytes, *, by_path: bool) -> None:
    """The client followed it there, and gets no other tenant's by default."""
    location = b"https://up.internal/v1/7"
    assert rewritten(STRIPPED, location, target, b"localhost", b"Location", by_path=by_path) == found


def test_h8_a_path_alone_gets_its_tenant_too() -> None:
    """The upstream knows neither tenant nor prefix; one that is sent the prefix writes it itself."""
    for location, found in ((b"/v1/7", b"/t/acme/ledger/7"), (b"/ledger/7", b"/ledger/7"), (b"7", b"7")):
        target = b"/t/acme/ledger/x"
        assert rewritten(STRIPPED, location, target, b"localhost", b"Location", by_path=True) == found


def test_h8_a_routes_host_decides_as_for_the_request() -> None:
    """The path may be another route's under another name."""
    location = b"https://up.internal/a"
    assert rewritten(HOSTED, location, b"/x", b"orders.internal", b"Location") == b"/a"
    assert rewritten(HOSTED, location, b"/x", b"localhost", b"Location") == location


def test_h8_an_answer_without_a_location_is_the_same_answer() -> None:
    """Nothing is copied."""
    answer = parse_response(
        b"HTTP/1.1 200 OK\r\nX-Location: https://up.internal/\r\nContent-Length: 0\r\n\r\n", b"GET"
    )
    request = parse_request(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert put_right(answer, request, WHOLE, ROUTER, by_path=False) is answer
