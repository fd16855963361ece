"""A cause that explains several findings stands once, and what follows from it right after it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sidecar.admin.live_finding import Line, Needs, Seen
from sidecar.admin.route_traffic import Reading
from sidecar.admin.wrong_now import wrong_now
from sidecar.cache.token_status import TokenStatus
from sidecar.core.health import Health
from sidecar.telemetry.events import Refused
from sidecar.telemetry.fleet_events import BustFailed
from sidecar.telemetry.recent_events import Occurrence
from sidecar.telemetry.words import NeighbourKind

DOWN = Health("down", 900.0, "answered 503", last_failure=998.0)
LATE = Health("down", 999.0, "answered 503", last_failure=999.0)
AUTH, UPSTREAM, REDIS, AWS = "auth.test:8443", "https://ledger.test", "redis:6379", "AWS Secrets Manager"
LACKING = f"token endpoint {AUTH} answered 503"
NO_SECRET = f"secret acme/ledger in {AWS}: no answer"
MISSING = TokenStatus(
    *("ledger", "app", "acme", "missing", "", "", 0.0, 0.0, 0.0, 0.0, LACKING, 910.0, 998.0),
    reason="unavailable",
)
HELD = replace(MISSING, tenant="globex", state="aging", fp="0123456789ab", source="fetch", expires_in=60.0)
REFUSED = replace(MISSING, problem=f"token endpoint {AUTH} refused: 400 invalid_scope", reason="refused")
NEEDS = {"orders": Needs("ledger", UPSTREAM), "bare": Needs("", UPSTREAM), "crm": Needs("crm", UPSTREAM)}


def down(*rows: tuple[NeighbourKind, str], health: Health = DOWN) -> Seen:
    return Seen(1000.0, neighbours=[(kind, name, health) for kind, name in rows], needs=NEEDS)


def failing(name: str, error: str) -> tuple[str, Reading]:
    return name, Reading(20.0, 10.0, {error: 200, "502": 1}, None, None, (), 940.0)


SERVER = down(("authorization_server", AUTH))
ALL_UP = down()
RELAYED = Occurrence(
    Refused("r", "orders", "acme", "fp", 401, "insufficient_scope", "relay", scope="x"), 950.0, 960.0
)
FAILED_BUST = BustFailed("select", "tenant=acme", "", "publish", "no answer in time")

CASES: dict[str, tuple[Seen, Sequence[tuple[str, int | None]]]] = {
    "a server, its tokens, their routes": (
        replace(SERVER, tokens=[MISSING, HELD], routes=[failing("orders", "token_unavailable")]),
        [
            ("authorization_server_down", None),
            *(("token_missing", 0), ("route_failing", 0), ("token_not_renewed", 0)),
        ],
    ),
    "a tenant refused for another cause, while the server is down": (
        replace(SERVER, tokens=[REFUSED]),
        [("authorization_server_down", None), ("token_missing", None)],
    ),
    "a failure before the server was down": (
        replace(down(("authorization_server", AUTH), health=LATE), tokens=[MISSING]),
        [("authorization_server_down", None), ("token_missing", None)],
    ),
    "another port of the host": (
        replace(down(("authorization_server", "auth.test")), tokens=[MISSING]),
        [("authorization_server_down", None), ("token_missing", None)],
    ),
    "a host whose name contains the other": (
        replace(
            down(("authorization_server", "test")), tokens=[replace(MISSING, problem="no answer from a.test")]
        ),
        [("authorization_server_down", None), ("token_missing", None)],
    ),
    "an issuer's metadata": (
        replace(
            SERVER, tokens=[replace(MISSING, problem=f"the metadata of https://{AUTH}/realm is unavailable")]
        ),
        [("authorization_server_down", None), ("token_missing", 0)],
    ),
    "a secret that could not be read": (
        replace(down(("secret_store", AWS)), tokens=[replace(MISSING, problem=NO_SECRET)]),
        [("secret_store_down", None), ("token_missing", 0)],
    ),
    "a grave family stands above a lone failure": (
        replace(
            down(("secret_store", AWS)),
            tokens=[replace(MISSING, problem=NO_SECRET)],
            routes=[failing("bare", "503")],
        ),
        [("secret_store_down", None), ("token_missing", 0), ("route_failing", None)],
    ),
    "one refusal of two entries of a service": (
        replace(
            ALL_UP, tokens=[REFUSED, replace(REFUSED, token="crm")], routes=[failing("crm", "token_refused")]
        ),
        [("token_missing", None), ("token_missing", 0), ("route_failing", 0)],
    ),
    "the same words about another service": (
        replace(ALL_UP, tokens=[REFUSED, replace(REFUSED, service="other")]),
        [("token_missing", None), ("token_missing", None)],
    ),
    "a route whose tokens are missing for two causes": (
        replace(
            ALL_UP,
            tokens=[REFUSED, replace(REFUSED, tenant="globex", problem="no such secret")],
            routes=[failing("orders", "token_refused")],
        ),
        [("token_missing", None), ("token_missing", None), ("route_failing", None)],
    ),
    "a route that fails for a cause of its own": (
        replace(ALL_UP, tokens=[REFUSED], routes=[failing("orders", "500")]),
        [("token_missing", None), ("route_failing", None)],
    ),
    "a route with another token": (
        replace(ALL_UP, tokens=[REFUSED], routes=[failing("bare", "token_refused")]),
        [("token_missing", None), ("route_failing", None)],
    ),
    "an upstream, its routes and its connections": (
        replace(
            down(("upstream", UPSTREAM), ("upstream", "https://other.test")),
            routes=[failing("orders", "upstream_unreachable"), failing("bare", "upstream_timeout")],
            lines=[Line(UPSTREAM, 7, 10), Line("https://third.test", 1, 1)],
        ),
        [
            *(("upstream_down", None), ("route_failing", 0), ("route_failing", 0)),
            *(("connections_exhausted", 0), ("upstream_down", None), ("connections_exhausted", None)),
        ],
    ),
    "Redis and the busts": (
        replace(down(("store", REDIS), ("bus", REDIS)), events=[Occurrence(FAILED_BUST, 950.0, 960.0)]),
        [("store_down", None), ("bus_down", 0), ("bust_failed", 0)],
    ),
    "a bust that failed before": (
        replace(down(("store", REDIS)), events=[Occurrence(FAILED_BUST, 800.0, 800.0)]),
        [("store_down", None), ("bust_failed", None)],
    ),
    "a token that cools down and its route": (
        replace(
            ALL_UP,
            tokens=[replace(HELD, problem="", reason="", cooling=9.0)],
            routes=[failing("orders", "401")],
        ),
        [("cooling_down", None), ("route_failing", 0)],
    ),
    "so many of two kinds that others are summed up": (
        replace(
            down(*(("upstream", f"https://{number}.test") for number in range(11))),
            lines=[Line(f"https://line-{number}.test", 1, 1) for number in range(11)],
        ),
        [("upstream_down", None)] * 11 + [("connections_exhausted", None)] * 11,
    ),
    "a refusal and its route": (
        replace(ALL_UP, events=[RELAYED], routes=[failing("orders", "401"), failing("crm", "401")]),
        [("refused", None), ("route_failing", 0), ("route_failing", None)],
    ),
}


@pytest.mark.parametrize(("seen", "expected"), CASES.values(), ids=CASES)
def test_o16_what_follows_from_a_finding_comes_right_after_it(
    seen: Seen, expected: Sequence[tuple[str, int | None]]
) -> None:
    """With the cause's position; what may have another cause stands alone."""
    found = wrong_now(seen)
    assert [(each.kind, each.caused_by) for each in found] == list(expected)
    assert all(each.action for each in found)
    for position, each in enumerate(found):
        if each.caused_by is not None:
            family = found[each.caused_by + 1 : position]
            assert all(other.caused_by == each.caused_by for other in family)
