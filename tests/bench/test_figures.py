"""The benchmark's verdict."""

import pytest

from tests.bench.figures import Sample, compare, summarise, table


def sample(proxy: str, connections: int, cpu_us: float, p99_us: float = 1000) -> Sample:
    return Sample(
        proxy=proxy,
        connections=connections,
        requests=100_000,
        seconds=5,
        cpu_seconds=cpu_us / 10,
        p50_us=500,
        p99_us=p99_us,
    )


def test_figures_are_medians_over_rounds() -> None:
    """One disturbed round changes nothing."""
    summary, *others = summarise([sample("sidecar", 32, cpu_us) for cpu_us in (20, 900, 21, 22, 1)])
    assert others == []
    assert summary.cpu_us == pytest.approx(21)
    assert summary.per_second == 20_000
    assert summary.busy == pytest.approx(0.42)


@pytest.mark.parametrize(
    ("connections", "cpu_us", "p99_us", "missed"),
    [
        (32, 75, 1000, False),
        (32, 75.1, 1000, True),
        (32, 20, 1001, True),
        (256, 65, 1000, False),
        (256, 65.1, 1000, True),
    ],
)
def test_targets_are_shares_of_the_peer(connections: int, cpu_us: float, p99_us: float, missed: bool) -> None:
    """CPU and p99 are judged against the peer's at the same number of connections."""
    samples = [sample("sidecar", connections, cpu_us, p99_us), sample("envoy", connections, 100)]
    [comparison] = compare(summarise(samples), "sidecar", "envoy")
    assert comparison.missed is missed


def test_one_proxy_alone_gives_no_verdict() -> None:
    """Without the peer there is a table and nothing to miss."""
    summaries = summarise([sample("sidecar", 32, 20)])
    assert compare(summaries, "sidecar", "envoy") == []
    assert "sidecar" in table(summaries, [])
