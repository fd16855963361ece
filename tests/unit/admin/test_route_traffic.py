"""How much each route has to do."""

from collections import Counter

import pytest

from sidecar.admin.route_traffic import EVERY, WINDOWS, Count, RouteTraffic, Window, counts
from sidecar.core.origin import Origin
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.telemetry.instruments import CLIENT, SECONDS, SERVER, Distribution, Family

ORIGIN = Origin("https", "ledger.internal", 443)
LEDGER = Route("ledger", ORIGIN, token=TokenRequest("t", "c", "s"))
PLAIN = Route("plain", ORIGIN)


def took(*seconds: float) -> Distribution:
    """A histogram of these values."""
    places = [
        next((n for n, bound in enumerate(SECONDS) if value <= bound), len(SECONDS)) for value in seconds
    ]
    return Distribution(tuple(places.count(n) for n in range(len(SECONDS) + 1)), sum(seconds))


def failed(times: int) -> Counter[str]:
    return Counter({"503": times})


def test_an_error_is_a_5xx_or_a_401_although_we_have_a_token() -> None:
    """Other refusals are the clients' own; a request without a route counts for no route."""
    once = took(0.1)
    server = [
        (("ledger", "GET", "200", ""), took(0.1, 0.2)),
        (("ledger", "GET", "401", ""), once),
        (("ledger", "GET", "404", ""), once),
        (("ledger", "POST", "503", "token_unavailable"), once),
        (("ledger", "POST", "503", "503"), took(0.1, 0.1)),
        (("ledger", "GET", "", ""), once),
        (("plain", "GET", "401", ""), once),
        (("", "GET", "404", ""), once),
    ]
    client = [
        (("ledger", "GET", "200", "", "a", "1"), took(0.1, 0.1)),
        (("ledger", "GET", "401", "", "a", "1"), took(0.3)),
        (("ledger", "GET", "", "upstream_unreachable", "a", "1"), took(5.0)),
        (("plain", "GET", "401", "", "a", "1"), once),
    ]
    firsts = {
        ("ledger", 503): 7.0,
        ("ledger", 401): 6.0,
        ("ledger", 404): 1.0,
        ("plain", 401): 2.0,
        ("", 503): 3.0,
    }
    found = counts([LEDGER, PLAIN], [Family(SERVER, tuple(server)), Family(CLIENT, tuple(client))], firsts)
    errors = Counter({"503": 2, "401": 1, "token_unavailable": 1})
    assert found == {
        "ledger": Count(8, errors, took(0.1, 0.1, 0.3), 6.0),
        "plain": Count(1, answers=once),
    }


def test_a_grpc_call_is_an_error_by_its_status() -> None:
    """It has HTTP status 200. So has an answer that was broken off; a client that left is no error."""
    server = [
        (("ledger", "POST", "200", ""), took(0.1)),
        (("ledger", "POST", "200", "UNAVAILABLE"), took(0.1, 0.1)),
        (("ledger", "POST", "200", "token_unavailable"), took(0.1)),
        (("ledger", "POST", "200", "UNAUTHENTICATED"), took(0.1)),
        (("ledger", "POST", "200", "client_gone"), took(0.1)),
        (("ledger", "POST", "200", "drained"), took(0.1)),
        (("plain", "POST", "200", "UNAUTHENTICATED"), took(0.1)),
    ]
    found = counts([LEDGER, PLAIN], [Family(SERVER, tuple(server))], {})
    assert found["ledger"].errors == Counter({"UNAVAILABLE": 2, "token_unavailable": 1, "UNAUTHENTICATED": 1})
    assert found["plain"].errors == Counter()


def test_rates_are_of_the_last_one_to_two_windows() -> None:
    """What was before has no part in them, and the first window counts from the start."""
    traffic = RouteTraffic(0.0)
    assert traffic.read("r", Count(20, failed(10)), 5.0).rate == 4.0
    traffic.close_window({"r": Count(30, failed(15))}, EVERY)
    assert traffic.read("r", Count(30, failed(15)), EVERY).rate == 30 / EVERY
    traffic.close_window({"r": Count(60, failed(15))}, 2 * EVERY)
    reading = traffic.read("r", Count(90, failed(18), took(0.25, 0.75)), 2.5 * EVERY)
    assert (reading.rate, reading.error_rate) == (60 / (1.5 * EVERY), 3 / (1.5 * EVERY))
    assert reading.errors == {"503": 3}
    assert reading.windows == (Window(30, 15), Window(30, 0), Window(30, 3, 2, 0.5))


@pytest.mark.parametrize(
    ("windows", "since"),
    [
        ([(3, 0)], None),
        ([(3, 1)], 0),
        ([(3, 3), (3, 3), (3, 3)], 0),
        ([(3, 0), (3, 3), (3, 3)], 1),
        ([(3, 3), (3, 0), (3, 3)], 0),  # one good window among bad ones is no end
        ([(3, 3), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (1, 1)], 0),  # nor is a pause without requests
        ([(3, 3), *[(0, 0)] * 200], 0),
        ([(3, 3), *[(3, 0)] * 4], 0),
        ([(3, 3), *[(3, 0)] * 5], None),
        ([(3, 3), *[(0, 0)] * 8, (1, 0)], None),
        ([(3, 3), *[(3, 0)] * 5, (3, 1), (3, 3)], 6),
    ],
)
def test_o5_the_first_error_dates_a_routes_failure(windows: list[tuple[int, int]], since: int | None) -> None:
    """It stays until a request is answered a minute after the last error, with any readers and any number of reads."""
    traffic, requests, errors = RouteTraffic(0.0), 0, 0
    for number, (more, bad) in enumerate(windows):
        requests, errors, began = requests + more, errors + bad, number * EVERY
        count = Count(requests, failed(errors), first_error=began + 3 if bad else None)
        seen = {traffic.read("r", count, began + passed).failing_since for passed in (4.0, 5.0, EVERY - 1)}
        assert len(seen) == 1
        traffic.close_window({"r": count}, began + EVERY)
    assert seen == {since * EVERY + 3 if since is not None else None}
    traffic.close_window({}, len(windows) * EVERY)
    assert traffic.read("r", Count(), len(windows) * EVERY).failing_since is None


def test_latency_is_of_answers_only() -> None:
    """Without any there is none; 99 of 100 answers fall under the bound, and the last bucket has none."""
    traffic = RouteTraffic(0.0)
    assert (
        traffic.read("r", Count(3, failed(3)), 1.0).mean
        is traffic.read("r", Count(3, failed(3)), 1.0).p99
        is None
    )
    many = traffic.read("r", Count(100, answers=took(*[0.004] * 99, 0.6)), 1.0)
    assert (many.p99, round(many.mean or 0, 4)) == (0.005, 0.01)
    assert traffic.read("r", Count(99, answers=took(*[0.004] * 97, 0.6, 0.6)), 1.0).p99 == 0.75
    assert traffic.read("r", Count(1, answers=took(60.0)), 1.0).p99 == SECONDS[-1]


def test_windows_are_bounded_and_go_with_their_route() -> None:
    """A route that comes back starts from zero, and reset counters are not taken for negative ones."""
    traffic = RouteTraffic(0.0)
    for number in range(1, 2 * WINDOWS):
        traffic.close_window({"r": Count(number)}, number * EVERY)
    assert len(traffic.read("r", Count(2 * WINDOWS), 2 * WINDOWS * EVERY).windows) == WINDOWS
    assert traffic.read("r", Count(1), 2 * WINDOWS * EVERY).windows[-1].requests == 1
    traffic.close_window({}, 2 * WINDOWS * EVERY)
    assert traffic.read("r", Count(7), 2 * WINDOWS * EVERY + 1).windows == (Window(7),)
