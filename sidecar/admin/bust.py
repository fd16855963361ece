"""`POST /bust`: an operator revokes tokens. `POST /allowed` checks the operator's token."""

from sidecar.admin.connection import Connection
from sidecar.admin.messages import Answer, Head, document, problem
from sidecar.admin.ports import AdminState
from sidecar.cache.refused_tokens import BustFailure
from sidecar.core.cross_site import guard_admin
from sidecar.core.errors import NothingToBust, RequestRefused
from sidecar.core.foreign_text import parse_object
from sidecar.core.labels import Labels, describe, parse_selector
from sidecar.core.secret import Secret
from sidecar.telemetry.words import BustStep

MAX_BODY = 16_384
"""Limit: body of a `POST` to the admin server (bytes). Beyond: 413."""
_FAILED: dict[BustStep, str] = {
    "publish": "dropped in this pod only: Redis did not publish the bust ({}); try again",
    "record": "sent to the connected pods, but Redis did not record the bust ({}), so that pods which connect later"
    " miss it; try again",
}


async def bust(state: AdminState, connection: Connection, head: Head) -> Answer:
    """Answer how many tokens each pod dropped, or why nothing was bust."""
    objection = await _objection(state, head)
    if objection is not None:
        return objection
    if any(coding.lower() != "identity" for coding in head.values("content-encoding")):
        return problem(415, "send the body without a Content-Encoding", **{"Accept-Encoding": "identity"})
    if head.length is None or head.length > MAX_BODY:
        return problem(413, f"send a body of at most {MAX_BODY} bytes, with its Content-Length")
    try:
        selector = _chosen(await connection.read_body(head.length))
    except ValueError as error:
        return problem(400, str(error))
    return await _outcome(state, selector)


async def check_token(state: AdminState, _: Connection, head: Head) -> Answer:
    """Answer whether the request has the token for busts; bust nothing."""
    return await _objection(state, head) or document(200, {"accepted": True})


async def _outcome(state: AdminState, selector: Labels) -> Answer:
    try:
        outcome = await state.bust(selector)
    except NothingToBust as error:
        return problem(422, str(error))
    # Afterwards, so that the bust does not wait for them.
    warnings = list(await state.unknown_labels(selector))
    if isinstance(outcome, BustFailure):
        detail = _FAILED[outcome.step].format(outcome.error)
        return problem(503, "; ".join([detail, *warnings]), **{"Retry-After": "2"})
    return document(
        200,
        {
            "select": describe(selector),
            "pods": outcome.pods,
            "dropped": outcome.dropped,
            "unanswered": outcome.unanswered,
            "summary": outcome.summary,
            "warnings": warnings,
        },
    )


async def _objection(state: AdminState, head: Head) -> Answer | None:
    """Return the answer to a client that may not bust; None if it may."""
    try:
        guard_admin(head.value("sec-fetch-site"), head.value("origin"), head.value("host") or "")
    except RequestRefused as refusal:
        return problem(refusal.status, str(refusal))
    token = await state.operators_token()
    if token is None:
        return problem(403, "busting is disabled: no readable admin.token")
    if not _shows(head, token):
        return problem(401, "send the admin.token as a bearer token", **{"WWW-Authenticate": "Bearer"})
    return None


def _shows(head: Head, token: Secret) -> bool:
    """Return, in constant time, whether the request has one Authorization field with the token."""
    fields = head.values("authorization")
    scheme, _, shown = fields[0].partition(" ") if len(fields) == 1 else ("", "", "")
    return shown.isascii() and Secret(shown.strip(" ")) == token and scheme.lower() == "bearer"


def _chosen(body: bytes) -> Labels:
    """Parse `{"tenant": "acme", …}` or `{"all": true}`. Raises ValueError."""
    members = parse_object(body)
    if not members:
        raise ValueError('write a JSON object: labels and their values, or {"all": true}')
    if "all" not in members:
        return parse_selector(members)
    if members["all"] is not True or len(members) > 1:
        raise ValueError("`all` must be the only member, and its value true")
    return frozenset()
