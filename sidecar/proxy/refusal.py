"""How an upstream's answer judges our token, and the event that reports it.

An answer with status 401, or another of the route's `refused_statuses`, is judged by the table of `challenge`. A 403 is
read too: where it names a Bearer error, it refuses the token for this request. Where it names none, the application
refused the user, and nothing is reported. A gRPC call that ends with UNAUTHENTICATED is judged as a 401 is. One that
ends with PERMISSION_DENIED is read as a 403 is, but never sent again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sidecar.http1.message import Response
from sidecar.oauth.token import Token
from sidecar.proxy.challenge import Challenge, Verdict, bearer_error, judge, parse
from sidecar.proxy.routes import Route
from sidecar.telemetry.events import Refused
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.words import Decision

OTHER_SCHEME = "other_scheme"
"""Logged in place of the error if an upstream requires another scheme than Bearer."""
_SCOPES = re.compile(r"[!#-\[\]-~]{1,100}(?: [!#-\[\]-~]{1,100}){0,9}")
"""RFC 6749 section 3.3, bounded: this is logged."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that may refuse the token, parsed."""

    status: int
    verdict: Verdict
    error: str
    """That of the challenge, OTHER_SCHEME where it has other schemes only, "" for none."""
    scope: str
    """The scope that the challenge requires, "" if it names none or an invalid one."""
    reported: bool
    """Whether to emit an event; an answer that refuses no token gets none."""


def may_refuse(status: int, route: Route) -> bool:
    """Return whether an answer with this status must be read."""
    return status in route.refused_statuses or status == 403


def read_refusal(answer: Response, route: Route, status: int) -> Refusal:
    """Return how the answer judges the token that was sent, as an answer with `status` does."""
    fields = answer.values(b"www-authenticate")
    if status == answer.status:
        return judged(status, fields, route)
    if status == 403:
        route = replace(route, refused_statuses=frozenset())
    return replace(judged(status, fields, route), status=answer.status)


def judged(status: int, fields: Iterable[bytes], route: Route) -> Refusal:
    """Return how an answer with this status and these fields WWW-Authenticate judges the token that was sent."""
    challenges = parse(fields)
    statuses = route.refused_statuses
    verdict = judge(status, challenges, on_401=route.on_401, refused_statuses=statuses)
    refused = status in statuses
    error = bearer_error(challenges)
    if not error and refused and challenges and all(c.scheme != "bearer" for c in challenges):
        error = OTHER_SCHEME
    reported = route.on_401 != "ignore" and (refused or bool(error))
    return Refusal(status, verdict, error, _scope(challenges), reported)


def refused_event(
    refusal: Refusal,
    decision: Decision,
    route: Route,
    token: Token,
    record: RequestRecord,
    *,
    reporter: str = "",
) -> Refused:
    """Return the event for the log and the metrics."""
    return Refused(
        request_id=record.request_id,
        route=route.name,
        tenant=record.tenant,
        fp=token.fingerprint,
        status=refusal.status,
        error=refusal.error,
        decision=decision,
        scope=refusal.scope,
        reporter=reporter,
    )


def _scope(challenges: Iterable[Challenge]) -> str:
    """Return the scope that the request needs (RFC 6750 section 3)."""
    scopes = (challenge.params.get("scope", "") for challenge in challenges if challenge.scheme == "bearer")
    return next((scope for scope in scopes if _SCOPES.fullmatch(scope)), "")
