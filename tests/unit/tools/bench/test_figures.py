"""The benchmark's medians, ratios and verdicts."""

import pytest

from tests.bench.cells import NAMES, label, matches
from tests.bench.doubts import doubts
from tests.bench.figures import FIGURES, Measurement, Row, rows
from tests.bench.table import table
from tests.bench.targets import TARGETS, Verdict, judge

FIGURE = {figure.name: figure for figure in FIGURES}


def measured(cell: str, proxy: str, **figures: float) -> Measurement:
    return Measurement(cell, proxy, figures)


def verdicts(cell: str, figure: str, ours: float, peer: float) -> list[Verdict]:
    return judge(Row(FIGURE[figure], cell, {"sidecar": ours, "envoy": peer}))


def test_figures_are_medians_over_rounds() -> None:
    """One disturbed round changes nothing."""
    [row] = rows([measured("load/plain/200B/32", "sidecar", cpu_us=cpu) for cpu in (20, 900, 21, 22, 1)])
    assert row.values == {"sidecar": 21}


def test_growth_is_the_most_of_all_rounds() -> None:
    """Memory that grew once has grown."""
    [row] = rows([measured("bulk/tls/up/sized", "sidecar", growth_mib=growth) for growth in (1, 30, 2)])
    assert row.values == {"sidecar": 30}


def test_rows_go_figure_by_figure() -> None:
    """Proxies of one cell share a row; figures that are raw only have none."""
    found = rows(
        [
            measured("load/plain/200B/1", "sidecar", p99_ms=1, cpu_us=50, busy=0.5),
            measured("load/plain/200B/1", "envoy", p99_ms=2, cpu_us=100),
            measured("load/plain/200B/32", "sidecar", cpu_us=30),
        ]
    )
    assert [(row.figure.name, row.cell, dict(row.values)) for row in found] == [
        ("cpu_us", "load/plain/200B/1", {"sidecar": 50, "envoy": 100}),
        ("cpu_us", "load/plain/200B/32", {"sidecar": 30}),
        ("p99_ms", "load/plain/200B/1", {"sidecar": 1, "envoy": 2}),
    ]
    assert found[0].ratio("sidecar", "envoy") == 0.5
    assert found[1].ratio("sidecar", "envoy") is None


@pytest.mark.parametrize(
    ("cell", "figure", "ours", "peer", "met"),
    [
        ("load/plain/200B/32", "cpu_us", 60, 100, True),
        ("load/plain/200B/32", "cpu_us", 60.1, 100, False),
        ("load/plain/200B/256", "cpu_us", 50, 100, True),
        ("load/plain/200B/256", "cpu_us", 50.1, 100, False),
        ("load/plain/200B-unique/32", "cpu_us", 75.1, 100, False),
        ("load/tls/200B/256", "cpu_us", 65.1, 100, False),
        ("load/plain/200B/256/traced", "cpu_us", 58, 100, True),
        ("load/plain/200B/32/traced", "cpu_us", 78.1, 100, False),
        ("load/tls/16KiB/1", "p99_ms", 2.2, 2, True),
        ("load/tls/16KiB/1", "p99_ms", 2.3, 2, False),
        ("load/plain/200B/32/traced", "p99_ms", 2.4, 2, True),
        ("load/tls/16KiB/1", "p50_ms", 2.1, 2, False),
        ("calls/1-stream/traced", "cpu_us", 85, 100, True),
        ("calls/10-streams/traced", "cpu_us", 80.1, 100, False),
        ("calls/100-streams/traced", "cpu_us", 65.1, 100, False),
        ("calls/100-streams", "p99_ms", 2.2, 2, True),
        ("calls/1-stream", "p99_ms", 2.3, 2, False),
        ("open-streams", "open_streams_mib", 80, 100, True),
        ("open-streams", "open_streams_mib", 80.1, 100, False),
        ("load/plain/16KiB/256", "peak_mib", 65, 100, False),
        ("bulk/plain/up/sized", "mb_per_cpu_second", 900, 1000, True),
        ("bulk/plain/up/sized", "mb_per_cpu_second", 899, 1000, False),
        ("bulk/tls/down/sized", "mb_per_cpu_second", 749, 1000, False),
        ("bulk/tls/down/chunked", "growth_mib", 16, 1, True),
        ("bulk/tls/down/chunked", "growth_mib", 16.1, 100, False),
        ("start", "ready_seconds", 0.26, 1, False),
        ("growth/1000-routes", "growth", 1.1, 0, True),
        ("growth/10000-tokens", "growth", 1.11, 0, False),
        ("fleet", "fleet_fresh_mib", 60, 60, True),
        ("fleet", "fleet_peak_mib", 60.1, 60, False),
    ],
)
def test_a_target_bounds_our_figure_or_our_share(
    cell: str, figure: str, ours: float, peer: float, met: bool
) -> None:
    """The bound itself is good enough."""
    [found] = verdicts(cell, figure, ours, peer)
    assert found.met is met


def test_one_row_can_have_a_target_for_each_of_two_proxies() -> None:
    """Each says whose share it bounds, but for the peer's, which has a column of its own."""
    row = Row(FIGURE["cpu_us"], "load/plain/200B/32", {"sidecar": 30, "envoy": 50, "nginx": 19})
    assert list(map(str, judge(row))) == ["≤ 0.6 met", "≤ 1.5 of nginx **MISSED**"]


def test_what_has_no_target_gets_no_verdict() -> None:
    """Neither a figure without a bound nor one without its peer."""
    assert verdicts("load/plain/200B/1", "cpu_us", 900, 1) == []
    assert judge(Row(FIGURE["cpu_us"], "load/plain/200B/32", {"sidecar": 900})) == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.cells} {target.figure}")
def test_every_target_is_about_something_measured(target: object) -> None:
    """No target is met by never being looked at."""
    [named] = [each for each in TARGETS if each is target]
    assert any(matches(name, [named.cells]) for name in NAMES)
    assert named.figure in FIGURE


def test_cells_have_names_for_people() -> None:
    """The kind of measurement is left to the figure's title."""
    assert label("load/tls/16KiB/256") == "TLS, 16 KiB, 256 connections"
    assert label("bulk/plain/up/chunked") == "plain, up, chunked"
    assert label("start") == ""


@pytest.mark.parametrize(
    ("cell", "waited", "busy", "said"),
    [
        ("load/plain/200B/32", 0.3, 0.7, "waited for its core 30%"),
        ("load/plain/200B/1", 0.3, 0.3, "waited for its core 30%"),
        ("load/plain/200B/32", 0.01, 0.7, "used only 70%"),
        ("load/plain/200B/1", 0.01, 0.3, ""),
        ("load/plain/200B/32", 0.01, 0.98, ""),
    ],
)
def test_figures_that_say_little_about_the_proxy_are_named(
    cell: str, waited: float, busy: float, said: str
) -> None:
    """Other work on the proxy's core, and a load that is slower than the proxy; one client is always slower."""
    lines = list(doubts([measured(cell, "sidecar", waited=waited, busy=busy)]))
    assert len(lines) == bool(said)
    assert said in "".join(lines)


def test_the_table_has_ratios_and_verdicts_beside_the_figures() -> None:
    """A title for the cells of a figure, a line of its own for a figure without cells."""
    text = table(
        [
            Row(FIGURE["cpu_us"], "load/plain/200B/32", {"sidecar": 40, "envoy": 50, "nginx": 32}),
            Row(FIGURE["ready_seconds"], "start", {"sidecar": 0.25, "envoy": 0.05}),
        ]
    )
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert lines[0] == ["", "Sidecar", "Envoy", "nginx", "Ratio to Envoy", "Target"]
    assert lines[2:] == [
        ["**CPU per request, µs**", "", "", "", "", ""],
        [
            "plain, 200 B, 32 connections",
            "40.0",
            "50.0",
            "32.0",
            "0.80",
            "≤ 0.6 **MISSED**, ≤ 1.5 of nginx met",
        ],
        ["**From start to ready, s**", "0.25", "0.05", "", "5.00", "≤ 0.25 met"],
    ]
