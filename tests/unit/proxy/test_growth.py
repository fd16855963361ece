"""A request takes as long among many routes and tenants as among few."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.origin import Origin
from sidecar.proxy.router import Router
from sidecar.proxy.routes import Route

LEDGER = Origin("https", "ledger.test", 443)
MANY = 1000
NOISE = 20
"""What a linear search exceeds, by far. Measurements of less than a microsecond stay below it on a busy machine too."""


def ratio(many: Callable[[], object], few: Callable[[], object]) -> float:
    """CPU time of one as a multiple of the other's: the least of many short runs, which take turns."""
    took: tuple[list[float], list[float]] = [], []
    for _ in range(50):
        for work, seconds in zip((many, few), took, strict=True):
            began = time.thread_time()
            for _ in range(100):
                work()
            seconds.append(time.thread_time() - began)
    return min(took[0]) / min(took[1])


def router(prefixes: list[str], host: str = "") -> Router:
    routes = [Route(f"r{number}", LEDGER, host, prefix) for number, prefix in enumerate(prefixes)]
    return Router(routes, "127.0.0.1:9180")


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/service-{:04}", b"/service-0500/accounts/42"),
        ("/service-{:04}", b"/service-0999"),
        ("/service-{:04}", b"/none/accounts/42"),
        ("/api/v1/service-{:04}", b"/api/v1/service-0500/accounts/42"),
        ("/api/v1/service-{:04}", b"/api/v1/service-0500x/accounts/42"),
        ("/{:04}/api/v1", b"/0500/api/v1/accounts/42"),
        ("/{:04}/api/v1", b"/0500/api/v2/accounts/42"),
    ],
)
@pytest.mark.parametrize("host", ["", "ledger.svc"])
def test_s18_a_thousand_prefixes_are_no_longer_search(prefix: str, path: bytes, host: str) -> None:
    """Whether or not one of them matches, for any host and for one host."""
    few = router([prefix.format(500)], host)
    many = router([prefix.format(number) for number in range(MANY)], host)
    assert ratio(lambda: many.match(host, path), lambda: few.match(host, path)) < NOISE


def test_s18_many_segments_are_no_longer_search() -> None:
    """Only as many segments of a path are looked at as the longest prefix has."""
    routes = router(["/", "/ledger", "/ledger/reports"])
    many, few = b"/ledger/reports" + b"/a" * 4000, b"/ledger/reports/" + b"a" * 7999
    assert ratio(lambda: routes.match("", many), lambda: routes.match("", few)) < NOISE


PREFIXES = st.lists(st.sampled_from(["a", "b", "a;x", "%2e", "ab"]), max_size=4).map(
    lambda segments: "/" + "/".join(segments)
)
PATHS = st.lists(st.sampled_from(["", "a", "b", "a;x", "%2e", "ab", "abc"]), max_size=6).map(
    lambda segments: "/" + "/".join(segments)
)


@given(st.lists(PREFIXES, max_size=12, unique=True), st.lists(PREFIXES, max_size=3, unique=True), PATHS)
def test_s18_the_longest_prefix_on_segment_bounds_wins(
    prefixes: list[str], of_host: list[str], path: str
) -> None:
    """As a search through all of them finds it: those of the host first, then those of any host."""

    def longest(candidates: list[str]) -> str | None:
        fitting = [each for each in candidates if each == "/" or f"{path}/".startswith(f"{each}/")]
        return max(fitting, key=len, default=None)

    routes = [Route("any", LEDGER, "", prefix) for prefix in prefixes]
    routes += [Route("own", LEDGER, "a.svc", prefix) for prefix in of_host]
    found = Router(routes, "127.0.0.1:9180").match("a.svc", path.encode())
    own = longest(of_host)
    assert (found.prefix if found else None) == (own or longest(prefixes))
    assert found is None or found.name == ("own" if own else "any")
