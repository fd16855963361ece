"""Whether a soak went well: pure rules over what was sampled and counted, and the page people read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.soak.outcomes import BAD_RELOAD, OUT, RELOAD, REVOKED, Fault, Outcome, Tally

GROWTH_LIMIT = 2.0
"""MiB that resident memory may grow over the second half of the load, by the line that fits it best. The longer the
soak, the smaller the leak it shows."""
WARM_UP = 120.0
"""Seconds of load in which buffers and caches fill: each fault has then come once. They are not in the second half."""
ENOUGH = 30
"""Samples it takes to speak of growth."""
TELLS = {
    REVOKED: "resent healed",
    OUT: "token_fetch_failed unavailable",
    RELOAD: "reloaded",
    BAD_RELOAD: "reload_failed",
}
"""What the log says after a fault."""
EXIT_LIMIT = 5.0
"""Seconds from SIGTERM to the end of an idle process."""


@dataclass(frozen=True)
class Sample:
    """The process from outside, at one moment. Seconds, MiB."""

    at: float
    descriptors: int
    resident: float
    threads: int
    cpu: float
    connections: int
    in_flight: int
    tasks: int
    dropped: int


@dataclass(frozen=True)
class Ending:
    """How the process ended."""

    code: int | None
    """None: it had to be killed."""
    seconds: float


@dataclass(frozen=True)
class Results:
    """Everything a verdict is made of."""

    minutes: float
    seed: int
    idle: Sample
    """Before the load."""
    samples: Sequence[Sample]
    """During the load, one a second."""
    settled: Sample
    """After it, once everything had time to close."""
    tally: Tally
    events: Mapping[str, int]
    """The lines of the sidecar's log, by event, with its outcome if it has one."""
    failed: Sequence[str]
    """Its `failed` lines."""
    leaked: int
    """Log lines with a secret in them."""
    stderr: str
    complaints: Sequence[str]
    """What upstream and token endpoint did not like."""
    kinds: Sequence[str]
    """The kinds of load that were on."""
    ending: Ending


@dataclass(frozen=True)
class Check:
    """One rule of the verdict."""

    what: str
    measured: str
    limit: str
    good: bool


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The least squares line's rise per unit of the first coordinate; 0 where there is no line."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count if count else 0.0
    mean_y = sum(y for _, y in points) / count if count else 0.0
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def back(what: str, idle: int, settled: int, peak: int) -> Check:
    """After the load there are no more of them than before."""
    return Check(what, f"{settled} (at most {peak} under load)", f"≤ {idle}, as before", settled <= idle)


def none_left(what: str, settled: int, peak: int) -> Check:
    """After the load there are none."""
    return Check(what, f"{settled} (at most {peak} under load)", "0", settled == 0)


def zero(what: str, count: int) -> Check:
    """There never was one."""
    return Check(what, str(count), "0", count == 0)


def memory(samples: Sequence[Sample]) -> Check:
    """Memory does not climb over the second half of the load; a soak in its warm-up cannot show that."""
    what = "Growth of memory, second half"
    peak = f"at most {max((sample.resident for sample in samples), default=0.0):.0f} MiB"
    half = [sample for sample in samples[len(samples) // 2 :] if sample.at >= samples[0].at + WARM_UP]
    if len(half) < ENOUGH:
        return Check(
            what, f"not told by less than three minutes ({peak})", f"≤ {GROWTH_LIMIT:g} MiB", bool(samples)
        )
    rise = slope([(sample.at, sample.resident) for sample in half])
    growth = rise * (half[-1].at - half[0].at)
    measured = f"{growth:+.1f} MiB, {rise * 3600:+.0f} MiB/h ({peak})"
    return Check(what, measured, f"≤ {GROWTH_LIMIT:g} MiB", growth <= GROWTH_LIMIT)


def noticed(faults: Sequence[Fault], events: Mapping[str, int]) -> Check:
    """The sidecar's log has each kind of fault; a fault without effect has proved nothing."""
    kinds = {fault.kind for fault in faults}
    unnoticed = [kind for kind, event in TELLS.items() if kind in kinds and not events.get(event)]
    return Check("Faults the sidecar did not notice", ", ".join(unnoticed) or "0", "0", not unnoticed)


def worked(tally: Tally, kinds: Sequence[str]) -> Check:
    """Each kind of load went as expected most of the time, so that no rule excuses an outage of our own."""
    poor = [kind for kind in kinds if tally.ok[kind] <= tally.explained.get(kind, Counter()).total()]
    return Check("Kinds of load that mostly failed", ", ".join(poor) or "0", "0", not poor)


def checks(results: Results) -> list[Check]:
    """Every rule."""
    idle, settled, tally = results.idle, results.settled, results.tally
    peak = Counter[str]()
    for sample in results.samples:
        for name in ("descriptors", "tasks", "connections", "in_flight"):
            peak[name] = max(peak[name], getattr(sample, name))
    ending = results.ending
    ended = "killed" if ending.code is None else f"{ending.code} after {ending.seconds:.1f} s"
    return [
        zero("Unexplained failures", tally.unexplained.total()),
        worked(tally, results.kinds),
        noticed(tally.faults, results.events),
        back("Descriptors after the load", idle.descriptors, settled.descriptors, peak["descriptors"]),
        back("Tasks after the load", idle.tasks, settled.tasks, peak["tasks"]),
        none_left("Client connections after the load", settled.connections, peak["connections"]),
        none_left("Requests in flight after the load", settled.in_flight, peak["in_flight"]),
        memory(results.samples),
        zero("`failed` events", len(results.failed)),
        zero("Log lines dropped", settled.dropped),
        zero("Log lines with a secret", results.leaked),
        zero("Lines on standard error", len(results.stderr.splitlines())),
        zero("Complaints of upstream and token endpoint", len(results.complaints)),
        Check(
            "SIGTERM: exit code",
            ended,
            f"0 within {EXIT_LIMIT:g} s",
            ending.code == 0 and ending.seconds <= EXIT_LIMIT,
        ),
    ]


def block(results: Results, found: Sequence[Check]) -> str:
    """The verdict as its page shows it."""
    tally = results.tally
    faults = Counter(fault.kind for fault in tally.faults)
    done = tally.ok.total()
    explained = sum((counts for counts in tally.explained.values()), Counter[str]())
    told = ", ".join(f"{kind} {count} times" for kind, count in faults.items())
    good = f"{results.minutes:g} minutes: {done:,} exchanges of {len(results.kinds)} kinds as expected"
    lines = [
        f"{good}, {explained.total():,} failures explained by a fault.",
        f"Faults: {told}.",
        "",
        "| Verdict | Measured | Limit | |",
        "| --- | --- | --- | --- |",
        *(
            f"| {row.what} | {row.measured} | {row.limit} | {'ok' if row.good else '**FAILED**'} |"
            for row in found
        ),
    ]
    return "\n".join(lines)


def page(results: Results, found: Sequence[Check]) -> str:
    """Everything worth reading on a terminal."""
    events = ", ".join(f"{event} {count}" for event, count in sorted(results.events.items()))
    log = f"log: {events}"
    return "\n".join([*_load(results.tally), "", log, "", block(results, found), *_particulars(results)])


def _load(tally: Tally) -> list[str]:
    kinds = sorted({*tally.ok, *tally.explained, *tally.unexplained})
    lines = [f"{'load':<22} {'expected':>9} {'explained':>10} {'UNEXPLAINED':>12}"]
    for kind in kinds:
        counts = tally.explained.get(kind, Counter[str]())
        why = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
        lines.append(
            f"{kind:<22} {tally.ok[kind]:>9} {counts.total():>10} {tally.unexplained[kind]:>12}  {why}".rstrip()
        )
    return lines


def _particulars(results: Results) -> list[str]:
    lines = [f"failed: {line}" for line in results.failed[:5]]
    lines += [f"complaint: {line}" for line in results.complaints[:5]]
    lines += [f"stderr: {line}" for line in results.stderr.splitlines()[-10:]]
    lines += [_told(example) for example in results.tally.examples]
    return ["", *lines] if lines else []


def _told(outcome: Outcome) -> str:
    return (
        f"unexplained: {outcome.kind} {outcome.request_id} from {outcome.began:.2f} to {outcome.ended:.2f}: "
        f"{outcome.trouble} {outcome.detail}"
    )
