"""Which Host is let in, which route a request takes, what the upstream is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused
from sidecar.core.origin import Origin
from sidecar.proxy.router import Router, upstream_target
from sidecar.proxy.routes import Route
from sidecar.proxy.target import Target, split

UPSTREAM = Origin("https", "ledger.internal", 443)


def route(
    name: str, prefix: str = "/", host: str = "", base_path: str = "", *, strip_prefix: bool = False
) -> Route:
    return Route(name, UPSTREAM, host=host, prefix=prefix, base_path=base_path, strip_prefix=strip_prefix)


TCP = Router((route("any"), route("own", host="ledger.svc")), "127.0.0.5:9180")
UNIX = Router((route("any"),), "unix:/run/sidecar/http.sock")


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        (b"localhost", "localhost"),
        (b"LocalHost:1", "localhost"),
        (b"localhost:", "localhost"),
        (b"localhost.:9180", "localhost"),
        (b"app.localhost:8080", "app.localhost"),
        (b"127.0.0.1", "127.0.0.1"),
        (b"127.0.0.1:0", "127.0.0.1"),
        (b"127.0.0.1:65535", "127.0.0.1"),
        (b"127.255.255.254:9180", "127.255.255.254"),
        (b"127.0.0.5:9180", "127.0.0.5"),
        (b"[::1]", "::1"),
        (b"[::1]:9180", "::1"),
        (b"[0:0:0:0:0:0:0:1]:9180", "::1"),
        (b"ledger.svc", "ledger.svc"),
        (b"LEDGER.svc.:9180", "ledger.svc"),
        (b"ledger.svc:1234", "ledger.svc"),
    ],
)
def test_b83_our_hosts_are_let_in(host: bytes, admitted: str) -> None:
    """Loopback names and literals, the listen address and the routes' hosts are let in with any port."""
    assert TCP.admit(host) == admitted


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:9180",
        b"localhost.evil.example",
        b"localhost.evil",
        b"notlocalhost",
        b"127.0.0.1.nip.io",
        b"x.ledger.svc",
        b"128.0.0.1",
        b"0.0.0.0",
        b"10.0.0.1:9180",
        b"127.1",
        b"2130706433",
        b"0x7f.0.0.1",
        b"localhos%74",
        b"[::2]",
        b"[fe80::1]:9180",
    ],
)
def test_b83_foreign_hosts_are_refused(host: bytes) -> None:
    """A valid Host that is none of ours is refused with 421 over TCP, and let in over a Unix socket."""
    with pytest.raises(RequestRefused) as caught:
        TCP.admit(host)
    assert caught.value.status == 421
    assert UNIX.admit(host)


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b":9180",
        b"user@localhost",
        b"user:pass@localhost",
        b"localhost:65536",
        b"localhost:123456",
        b"localhost:-1",
        b"localhost:9180a",
        b"localhost:80:80",
        b"localhost/",
        b"localhost/a",
        b"http://localhost",
        b"localhost, localhost",
        b"local host",
        b" localhost",
        b"localhost\n",
        b"localhost\0",
        b"l\xc3\xb6calhost",
        b"localhost%",
        b"localhost%zz",
        b"local\\host",
        b"::1",
        b"[::1",
        b"[]",
        b"[:::1]",
        b"[127.0.0.1]",
        b"[::1%25lo]",
        b"[v1.a]",
        b"[::1]a",
        b"a" * 256,
    ],
)
@pytest.mark.parametrize("router", [TCP, UNIX])
def test_malformed_hosts_are_bad_requests(router: Router, host: bytes) -> None:
    """What is not one uri-host with an optional port is refused with 400 on every listener."""
    with pytest.raises(RequestRefused) as caught:
        router.admit(host)
    assert caught.value.status == 400


@given(st.binary(max_size=30))
def test_any_host_is_let_in_or_refused(host: bytes) -> None:
    """Whatever comes is let in as lower case without a port, or refused; nothing else is raised."""
    for router in (TCP, UNIX):
        try:
            admitted = router.admit(host)
        except RequestRefused:
            continue
        assert admitted == admitted.lower()
        assert "[" not in admitted


ROUTES = Router(
    (
        route("ledger", "/ledger"),
        route("reports", "/ledger/reports"),
        route("hosted", "/ledger", host="a.svc"),
        route("hosted-pay", "/pay", host="a.svc"),
    ),
    "127.0.0.1:9180",
)


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("localhost", b"/ledger", "ledger"),
        ("localhost", b"/ledger/", "ledger"),
        ("localhost", b"/ledger/reportsx", "ledger"),
        ("localhost", b"/ledger/reports", "reports"),
        ("localhost", b"/ledger/reports/1", "reports"),
        ("localhost", b"/ledger//reports", "ledger"),
        ("localhost", b"/ledgers", None),
        ("localhost", b"/Ledger", None),
        ("localhost", b"/%6cedger", None),
        ("localhost", b"/ledger%2freports", None),
        ("localhost", b"/ledger;x", None),
        ("localhost", b"//ledger", None),
        ("localhost", b"/pay", None),
        ("localhost", b"/", None),
        ("a.svc", b"/pay/1", "hosted-pay"),
        ("a.svc", b"/ledger/1", "hosted"),
        ("a.svc", b"/ledger/reports", "hosted"),
        ("a.svc", b"/other", None),
        ("127.0.0.1", b"/ledger", "ledger"),
    ],
)
def test_the_longest_prefix_of_the_host_wins(host: str, path: bytes, name: str | None) -> None:
    """A host's own routes come first, then any host's; prefixes match whole segments, bytes as they are."""
    found = ROUTES.match(host, path)
    assert (found.name if found else None) == name


def test_a_host_without_a_matching_prefix_falls_back_to_any_hosts_routes() -> None:
    """A path none of the host's own routes takes is looked up among the routes for any host."""
    router = Router((route("any"), route("hosted", "/pay", host="a.svc")), "127.0.0.1:9180")
    found = router.match("a.svc", b"/other")
    assert found is not None
    assert found.name == "any"


@pytest.mark.parametrize(
    ("prefix", "base_path", "strip_prefix", "asked", "sent"),
    [
        ("/", "", False, b"/a?b", b"/a?b"),
        ("/", "", True, b"/a?b", b"/a?b"),
        ("/", "/api", True, b"/", b"/api/"),
        ("/", "/api", False, b"//a%2fb;c", b"/api//a%2fb;c"),
        ("/ledger", "", False, b"/ledger/a", b"/ledger/a"),
        ("/ledger", "/api", False, b"/ledger/a", b"/api/ledger/a"),
        ("/ledger", "/api", True, b"/ledger/a?b=1", b"/api/a?b=1"),
        ("/ledger", "/api", True, b"/ledger?b", b"/api?b"),
        ("/ledger", "/api", True, b"/ledger/", b"/api/"),
        ("/ledger", "", True, b"/ledger", b"/"),
        ("/ledger", "", True, b"/ledger?b", b"/?b"),
        ("/ledger", "", True, b"/ledger/?b", b"/?b"),
    ],
)
def test_the_upstream_is_asked_for(
    prefix: str, base_path: str, strip_prefix: bool, asked: bytes, sent: bytes
) -> None:
    """The base path, then the path with or without the prefix, then the query as it came."""
    taken = route("r", prefix, base_path=base_path, strip_prefix=strip_prefix)
    assert upstream_target(taken, split(asked)) == sent


SEGMENTS = st.lists(st.sampled_from(["", "a", "b", "a;x", "%2e", "..", "a%2fb", "%2f", "\\"]), max_size=5)


@given(SEGMENTS, st.sampled_from(["/", "/a", "/a/b"]), st.sampled_from(["", "/api"]), st.booleans())
def test_nothing_leaves_the_base_path(
    segments: list[str], prefix: str, base_path: str, strip_prefix: bool
) -> None:
    """What is sent is a target we would accept ourselves, lies under the base path, and ends as it came."""
    router = Router((route("r", prefix, base_path=base_path, strip_prefix=strip_prefix),), "127.0.0.1:0")
    asked = ("/" + "/".join(segments)).encode()
    try:
        target = split(asked)
    except RequestRefused:
        return
    found = router.match("localhost", target.path)
    assert (found is not None) == (prefix == "/" or (asked + b"/").startswith(prefix.encode() + b"/"))
    if found is not None:
        sent = upstream_target(found, target)
        assert isinstance(split(sent), Target)
        assert sent.startswith(base_path.encode() or b"/")
        left = asked[len(prefix) :] if strip_prefix and prefix != "/" else asked
        assert sent == (base_path.encode() + left or b"/")
