"""Records of requests: made when a head has arrived, and reported to the journal when the request is over."""

from contextlib import AbstractContextManager, nullcontext

from sidecar.core.errors import RequestRefused
from sidecar.core.ports import Clock
from sidecar.core.problem import Problem
from sidecar.http1.message import Request
from sidecar.proxy.own_answers import problem_of
from sidecar.proxy.request_ids import request_id, trace_id
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.tracing import Tracer


class RequestRecords:
    """Make the records of one listener, and finish them."""

    def __init__(self, journal: Journal, clock: Clock, prefix: str, tracer: Tracer | None) -> None:
        """Take `prefix`, the beginning of request ids that are created here. Nothing is traced without a `tracer`."""
        self._journal = journal
        self._clock = clock
        self._prefix = prefix
        self._tracer = tracer
        self._count = 0

    def begin(self, request: Request) -> RequestRecord:
        """Return the record of a request, with the client's own ids where it sent some. Hot path."""
        notes = request.notes
        known = request_id(notes[b"x-request-id"]) if b"x-request-id" in notes else ""
        record = RequestRecord(self._clock.now(), request.method.decode(), "", known or self._next_id(), "")
        if self._tracer is not None:
            record.trace = trace = self._tracer.begin(notes)
            record.trace_id = trace.trace_id.decode()
        elif b"traceparent" in notes:
            record.trace_id = trace_id(notes[b"traceparent"])
        return record

    def refuse(self, refusal: RequestRefused) -> Problem:
        """Return the answer to bytes that are no request that can be handled, and report it."""
        record = RequestRecord(self._clock.now(), "", "", self._next_id(), "")
        problem = problem_of(refusal, record)
        self.finish(record)
        return problem

    def waiting(self, record: RequestRecord) -> AbstractContextManager[None]:
        """Note in the request's trace that it waits for a token."""
        return nullcontext() if record.trace is None else record.trace.waiting(self._clock.now)

    def finish(self, record: RequestRecord) -> None:
        """Report a request that is over. Hot path."""
        record.finished = self._clock.now()
        self._journal.request_finished(record)

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"
