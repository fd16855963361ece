"""Web pages are not let through; programs are."""

import pytest

from sidecar.core.cross_site import guard
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
