"""Answers that the sidecar gives itself, and their entries in the access log."""

from sidecar.core.problem import Problem, render
from sidecar.telemetry.request_record import RequestRecord


def problem_of(error: Exception, record: RequestRecord) -> Problem:
    """Return the answer to a request that failed with this error, and note it in the record."""
    problem = render(error, record.request_id)
    record.status = problem.status
    note(problem, record)
    return problem


def note(problem: Problem, record: RequestRecord) -> None:
    """Note the error in the record when the client can no longer get this answer."""
    record.error, record.detail = problem.word, problem.cause
