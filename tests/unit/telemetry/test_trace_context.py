"""The W3C Trace Context, and the samplers beside OpenTelemetry's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from sidecar.telemetry.otel_env import read_otel
from sidecar.telemetry.trace_context import Parent, Sampler, read

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("field", "sampled"),
    [
        (b"00-%s-%s-00", False),
        (b"00-%s-%s-01", True),
        (b"00-%s-%s-03", True),
        (b"00-%s-%s-fe", False),
        (b"cc-%s-%s-01", True),
        (b"cc-%s-%s-01-what-the-future-will-be-like", True),
    ],
)
def test_what_a_traceparent_says(field: bytes, sampled: bool) -> None:
    """Of later versions what this one knows is read (section 3.2.4)."""
    assert read(field % (TRACE, SPAN)) == Parent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"canary",
        b"00-%s-%s" % (TRACE, SPAN),
        b"00-%s-%s-01-more" % (TRACE, SPAN),
        b"00-%s-%s-01-" % (TRACE, SPAN),
        b"cc-%s-%s-01.more" % (TRACE, SPAN),
        b"ff-%s-%s-01" % (TRACE, SPAN),
        b"00-%s-%s-01" % (b"0" * 32, SPAN),
        b"00-%s-%s-01" % (TRACE, b"0" * 16),
        b"00-%s-%s-01" % (TRACE.upper(), SPAN),
        b"00-%s-%s-0x" % (TRACE, SPAN),
        b"00-%s-%s-1" % (TRACE, SPAN),
        b" 00-%s-%s-01" % (TRACE, SPAN),
        b"00-%s-%s-01, 00-%s-%s-01" % (TRACE, SPAN, TRACE, SPAN),
    ],
)
def test_what_is_no_traceparent_says_nothing(field: bytes) -> None:
    """Ids of zeros, capitals, and two fields in one are not valid."""
    assert read(field) is None


IDS = st.integers(min_value=1, max_value=(1 << 128) - 1)
PARENTS = st.none() | st.booleans()


def theirs(sampler: sampling.Sampler, trace_id: int, parent: bool | None) -> bool:
    """What OpenTelemetry's sampler decides of a request whose remote parent is, or is not, sampled."""
    context = None
    if parent is not None:
        flags = TraceFlags(TraceFlags.SAMPLED if parent else TraceFlags.DEFAULT)
        context = set_span_in_context(
            NonRecordingSpan(SpanContext(trace_id, 1, is_remote=True, trace_flags=flags))
        )
    return sampler.should_sample(context, trace_id, "").decision is sampling.Decision.RECORD_AND_SAMPLE


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("always_on", sampling.ALWAYS_ON),
        ("always_off", sampling.ALWAYS_OFF),
        ("parentbased_always_on", sampling.DEFAULT_ON),
        ("parentbased_always_off", sampling.DEFAULT_OFF),
    ],
)
@given(trace_id=IDS, sampled=PARENTS)
def test_our_samplers_decide_as_theirs(
    name: str, sampler: sampling.Sampler, trace_id: int, sampled: bool | None
) -> None:
    """Whatever the trace's id and its parent."""
    parent = Parent(b"%032x" % trace_id, SPAN, sampled) if sampled is not None else None
    ours = read_otel({"OTEL_TRACES_SAMPLER": name}).sampler
    assert ours.samples(trace_id, parent) == theirs(sampler, trace_id, sampled)


@given(trace_id=IDS, sampled=PARENTS, ratio=st.floats(0.0, 1.0), parent_based=st.booleans())
def test_a_share_is_the_same_traces_as_theirs(
    trace_id: int, sampled: bool | None, ratio: float, parent_based: bool
) -> None:
    """So that all services of a trace agree on it, with every share, the smallest too."""
    parent = Parent(b"%032x" % trace_id, SPAN, sampled) if sampled is not None else None
    sampler = (sampling.ParentBasedTraceIdRatio if parent_based else sampling.TraceIdRatioBased)(ratio)
    ours = Sampler("parentbased_traceidratio" if parent_based else "traceidratio", ratio)
    assert ours.samples(trace_id, parent) == theirs(sampler, trace_id, sampled)


@given(st.integers(min_value=0, max_value=1 << 64), st.integers(-1, 1))
def test_the_border_of_a_share_is_theirs(bound: int, beside: int) -> None:
    """One id below it is in, the next one is out."""
    ratio = bound / (1 << 64)
    border = sampling.TraceIdRatioBased.get_bound_for_rate(ratio)
    trace_id = max(1, min(border + beside, (1 << 64) - 1))
    expected = theirs(sampling.TraceIdRatioBased(ratio), trace_id, None)
    assert Sampler("traceidratio", ratio).samples(trace_id, None) == expected
