"""What the sidecar would do with a request, by the same rules as the proxy; nothing is sent."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from sidecar.config.settings import Config
from sidecar.core.errors import RequestRefused
from sidecar.core.ports import Clock
from sidecar.core.problem import render
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tenants import filled
from sidecar.credentials.model import (
    AwsSecretCredentials,
    Credentials,
    FileCredentials,
    FixedCredentials,
    SecretFileCredentials,
    VariableCredentials,
)
from sidecar.fleet.membership import membership
from sidecar.http1.limits import MAX_HEAD
from sidecar.http1.message import Request, early_fault, parse_request
from sidecar.http1.next_hop import names_itself, relayed_request
from sidecar.oauth import jwt_rules, request_form
from sidecar.oauth.signing_keys import Verification
from sidecar.oauth.token import Presented, TokenRequest
from sidecar.proxy.callers import CallersByToken
from sidecar.proxy.challenge import Challenge, Verdict, judge
from sidecar.proxy.router import Router
from sidecar.proxy.routes import Route
from sidecar.proxy.table import Table
from sidecar.proxy.tenants import Tenants
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.fan_out import FanOut
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.words import ISSUER_METADATA

_CHALLENGES = (
    ('401 with error="invalid_token"', 401, (Challenge("bearer", {"error": "invalid_token"}),)),
    ("401 with another error", 401, (Challenge("bearer", {"error": "insufficient_scope"}),)),
    ("401 without an error", 401, ()),
    ("401 with other schemes only", 401, (Challenge("basic"),)),
)
_NOWHERE = "/\0"
"""A prefix that no target can have."""
_Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RouteTried:
    """One route, and why the request takes it or not."""

    name: str
    match: str
    verdict: str


@dataclass(frozen=True, slots=True)
class TokenAsked:
    """The token request; a value that would be read or signed appears as `<word>`."""

    name: str
    service: str
    tenant: str
    key: str
    """In Redis, and in memory without the prefix."""
    endpoint: str
    client_auth: str
    credentials: str
    place: str
    """The file or variable with the credentials' secret; "" if that is elsewhere."""
    form: _Fields
    subject: str
    actor: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The request that the upstream gets."""

    upstream: str
    method: str
    target: str
    """Path without the query, which is sent unchanged."""
    fields: _Fields
    """Each field's name, and what happens to it."""
    connections: str
    """Owner of its connection; "" for a shared one."""
    protocol: str
    """`http1` or `http2`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen; `answer` is a problem of our own if the request is not sent."""

    routes: Sequence[RouteTried]
    route: str
    token: TokenAsked | None
    sent: Sent | None
    refusals: _Fields
    """Each answer of the upstream's that affects tokens, and the effect."""
    answer: dict[str, object] | None


class WithoutKeys:
    """Check all of a caller's token but its signature, because that would require fetching keys."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def verify(self, token: str, rule: Verification) -> None:
        jwt_rules.signed(token, rule)
        jwt_rules.judge(token, rule, self._clock.wall())


async def explain(config: Config, head: bytes) -> Explanation:
    """Return what a request with this head would cause. Raises ConfigError if an encryption key cannot be read."""
    clock = SystemClock()
    member = membership(
        config.redis,
        config.busts,
        config.cache,
        clock=clock,
        randomness=SystemRandomness(),
        journal=FanOut(),
    )
    callers = CallersByToken(clock, fingerprint_key=member.fingerprint_key)
    callers.set_verifier(WithoutKeys(clock))
    tenants = Tenants(config.tenants) if config.tenants is not None else None
    table = Table(Router(config.routes, config.listen), {}, tenants)
    record = RequestRecord(clock.now(), "", "", "", "")
    routes: Sequence[RouteTried] = ()
    try:
        if len(head.removesuffix(b"\r\n\r\n")) > MAX_HEAD and (fault := early_fault(head)) is not None:
            raise fault
        request = parse_request(head)
        try:
            route, target = table.match(request, record)
        finally:
            routes = tuple(
                _tried(config, candidate, request, tenants, record.route) for candidate in config.routes
            )
        brought = route.token.brought if route.token is not None else frozenset[bytes]()
        if brought:
            route = await callers.route(route, request.value, tenants)
        sent = _sent(request, route, target, brought)
    except RequestRefused as refusal:
        looked = bool(record.route) or refusal.status == 404
        problem = json.loads(render(refusal, "").body)
        return Explanation(routes if looked else (), record.route, None, None, (), problem)
    token = asked(config, route.token) if route.token is not None else None
    return Explanation(routes, route.name, token, sent, tuple(refusals(route)), None)


def _tried(
    config: Config, route: Route, request: Request, tenants: Tenants | None, chosen: str
) -> RouteTried:
    def matches(variant: Route) -> bool:
        """Try the route as if the others matched nothing; their hosts are admitted all the same."""
        others = [replace(other, prefix=_NOWHERE) for other in config.routes if other is not route]
        record = RequestRecord(0.0, "", "", "", "")
        with suppress(RequestRefused):
            Table(Router([variant, *others], config.listen), {}, tenants).match(request, record)
        return record.route == route.name

    if route.name == chosen:
        verdict = "matches"
    elif matches(route):
        verdict = f"matches too, but {chosen} is more specific"
    elif matches(replace(route, host="")):
        verdict = "another host"
    else:
        verdict = "another path"
    return RouteTried(route.name, f"{route.host}{route.prefix}", verdict)


def asked(config: Config, request: TokenRequest) -> TokenAsked:
    """Return the token request as it is shown."""
    match config.credentials[request.credentials]:
        case FixedCredentials(client_id=client_id):
            place = ""
        case SecretFileCredentials(client_id=client_id, client_secret_file=place):
            pass
        case VariableCredentials(client_id=client_id, variable=place):
            pass
        case FileCredentials(file=place):
            client_id = "<client id>"
        case AwsSecretCredentials():
            client_id, place = "<client id>", ""
    credentials = Credentials(client_id, Secret("<client secret>"), 0.0)
    carried = request_form.Carried("<client assertion>", "<subject>", "<actor>")
    _, form = request_form.encode(request, credentials, carried)
    prefix = config.redis.key_prefix if config.redis is not None else ""
    ours = {name for name, _ in request.parameters}
    return TokenAsked(
        name=request.name,
        service=request.service,
        tenant=request.tenant,
        key=prefix + request.key,
        endpoint=request.token_endpoint or f"from the {ISSUER_METADATA} of {request.issuer}",
        client_auth=request.client_auth,
        credentials=request.credentials,
        place=filled(place, request.tenant),
        form=tuple((name, "<as configured>" if name in ours else value) for name, value in parse_qsl(form)),
        subject=_presented(request.subject),
        actor=_presented(request.actor),
    )


def _presented(presented: Presented | None) -> str:
    if presented is None:
        return ""
    where = presented.where
    return f"the token in {where.path}" if isinstance(where, SecretFile) else f"fp {presented.identity[:12]}"


def _sent(request: Request, route: Route, target: bytes, brought: frozenset[bytes]) -> Sent:
    """Make the head for the upstream, and note what happens to each field. Raises RequestRefused."""
    origin = route.origin
    authorization = b"Bearer <token>" if route.token is not None else None
    head = relayed_request(
        request, target, origin.authority, authorization, route.hidden, origin=origin.serialized
    )
    onward = [line.partition(b": ") for line in head.split(b"\r\n")[1:-2]]
    kept = [name.lower() for name, _, _ in onward]
    fields = [(":authority" if origin.http2 else "Host", origin.authority.decode())]
    for line in request.block.split(b"\r\n")[1:]:
        name = line.partition(b":")[0]
        if name.lower() != b"host":
            fate = _fate(line, kept, brought, route)
            if name.lower() == b"origin" and fate == "relayed" and names_itself(request):
                fate = f"replaced by the upstream's: {origin.serialized.decode()}"
            fields.append((name.decode(), fate))
    if authorization is not None:
        fields.append(("Authorization", "Bearer <token>"))
    path, mark, _ = target.decode().partition("?")
    return Sent(
        upstream=f"{origin.scheme}://{origin.authority.decode()}",
        method=request.method.decode(),
        target=path + (mark and "?…"),
        fields=tuple(fields),
        connections=f"of this {route.isolate} only" if route.owner else "",
        protocol="http2" if origin.http2 else "http1",
    )


def _fate(line: bytes, kept: list[bytes], brought: frozenset[bytes], route: Route) -> str:
    name = line.partition(b":")[0].lower()
    if name in brought:
        return "left out: the token request's subject"
    hidden = route.hidden.head if route.hidden is not None else None
    if hidden is not None and hidden.fullmatch(b"\r\n" + line):
        return "left out: an upstream could read it as a field that the sidecar reads"
    if name == b"authorization" and route.token is not None:
        return "left out: the sidecar's takes its place"
    return "relayed" if name in kept else "left out: for this connection only"


def refusals(route: Route) -> list[tuple[str, str]]:
    """Return the upstream's answers that affect tokens, and the effect of each."""
    redirects = [("Location to the upstream", "rewritten to lead here")] if route.rewrite_location else []
    if route.token is None:
        return [("any", "relayed: the route has no token"), *redirects]
    others = [(f"{status}", status, ()) for status in sorted(route.refused_statuses - {401})]
    return [
        (
            answer,
            "new token, sent once more"
            if judge(status, challenges, on_401=route.on_401, refused_statuses=route.refused_statuses)
            is Verdict.RENEW
            else "relayed",
        )
        for answer, status, challenges in (*_CHALLENGES, *others)
    ] + redirects
