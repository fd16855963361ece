"""Web pages are not let through; programs are."""

import pytest

from sidecar.core.cross_site import guard, guard_admin
from sidecar.core.errors import RequestRefused


@pytest.mark.parametrize(
    ("sec_fetch_site", "origin"),
    [
        (None, None),
        (b"none", None),
        (b"same-origin", None),
        (b"same-origin", b"http://127.0.0.1:9180"),
        (None, b"http://localhost:9180"),
        (None, b"http://app.localhost"),
        (None, b"https://127.0.0.1"),
        (None, b"http://[::1]:9180"),
    ],
)
def test_b83_programs_and_our_own_pages_pass(sec_fetch_site: bytes | None, origin: bytes | None) -> None:
    """Programs send neither field; the user's own typing and loopback pages pass."""
    guard(sec_fetch_site, origin)


@pytest.mark.parametrize(
    ("sec_fetch_site", "origin"),
    [
        (b"cross-site", None),
        (b"same-site", None),
        (b"same-site", b"http://localhost:3000"),
        (b"cross-site", b"http://localhost:9180"),
        (b"none, cross-site", None),
        (b"", None),
        (b"none", b"https://evil.example"),
        (None, b"https://evil.example"),
        (None, b"http://localhost.evil.example"),
        (None, b"http://evil.example:9180"),
        (None, b"http://127.0.0.1.evil.example"),
        (None, b"http://localhost@evil.example"),
        (None, b"http://localhost/evil"),
        (None, b"http://localhost http://evil.example"),
        (None, b"http://localhost\n"),
        (None, b"null"),
        (None, b""),
        (None, b"file://"),
        (None, b"chrome-extension://localhost"),
        (None, b"http://\xff"),
    ],
)
def test_b83_other_sites_pages_are_refused(sec_fetch_site: bytes | None, origin: bytes | None) -> None:
    """Any other value of either field, `null` too, is refused with 403."""
    with pytest.raises(RequestRefused) as caught:
        guard(sec_fetch_site, origin)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"orders.internal", b"http://orders.internal"),
        (b"orders.internal:9180", b"http://orders.internal:9180"),
        (b"orders.internal:80", b"http://orders.internal"),
        (b"orders.internal", b"http://orders.internal:80"),
        (b"orders.internal:", b"http://orders.internal"),
        (b"Orders.Internal", b"http://orders.internal"),
        (b"orders.internal", b"HTTP://ORDERS.internal"),
        (b"orders.internal.", b"http://orders.internal."),
        (b"orders.internal", b"http://orders.internal."),
        (b"my_orders.internal:8080", b"http://my_orders.internal:8080"),
        (b"[fd00::1]:9180", b"http://[fd00::1]:9180"),
        (b"10.0.0.1", b"http://10.0.0.1"),
        (b"orders.internal", b"http://localhost:3000"),
    ],
)
def test_h4_the_origin_that_host_names_passes(host: bytes, origin: bytes) -> None:
    """Scheme, host and port are those the request is sent to, in any case and with a default port or without."""
    for site in (None, b"same-origin"):
        guard(site, origin, host)


OTHER_ORIGINS = [
    (b"orders.internal", b"https://orders.internal:80"),
    (b"orders.internal", b"http://orders.internal:8080"),
    (b"orders.internal:9180", b"http://orders.internal"),
    (b"orders.internal", b"http://other.internal"),
    (b"orders.internal", b"http://x.orders.internal"),
    (b"orders.internal", b"http://orders.internal.evil.example"),
    (b"orders.internal", b"http://evil.example/orders.internal"),
    (b"orders.internal", b"http://evil.example@orders.internal"),
    (b"orders.internal", b"http://orders.internal, http://orders.internal"),
    (b"orders.internal", b"http://orders.internal/"),
    (b"orders.internal", b"ftp://orders.internal"),
    (b"orders.internal", b"orders.internal"),
    (b"orders.internal", b"null"),
    (b"null", b"null"),
    (b"", b""),
    (b"", b"null"),
    (b"", b"http://"),
]


@pytest.mark.parametrize(
    ("host", "origin"), [*OTHER_ORIGINS, (b"orders.internal", b"https://orders.internal")]
)
def test_h4_any_other_origin_is_refused(host: bytes, origin: bytes) -> None:
    """Another scheme, host or port is another origin; so is one that two fields or a path make up."""
    with pytest.raises(RequestRefused):
        guard(None, origin, host)


@pytest.mark.parametrize(("host", "origin"), OTHER_ORIGINS)
def test_h4_the_admin_server_knows_its_own_page_by_the_same_rule(host: bytes, origin: bytes) -> None:
    """TLS may end in front of it, so that either scheme will do; neither will without a Host."""
    with pytest.raises(RequestRefused):
        guard_admin(None, origin.decode(), host.decode())
    for scheme, port in (("http", 80), ("https", 443)):
        guard_admin("same-origin", f"{scheme}://Admin.internal:{port}", "admin.internal")
        guard_admin(None, f"{scheme}://admin.internal:9181", "admin.internal:9181")


def test_h4_a_page_of_another_site_is_refused_whatever_its_origin() -> None:
    """The browser's own word counts."""
    with pytest.raises(RequestRefused):
        guard(b"cross-site", b"http://orders.internal", b"orders.internal")
