"""What the token API would do with a call, by its own rules; nothing is sent."""

import json
import re

from sidecar.config.settings import Config
from sidecar.core.addresses import TcpAddress, is_loopback
from sidecar.core.addresses import listen as read_listen
from sidecar.core.errors import RequestRefused
from sidecar.core.problem import render
from sidecar.diagnostics.explain import Explanation, RouteTried, WithoutKeys, asked, refusals
from sidecar.fleet.membership import membership
from sidecar.http1.message import Request, parse_request
from sidecar.proxy.callers import CallersByToken
from sidecar.proxy.routes import Route
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.fan_out import FanOut
from sidecar.token_api.calls import Call, check_query, read_call
from sidecar.token_api.entries import Served
from sidecar.token_api.guards import admit
from sidecar.token_api.server import served

_AUTHORITY = re.compile(r"http://(?:\[([^\]/]*)\]|([^:/]*)):(\d{1,5})(?:[/?].*)?", re.IGNORECASE)
_ANSWERS = {
    "relayed": "409: no other token helps",
    "new token, sent once more": "bust; the answer is a new token",
}


def is_call(config: Config, url: str) -> bool:
    """Return whether the URL leads to the address of the token API."""
    match = _AUTHORITY.fullmatch(url)
    if match is None or not config.token_api.listen:
        return False
    address = read_listen(config.token_api.listen)
    host = match[1] or match[2]
    return isinstance(address, TcpAddress) and is_loopback(host) and int(match[3]) == address.port


async def explain_call(config: Config, head: bytes) -> Explanation:
    """Return what a call with this head would cause. Raises ConfigError if an encryption key cannot be read."""
    api = served(config)
    tried = tuple(
        RouteTried(entry.name, f"/token/{name}", "handed out") for name, entry in api.entries.items()
    )
    try:
        request = parse_request(head)
        call = read_call(request.target, tenant_in_path=api.tenant_in_path)
        admit(call, request, unix=api.unix, authorize=api.authorize)
        check_query(call)
        entry = api.entry(call.name)
        route = await _for_caller(config, api, entry, call, request)
    except RequestRefused as refusal:
        return Explanation(tried, "", None, None, (), json.loads(render(refusal, "").body))
    token = asked(config, route.token) if route.token is not None else None
    chosen = [
        RouteTried(each.name, each.match, "matches" if each.name == entry.name else each.verdict)
        for each in tried
    ]
    reported = tuple((answer, _ANSWERS.get(what, what)) for answer, what in refusals(route))
    return Explanation(chosen, entry.name, token, None, reported, None)


async def _for_caller(config: Config, api: Served, entry: Route, call: Call, request: Request) -> Route:
    route = api.of_tenant(entry, call, request)
    if route.token is None or not route.token.brought:
        return route
    clock = SystemClock()
    fleet = (config.redis, config.busts, config.cache)
    member = membership(*fleet, clock=clock, randomness=SystemRandomness(), journal=FanOut())
    callers = CallersByToken(clock, fingerprint_key=member.fingerprint_key)
    callers.set_verifier(WithoutKeys(clock))
    return await callers.route(route, request.value, api.tenants)
