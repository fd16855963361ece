"""Addresses and URLs: what is read from good ones; bad ones are in the configuration's tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import addresses
from sidecar.core.addresses import TcpAddress, UnixAddress, UpstreamUrl


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9180", TcpAddress("127.0.0.1", 9180)),
        ("localhost:0", TcpAddress("localhost", 0)),
        ("[::1]:9180", TcpAddress("::1", 9180)),
        ("[0:0:0:0:0:0:0:1]:1", TcpAddress("::1", 1)),
        ("unix:/run/sidecar/http.sock", UnixAddress("/run/sidecar/http.sock")),
    ],
)
def test_a_listen_address_is_read(text: str, address: addresses.Address) -> None:
    """Both families and Unix sockets are read, and written again in a form that reads the same."""
    assert addresses.listen_loopback(text) == address
    assert addresses.listen(str(address)) == address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Ledger.internal", UpstreamUrl("https", "ledger.internal", 443, "")),
        ("http://ledger_1:8080/", UpstreamUrl("http", "ledger_1", 8080, "")),
        ("HTTPS://[::1]:1/a/b//", UpstreamUrl("https", "::1", 1, "/a/b")),
        ("http://10.0.0.1/%C3%BC/a;b=1", UpstreamUrl("http", "10.0.0.1", 80, "/%C3%BC/a;b=1")),
        ("http://r/...", UpstreamUrl("http", "r", 80, "/...")),
    ],
)
def test_an_upstream_is_read(text: str, url: UpstreamUrl) -> None:
    """Scheme and host in lower case, the default port filled in, the base path's bytes kept."""
    assert addresses.upstream(text) == url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.LocalHost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost.example.com", False),
        ("notlocalhost", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
    ],
)
def test_loopback_is_only_this_machine(host: str, loopback: bool) -> None:
    """Names under `localhost` and both families' loopback ranges, nothing that merely looks like them."""
    assert addresses.is_loopback(host) is loopback


@pytest.mark.parametrize("url", ["http://localhost:1/t", "http://127.0.0.1/t", "https://auth/t?tenant=1"])
def test_a_token_endpoint_is_kept_as_written(url: str) -> None:
    """Plain http is for loopback; a query is part of the endpoint."""
    assert addresses.token_endpoint(url) == url


@pytest.mark.parametrize(
    "path", ["/.", "/..", "/a/./b", "/%2e", "/a/%2E.", "/a%2f..", "/a%5c..%5cb", "/..%2Fa"]
)
def test_a_dot_segment_is_found_however_it_is_written(path: str) -> None:
    """Plain, percent-encoded, behind an encoded slash or backslash: a base path never climbs."""
    with pytest.raises(ValueError, match="dot segment"):
        addresses.upstream(f"http://r{path}")
    with pytest.raises(ValueError, match="dot segment"):
        addresses.prefix(path)


READERS = (
    addresses.listen,
    addresses.listen_loopback,
    addresses.upstream,
    addresses.token_endpoint,
    addresses.resource,
    addresses.host_to_match,
    addresses.prefix,
)
WORDS = st.sampled_from(
    [
        "http://",
        "https://",
        "unix:",
        "[",
        "]",
        "::1",
        ":",
        "/",
        "..",
        "%2e",
        "@",
        "#",
        "?",
        "a",
        "9",
        "\0",
        "\n",
        "é",
    ]
)


@given(st.lists(WORDS | st.text(max_size=2), max_size=10).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever is written, there is a value or a ValueError; control characters never come through."""
    for read in READERS:
        try:
            value = read(text)
        except ValueError:
            continue
        assert "\n" not in str(value)
        assert "\0" not in str(value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:9181", "http://127.0.0.1:9181"),
        ("localhost:9181", "http://localhost:9181"),
        ("ledger-1.ledger.default.svc:9181", "http://ledger-1.ledger.default.svc:9181"),
        ("[::1]:9181", "http://[::1]:9181"),
        ("0.0.0.0:9181", "http://127.0.0.1:9181"),
        ("[::]:80", "http://[::1]:80"),
        ("http://127.0.0.1:9181/", "http://127.0.0.1:9181"),
        ("https://sidecar.internal", "https://sidecar.internal"),
        ("unix:/run/sidecar/admin.sock", "unix:/run/sidecar/admin.sock"),
    ],
)
def test_o14_an_admin_server_is_read(text: str, url: str) -> None:
    """As an address to listen on, or as a URL; where a server listens everywhere, it is on this machine."""
    assert addresses.admin(text) == url


@pytest.mark.parametrize(
    "text",
    [
        *(
            "localhost",
            ":9181",
            "9181",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "::1:9181",
            "a b:1",
            "a/b:1",
        ),
        *(
            "http://",
            "http://a:b",
            "http://a/path",
            "http://a?b",
            "ftp://a:1",
            "http://me@a:1",
            "a:1/",
            "unix:a",
            "",
        ),
    ],
)
def test_o14_what_is_no_admin_server_is_refused(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=r"^write host:port, such as "):
        addresses.admin(text)
