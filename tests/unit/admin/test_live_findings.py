"""What is wrong now: one finding for each thing, the gravest first, and none where all is well."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from sidecar.admin.event_findings import NOTABLE, RELAYED
from sidecar.admin.live_finding import Line, LiveFinding, Scope, Seen, whose
from sidecar.admin.ports import Readiness
from sidecar.admin.route_traffic import Reading
from sidecar.admin.wrong_now import MOST_OF_A_KIND, wrong_now
from sidecar.cache.token_status import TokenStatus
from sidecar.core.health import Health, Pulse
from sidecar.oauth.observed import ServerClock
from sidecar.telemetry.events import (
    ConfigDoubtful,
    CoolingDown,
    Draining,
    Event,
    ExportDown,
    ExportUp,
    Failed,
    OutOfDescriptors,
    Refused,
    Reloaded,
    ReloadFailed,
    Resent,
    SettingIgnored,
    Started,
    UnknownTenantNamed,
)
from sidecar.telemetry.fleet_events import BustFailed, BustRejected, SelectSent, StoreDenied
from sidecar.telemetry.recent_events import TOGETHER, Occurrence, ReplacedTokens
from sidecar.telemetry.words import NEIGHBOURS, NeighbourKind, Signal
from tests import ROOT

NOW = 1000.0
QUIET = Reading(rate=0.0, error_rate=0.0, errors={}, mean=None, p99=None, windows=(), failing_since=None)
BUSY = replace(QUIET, rate=20.0)
FRESH = TokenStatus(
    token="ledger",
    service="app",
    tenant="acme",
    state="fresh",
    fp="0123456789ab",
    source="fetch",
    age=10.0,
    expires_in=290.0,
    last_used=1.0,
    cooling=0.0,
    problem="",
    problem_since=None,
    last_tried=None,
)
UNFETCHED = replace(FRESH, problem="answered 503", problem_since=900.0, last_tried=998.0)
MISSING = replace(UNFETCHED, state="missing", fp="", source="", expires_in=0.0)
RELAY = Refused("r-1", "orders", "acme", "fp", 403, "insufficient_scope", "relay", scope="orders:write")
DOWN = Health("down", 900.0, "answered 503", last_failure=990.0)
TENANT = Scope(token="ledger", service="app", tenants=("acme",))


def at(event: Event, first: float = 900.0, last: float = 950.0) -> Occurrence:
    return Occurrence(event, first, last)


def failing(error_rate: float, errors: Mapping[str, int]) -> Reading:
    return replace(BUSY, error_rate=error_rate, errors=errors, failing_since=940.0)


HEALTHY = Seen(
    NOW,
    neighbours=[
        *((kind, "x", Health("up", 10.0, "once", last_failure=5.0)) for kind in NEIGHBOURS),
        *((kind, "y", Health("unknown", 10.0)) for kind in NEIGHBOURS),
    ],
    tokens=[FRESH, replace(FRESH, state="aging", expires_in=20.0)],
    routes=[("ledger", BUSY), ("orders", QUIET), ("once", replace(BUSY, failing_since=500.0))],
    events=[
        at(Started("1", "l", "a", 1, "local", "pure")),
        at(Reloaded(1)),
        at(ReloadFailed("fault")),
        at(ExportUp("traces")),
        at(ExportDown("traces", "HTTP 503")),
        at(replace(RELAY, decision="renew")),
        at(Resent("r-1", "orders", "fp", "healed")),
        at(CoolingDown("ledger", "app", "acme", 1.0)),
        at(Draining(3)),
        at(SelectSent("all", 3)),
        at(replace(RELAY, route="old"), 100.0, NOW - RELAYED),
        at(Failed("long ago", "KeyError at x.py:1"), 100.0, NOW - NOTABLE),
    ],
    lines=[Line("https://ledger.test", 0, 1024)],
)  # fmt: skip


def neighbour(kind: NeighbourKind, which: str) -> Seen:
    return replace(HEALTHY, neighbours=[*HEALTHY.neighbours, (kind, which, DOWN)])


def told(*events: Occurrence) -> Seen:
    return replace(HEALTHY, events=[*events, *HEALTHY.events])


CASES: Mapping[str, tuple[Seen, LiveFinding]] = {
    "an upstream is down": (
        neighbour("upstream", "https://ledger.test"),
        LiveFinding(
            "upstream_down", "failing", "Upstream https://ledger.test is unavailable", "answered 503", "",
            "sidecar check",
            900.0, 990.0, Scope(neighbour="upstream", name="https://ledger.test"),
        ),
    ),
    "a token endpoint or a key set is down": (
        neighbour("authorization_server", "auth.test"),
        LiveFinding(
            "authorization_server_down", "failing", "Authorization server auth.test is unavailable", "answered 503",
            "until they expire", "sidecar check", 900.0, 990.0,
            Scope(neighbour="authorization_server", name="auth.test"),
        ),
    ),
    "the secret store is down": (
        neighbour("secret_store", "AWS Secrets Manager"),
        LiveFinding(
            "secret_store_down", "warning", "AWS Secrets Manager is unavailable", "answered 503",
            "stay in use", "sidecar check", 900.0, 990.0, Scope(neighbour="secret_store", name="AWS Secrets Manager"),
        ),
    ),
    "Redis is down": (
        neighbour("store", "redis:6379"),
        LiveFinding(
            "store_down", "warning", "Redis redis:6379 is unavailable", "answered 503", "requests go on", "check Redis",
            900.0, 990.0, Scope(neighbour="store", name="redis:6379"),
        ),
    ),
    "the bus is down": (
        neighbour("bus", "redis:6379"),
        LiveFinding(
            "bus_down", "warning", "Busts of other pods do not arrive", "answered 503", "catches up", "check Redis",
            900.0, 990.0, Scope(neighbour="bus", name="redis:6379"),
        ),
    ),
    "a token is missing": (
        replace(HEALTHY, tokens=[replace(MISSING, error_description="AADSTS7000215", hint="renew the secret"), FRESH]),
        LiveFinding(
            "token_missing", "failing", "No token for tenant acme, service app, token ledger",
            "answered 503: “AADSTS7000215”", "", "renew the secret", 900.0, 998.0, TENANT,
        ),
    ),
    "a token without tenant is missing": (
        replace(HEALTHY, tokens=[replace(MISSING, tenant="")]),
        LiveFinding(
            "token_missing", "failing", "No token for service app, token ledger", "answered 503", "", "sidecar check",
            900.0, 998.0, Scope(token="ledger", service="app"),
        ),
    ),
    "a token cannot be renewed": (
        replace(HEALTHY, tokens=[replace(UNFETCHED, state="aging", expires_in=200.0)]),
        LiveFinding(
            "token_not_renewed", "warning", "The token for tenant acme, service app, token ledger cannot be renewed",
            "answered 503", "in use for another 3 min", "sidecar check", 900.0, 998.0, TENANT,
        ),
    ),
    "a token cools down": (
        replace(HEALTHY, tokens=[replace(FRESH, cooling=9.0, cooling_since=970.0)]),
        LiveFinding(
            "cooling_down", "warning", "New tokens for tenant acme, service app, token ledger are refused too",
            "right after it was fetched", "for another 9 s", "check the audience", 970.0, None, TENANT,
        ),
    ),
    "refusals are relayed": (
        told(at(RELAY)),
        LiveFinding(
            "refused", "warning", "Route orders: the upstream refused the token of tenant acme",
            "403 insufficient_scope; requires scope orders:write", "the clients get the refusal", "lacks a scope",
            900.0, None, Scope(route="orders", tenants=("acme",)),
        ),
    ),
    "a route fails": (
        replace(HEALTHY, routes=[("orders", failing(1.0, {"upstream_timeout": 20, "503": 1}))]),
        LiveFinding(
            "route_failing", "failing", "Route orders: 5.0 % of its requests fail",
            "1.0/s: upstream_timeout (20), 503 (1)", "", "check the upstream", 940.0, None, Scope(route="orders"),
        ),
    ),
    "few requests of a route fail": (
        replace(HEALTHY, routes=[("orders", failing(0.05, {"503": 1}))]),
        LiveFinding(
            "route_failing", "warning", "Route orders: 0.2 % of its requests fail", "3.0/min: 503 (1)", "",
            "the upstream's own log", 940.0, None, Scope(route="orders"),
        ),
    ),
    "no requests should come": (
        replace(HEALTHY, readiness=Readiness(ok=False, detail="draining")),
        LiveFinding("not_ready", "failing", "Not ready: draining", "stopping", "still answered", "no new requests"),
    ),
    "a clock is ahead": (
        replace(HEALTHY, wrong_clocks=[ServerClock("auth.test", 443, 600.0, 700.0)]),
        LiveFinding(
            "clock_skew", "warning", "The clock of auth.test:443 is 10 min ahead of this machine's", "`Date`",
            "JWTs may be refused", "synchronize", 700.0, None,
            Scope(neighbour="authorization_server", name="auth.test:443"),
        ),
    ),
    "a clock is behind": (
        replace(HEALTHY, wrong_clocks=[ServerClock("auth.test", 443, -31.0, 700.0)]),
        LiveFinding(
            "clock_skew", "warning", "The clock of auth.test:443 is 31 s behind this machine's", "`Date`",
            "JWTs may be refused", "synchronize", 700.0, None,
            Scope(neighbour="authorization_server", name="auth.test:443"),
        ),
    ),
    "all connections are busy": (
        replace(HEALTHY, lines=[Line("https://ledger.test", 7, 1024)]),
        LiveFinding(
            "connections_exhausted", "warning", "Upstream https://ledger.test: requests wait for a connection",
            "7 wait; all 1024 connections are busy", "", "max_connections", None, None,
            Scope(neighbour="upstream", name="https://ledger.test"),
        ),
    ),
    "tokens are revoked again and again": (
        replace(HEALTHY, replaced=[
            ReplacedTokens("crm", "401 invalid_token", 100.0, (951.0, 952.0, 953.0), 99),
            ReplacedTokens("by chance", "401 invalid_token", 951.0, (951.0, 952.0), 2),
            ReplacedTokens("long ago", "401 invalid_token", 1.0, (NOW - TOGETHER, 952.0, 953.0), 99),
        ]),
        LiveFinding(
            "expires_early", "warning", "Route crm: the upstream refuses tokens before they expire",
            "401 invalid_token; 99 tokens so far", "sends the request again", "`expires_in`",
            100.0, 953.0, Scope(route="crm"),
        ),
    ),
    "a reload failed": (
        told(at(ReloadFailed("routes: is missing"))),
        LiveFinding(
            "reload_failed", "warning", "The new configuration cannot be used; the old one stays in force",
            "routes: is missing", "", "sidecar validate", 950.0,
        ),
    ),
    "an endpoint takes nothing": (
        told(at(ExportDown("metrics", "HTTP 503"))),
        LiveFinding(
            "export_down", "warning", "The OTLP endpoint does not accept metrics", "HTTP 503", "requests go on",
            "OTEL_EXPORTER",
            900.0,
        ),
    ),
    "a bug": (
        told(at(Failed("exchange", "KeyError at x.py:1"))),
        LiveFinding(
            "failed", "warning", "A bug; please report it", "exchange: KeyError at x.py:1", "", "report it", 900.0,
        ),
    ),
    "no descriptors are left": (
        told(at(OutOfDescriptors(1024, "raise `ulimit -n`"))),
        LiveFinding(
            "out_of_descriptors", "warning", "None of 1024 file descriptors is left for new clients",
            "as the limit allows",
            "", "raise `ulimit -n`", 900.0,
        ),
    ),
    "messages are rejected": (
        told(at(BustRejected("m2m:bust", "forged", 7))),
        LiveFinding(
            "bust_rejected", "warning", "A message was rejected", "forged, on m2m:bust", "", "encryption_keys", 900.0,
        ),
    ),
    "a bust failed": (
        told(at(BustFailed("select", "tenant=acme", "", "publish", "no answer in time"))),
        LiveFinding(
            "bust_failed", "warning", "A bust did not reach all pods: tenant=acme",
            "did not publish it: no answer in time",
            "", "repeat the bust", 900.0,
        ),
    ),
    "Redis denies a permission": (
        told(at(StoreDenied("revoke", "NOPERM"))),
        LiveFinding(
            "store_denied", "warning", "Redis denies the sidecar's user what revoke requires", "NOPERM", "", "grant",
            900.0,
        ),
    ),
    "an unknown tenant is named": (
        told(at(UnknownTenantNamed("ledger", "acmee", 3))),
        LiveFinding(
            "unknown_tenant", "warning", "Route ledger: requests for the unknown tenant acmee", "3 since the last",
            "these requests get 400", "correct the client", 900.0,
        ),
    ),
    "a variable has no effect": (
        told(at(SettingIgnored("SIDECAR_UPSTERAM", "no setting has this name"))),
        LiveFinding(
            "setting_ignored", "warning", "SIDECAR_UPSTERAM cannot be used", "no setting", "", "correct or remove",
            900.0,
        ),
    ),
    "a value is doubtful": (
        told(at(ConfigDoubtful("tokens.a.client_id: ${ID} is taken literally"))),
        LiveFinding(
            "config_doubtful", "warning", "A value of the configuration", "${ID}", "", "correct the value", 900.0,
        ),
    ),
}  # fmt: skip


def test_o7_where_all_is_well_nothing_is_wrong() -> None:
    """Neighbours that are up or not yet tried, quiet routes, what has ended, and what happened long ago."""
    assert wrong_now(HEALTHY) == []
    assert wrong_now(Seen(NOW)) == []


@pytest.mark.parametrize(("seen", "expected"), CASES.values(), ids=CASES)
def test_o7_each_kind_of_trouble_is_one_finding(seen: Seen, expected: LiveFinding) -> None:
    """With cause, scope, first failure and what to do; words are looked for, the rest is equal."""
    (found,) = wrong_now(seen)
    for member in ("what", "cause", "effect", "action"):
        part, text = getattr(expected, member), getattr(found, member)
        assert part in text
        assert bool(part) is bool(text)
    texts = {member: getattr(found, member) for member in ("what", "cause", "effect", "action")}
    assert found == replace(expected, **texts)


def test_o7_findings_come_by_gravity_then_causes_first() -> None:
    """What fails stands above what only warns; the server that is down above the token and the route that lack it."""
    everything = Seen(
        NOW,
        replace(CASES["no requests should come"][0].readiness),
        neighbours=[row for seen, _ in CASES.values() for row in seen.neighbours],
        tokens=[row for seen, _ in CASES.values() for row in seen.tokens],
        routes=[("orders", failing(20.0, {"token_unavailable": 20}))],
        events=[at(RELAY)],
    )
    kinds = [found.kind for found in wrong_now(everything)]
    assert kinds == [
        *("not_ready", "upstream_down", "authorization_server_down", "token_missing", "route_failing"),
        *("secret_store_down", "store_down", "bus_down", "token_not_renewed", "cooling_down", "refused"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tenants", "words", "named"),
    [
        ((), "", ()),
        (("a",), "tenant a", ("a",)),
        (("a", "b"), "tenants a, b", ("a", "b")),
        (("a", "b", "c", "d"), "tenants a, b, c, d", ("a", "b", "c", "d")),
        (("a", "b", "c", "d", "e", "f"), "tenants a, b, c and 3 more", ("a", "b", "c", "d", "e", "f")),
    ],
)
def test_o7_tenants_with_one_trouble_are_one_finding(
    tenants: tuple[str, ...], words: str, named: tuple[str, ...]
) -> None:
    """The first are named, all are in its scope; the first failure of any dates it, as the last does the last try."""
    assert whose(tenants) == words
    held = [
        replace(MISSING, tenant=tenant, problem_since=900.0 - number, last_tried=950.0 - number)
        for number, tenant in enumerate(tenants or ("",))
    ]
    (found,) = wrong_now(Seen(NOW, tokens=held))
    assert found.scope.tenants == named
    assert words in found.what
    assert (found.since, found.last_tried) == (901.0 - len(held), 950.0)


def test_o7_other_causes_are_other_findings() -> None:
    """Of the same token, by state and by reason."""
    held = [MISSING, replace(MISSING, tenant="b", problem="timed out"), replace(UNFETCHED, tenant="c")]
    found = sorted(found.scope.tenants for found in wrong_now(Seen(NOW, tokens=held)))
    assert found == [("acme",), ("b",), ("c",)]


@pytest.mark.parametrize(
    ("events", "since"),
    [
        ([(990, 995)], 990),
        ([(990, 995), (100, 200)], 100),  # another fault of the file, no end between: still the first failure
        ([(990, 995), "ended", (100, 200)], 990),
        (["ended", (990, 995)], None),
        ([(300, 995), "ended"], 500),  # counted together with one before its end
    ],
)
def test_o5_a_failure_that_nothing_ended_is_dated_by_the_first(
    events: list[tuple[float, float] | str], since: float | None
) -> None:
    """However many there were since; the newest one's cause is shown."""
    pairs: tuple[tuple[Event, Event], ...] = (
        (ReloadFailed("newest"), Reloaded(1)),
        (ExportDown("traces", "newest"), ExportUp("traces")),
    )
    for failed, end in pairs:
        seen = []
        for number, event in enumerate(events):
            if isinstance(event, str):
                seen.append(at(end, 500.0, 500.0))
            else:
                older = replace(failed, error=f"older {number}")  # type: ignore[call-arg]  # both have it
                seen.append(at(failed if (number == 0 or events[0] == "ended") else older, *event))
        found = wrong_now(Seen(NOW, events=seen))
        assert [each.since for each in found] == ([] if since is None else [since])
        assert all(each.cause == "newest" for each in found)


def test_o7_signals_end_by_themselves() -> None:
    """That metrics are exported again says nothing of traces."""
    signals: tuple[Signal, ...] = ("metrics", "traces")
    seen = [at(ExportUp("metrics")), *(at(ExportDown(signal, "HTTP 503")) for signal in signals)]
    assert [found.what for found in wrong_now(Seen(NOW, events=seen))] == [
        "The OTLP endpoint does not accept traces"
    ]


def test_o5_refusals_of_other_tenants_and_tokens_are_one_finding_from_the_first() -> None:
    """Renewed tokens, by fingerprint, make no new one; after a pause a new one begins."""
    seen = [
        at(replace(RELAY, tenant="b", fp="2"), 940.0, 990.0),
        at(replace(RELAY, fp="3"), 880.0, 930.0),
        at(replace(RELAY, fp="4"), 800.0, 870.0),
        at(replace(RELAY, fp="5"), 100.0, 500.0),
        at(replace(RELAY, status=401, error="other_scheme", scope=""), 990.0, 995.0),
    ]
    found = wrong_now(Seen(NOW, events=seen))
    assert [(each.since, each.scope.tenants) for each in found] == [
        (800.0, ("b", "acme")),
        (990.0, ("acme",)),
    ]
    assert found[1].cause == "401 other_scheme"


def test_o7_equal_events_with_a_pause_between_are_one_finding() -> None:
    """Other words are another finding, each dated by its first; what comes from outside is not read as a pattern."""
    seen = [
        at(ConfigDoubtful("${A} {0} {x}"), 990.0, 990.0),
        at(ConfigDoubtful("b"), 900.0, 905.0),
        at(ConfigDoubtful("${A} {0} {x}"), 700.0, 710.0),
    ]
    found = wrong_now(Seen(NOW, events=seen))
    assert [(each.cause, each.since) for each in found] == [("${A} {0} {x}", 700.0), ("b", 900.0)]


# One name for each thing

PAGE = (ROOT / "sidecar/admin/page.html").read_text()


def test_o9_a_finding_about_a_neighbour_begins_with_its_name() -> None:
    """That of the glossary, which the log, the page and `sidecar status` draw from too."""
    for kind, known in NEIGHBOURS.items():
        (found,) = wrong_now(neighbour(kind, "x"))
        assert found.kind == f"{kind}_down"
        assert found.what.casefold() == known.is_down("x").casefold()


def test_o9_a_finding_is_called_as_the_log_calls_it() -> None:
    """Its kind is the event's name, and the page's list of events says it in the same words."""
    said = dict(
        re.findall(r"^  (\w+): \(\w*\) => \[[`\"](.*?)[`\"],", PAGE.split("const SAYS = {")[1], re.MULTILINE)
    )
    compared = set()
    for seen, _ in CASES.values():
        (found,) = wrong_now(seen)
        if seen.events is HEALTHY.events or found.kind in ("refused", "bust_failed", "expires_early"):
            continue
        event = seen.events[0].event
        words = re.sub(r"\$\{f\.(\w+)\}", lambda field: str(event.values()[field[1]]), said[event.name])  # noqa: B023
        assert (found.kind, found.what) == (event.name, words)
        compared.add(found.kind)
    assert len(compared) == 9


def test_o7_every_kind_is_listed() -> None:
    """With its gravity, on the page about observing; a kind that has two is listed with the graver."""
    page = (ROOT / "docs/how-to/observe.md").read_text()
    rows = re.findall(r"^\| (`.+`) \| `(failing|warning)` \|", page, re.MULTILINE)
    listed = {(kind, gravity) for kinds, gravity in rows for kind in re.findall(r"\w+", kinds)}
    found = {(each.kind, each.gravity) for seen, _ in CASES.values() for each in wrong_now(seen)}
    assert found - {("route_failing", "warning")} == listed


def test_o7_a_pulse_that_missed_is_a_finding_from_its_first_miss() -> None:
    """Until it beats; reading changes nothing."""
    pulse = Pulse(0.0)
    for moment in (500.0, 600.0, 700.0):
        pulse.miss(moment, f"no answer at {moment}")
        (found,) = wrong_now(Seen(NOW, neighbours=[("upstream", "u", pulse.health)]))
        assert (found.since, found.last_tried, found.cause) == (500.0, moment, f"no answer at {moment}")
    pulse.beat(800.0)
    assert wrong_now(Seen(NOW, neighbours=[("upstream", "u", pulse.health)])) == []


MANY = 1000


def names(count: int) -> list[str]:
    return [f"x{number}" for number in range(count)]


@pytest.mark.parametrize(
    "seen",
    [
        Seen(NOW, routes=[(name, failing(20.0, {"401": 1})) for name in names(MANY)]),
        Seen(NOW, routes=[(name, failing(0.1, {"401": 1})) for name in names(MANY)]),
        Seen(NOW, tokens=[replace(MISSING, token=name) for name in names(MANY)]),
        Seen(NOW, tokens=[replace(UNFETCHED, problem=name) for name in names(MANY)]),
        Seen(NOW, tokens=[replace(FRESH, cooling=3.0, token=name) for name in names(MANY)]),
        Seen(NOW, lines=[Line(name, 1, 10) for name in names(MANY)]),
        Seen(NOW, neighbours=[("upstream", name, DOWN) for name in names(MANY)]),
        Seen(NOW, events=[at(UnknownTenantNamed("ledger", name, 1)) for name in names(MANY)]),
        Seen(NOW, events=[at(replace(RELAY, route=name)) for name in names(MANY)]),
    ],
    ids=["routes", "warned", "missing", "unrenewed", "cooling", "lines", "neighbours", "events", "refusals"],
)
def test_o2_very_many_findings_of_a_kind_are_summed_up(seen: Seen) -> None:
    """The first ones, and the number of the others."""
    found = wrong_now(seen)
    assert len(found) == MOST_OF_A_KIND + 1
    assert len({(each.kind, each.gravity) for each in found}) == 1
    assert found[-1].what == f"And {MANY - MOST_OF_A_KIND} more of this kind"
    assert not any(each.what.startswith("And ") for each in found[:-1])


@pytest.mark.parametrize("count", [1, MOST_OF_A_KIND, MOST_OF_A_KIND + 1])
def test_o2_a_few_findings_are_all_there(count: int) -> None:
    """One beyond the limit is one more."""
    found = wrong_now(Seen(NOW, routes=[(name, failing(20.0, {"401": 1})) for name in names(count)]))
    assert len(found) == count
    assert (found[-1].what == "And 1 more of this kind") is (count > MOST_OF_A_KIND)


def test_o2_events_of_several_kinds_stay_in_their_order() -> None:
    """The newest first, whatever their kind."""
    events = [UnknownTenantNamed("a", "x", 1), SettingIgnored("V", "r"), UnknownTenantNamed("b", "y", 1)]
    found = wrong_now(Seen(NOW, events=[at(event) for event in events]))
    assert [each.kind for each in found] == [event.name for event in events]


def test_o2_many_findings_of_a_kind_hide_no_other() -> None:
    """Each kind has a bound of its own; the gravest stay first."""
    routes = [(name, failing(20.0, {"401": 1})) for name in names(MANY)]
    warned = [(f"w{name}", failing(0.1, {"401": 1})) for name in names(MANY)]
    clocks = [ServerClock("auth.test", 443, 90.0, NOW)]
    found = wrong_now(Seen(NOW, routes=routes + warned, wrong_clocks=clocks))
    kinds = [(each.gravity, each.kind) for each in found]
    assert kinds == [
        *[("failing", "route_failing")] * (MOST_OF_A_KIND + 1),
        ("warning", "clock_skew"),
        *[("warning", "route_failing")] * (MOST_OF_A_KIND + 1),
    ]
