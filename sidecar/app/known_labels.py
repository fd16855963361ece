"""Which labels no token can carry under a configuration: a bust by them would drop nothing, a status show nothing.

Only tenants and services follow from the configuration. Users, token ids, teams and roles come with tokens.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from sidecar.config.settings import Config
from sidecar.core.errors import NothingToBust
from sidecar.core.foreign_text import nearest
from sidecar.core.labels import Labels, describe
from sidecar.core.tenants import canonical

MOST_COMPARED = 1000
"""Names that are compared with an unknown one to find a similar name: some 50 µs each."""
MOST_LISTED = 5
"""Names that are listed if none of them is similar."""
_ELSEWHERE = "check the spelling, or use a pod whose configuration has it"


def check(config: Config, selector: Labels) -> None:
    """Raise NothingToBust if the configuration rules one of these labels out."""
    faults = [f"cannot bust {fault}" for fault in _faults(config, dict(selector))]
    if faults:
        raise NothingToBust("; ".join(faults))


def not_found(config: Config, selector: Labels, tenants: Iterable[str]) -> str:
    """Return why this pod has no token with these labels, and what to do; it has tokens of these `tenants`."""
    faults = list(_faults(config, dict(selector)))
    if faults:
        return "; ".join(f"this pod cannot have a token with {fault}" for fault in faults)
    tenant, known = dict(selector).get("tenant", ""), set(islice(tenants, MOST_COMPARED))
    meant = nearest(tenant, known) if tenant and tenant not in known else ""
    remedy = f"did you mean {meant}?" if meant else "it fetches one for the first request that needs it"
    return f"this pod has no token with {describe(selector)}; {remedy}"


def _faults(config: Config, labels: dict[str, str]) -> Iterator[str]:
    for name, rule in (("tenant", _tenant), ("service", _service)):
        fault = rule(config, labels[name]) if name in labels else ""
        if fault:
            yield f"{name}={labels[name]}: {fault}"


def _tenant(config: Config, tenant: str) -> str:
    """Return why no token can be this tenant's, and what to do; "" if one can."""
    rule = config.tenants
    if rule is None:
        known = {token.tenant for token in config.tokens.values()} - {""}
        if not known:
            return "the configuration has no tenants; select by other labels"
        return "" if tenant in known else f"the configuration has no such tenant; {_proposal(tenant, known)}"
    if rule.allow:
        return (
            ""
            if rule.serves(tenant)
            else f"tenant.allow does not contain it; {_proposal(tenant, rule.allow)}"
        )
    try:
        canonical(tenant)
    except ValueError as error:
        return f"it is not a tenant id; {error}"
    return ""


def _service(config: Config, service: str) -> str:
    """Return why no token is obtained with credentials of this service, and what to do; "" if one can be."""
    known = {token.service for token in config.tokens.values()}
    if not known:
        return f"the configuration requests no tokens; {_ELSEWHERE}"
    if service in known:
        return ""
    other = next(_other_names(config, service), "")
    return f"the configuration has no such service; {other or _proposal(service, known)}"


def _other_names(config: Config, name: str) -> Iterator[str]:
    """Yield the services of entries that have this name, if it is itself no service."""
    for token in config.tokens.values():
        for kind, names in (
            ("token", [token.name]),
            ("credentials", [token.credentials]),
            ("scope", token.scope),
        ):
            if name in names:
                yield f"use {token.service}, the service of {kind} {name}"
    for route in config.routes:
        if route.name == name and route.token is not None:
            yield f"use {route.token.service}, the service of route {name}"


def _proposal(name: str, known: Collection[str]) -> str:
    likely = sorted(known, key=lambda each: (each[:2] != name[:2], each))
    meant = nearest(name, likely[:MOST_COMPARED])
    if meant:
        return f"did you mean {meant}?"
    return f"use {' or '.join(sorted(known))}" if len(known) <= MOST_LISTED else _ELSEWHERE
