"""Spans, made when a request is finished, and sent in batches.

A request that is not sampled costs one check of its record. Names and attributes are those of OpenTelemetry's stable
HTTP conventions; no query, no field and no body is ever part of one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from sidecar.core.ports import Clock
from sidecar.system.causes import in_words
from sidecar.telemetry.events import Event
from sidecar.telemetry.otel_env import Batches
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.sinks.dates import Dates
from sidecar.telemetry.sinks.otlp.endpoint import SERVICE, Report, Session
from sidecar.telemetry.spans import Span, of_event, of_request
from sidecar.telemetry.tracing import Tracer

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class _Watched(SpanExporter):
    """The exporter; reports each export and counts its spans."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._session = Session()
        self._exporter = OTLPSpanExporter(session=self._session)
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001  the next export may succeed
            self._report("traces", in_words(error))
            return SpanExportResult.FAILURE
        sent = result is SpanExportResult.SUCCESS
        self._report("traces", "" if sent else self._session.last or "nothing was sent")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class SpanJournal:
    """The journal's tracing half. Bounded: spans without room are dropped and counted."""

    def __init__(
        self,
        tracer: Tracer,
        clock: Clock,
        resource: Resource,
        *,
        version: str,
        batches: Batches,
        report: Report,
    ) -> None:
        self._tracer = tracer
        self._clock = clock
        self._dates = Dates(clock)
        self._resource = resource
        self._scope = InstrumentationScope(SERVICE, version)
        self._room = batches.queue
        self._exporter = _Watched(report)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=batches.queue,
            max_export_batch_size=batches.size,
            schedule_delay_millis=batches.delay_ms,
        )
        self._given = 0
        self.dropped = 0
        """Spans lost because the endpoint is too slow."""

    def tell(self, event: Event) -> None:
        """Make a span of a request to another server, if the event reports its end."""
        span = of_event(event, self._clock.now(), self._tracer)
        if span is not None:
            self._give(span, self._dates.ahead())

    def request_finished(self, record: RequestRecord) -> None:
        """Make spans of a request that is sampled. Hot path: ≤ 0.1 µs for the others."""
        if record.trace is not None and record.trace.sampled:
            ahead = self._dates.ahead()
            for span in of_request(record, record.trace):
                self._give(span, ahead)

    def close(self) -> None:
        """Send what waits, then end; may block for as long as an export takes."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def abandon(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()

    def _give(self, span: Span, ahead: float) -> None:
        if self._given - self._exporter.taken >= self._room:
            self.dropped += 1
            return
        self._given += 1
        self._processor.on_end(self._readable(span, ahead))

    def _readable(self, span: Span, ahead: float) -> ReadableSpan:
        """Return the span as the library has it; `ahead` leads from its moments to dates."""
        state = TraceState.from_header([span.state.decode("latin-1")]) if span.state else None
        parent = None
        if span.parent_id:
            parent = SpanContext(span.trace_id, span.parent_id, span.remote, _SAMPLED, state)
        attributes: dict[str, AttributeValue] = {**span.attributes}
        return ReadableSpan(
            name=span.name,
            context=SpanContext(
                span.trace_id, span.span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state
            ),
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
            start_time=int((span.began + ahead) * 1e9),
            end_time=int((span.ended + ahead) * 1e9),
            instrumentation_scope=self._scope,
        )
