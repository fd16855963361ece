"""Labels that no token of this pod can carry, by its configuration: of a bust, or of a status.

Only tenants and services follow from the configuration. Users, token ids, teams and roles come with tokens. Other pods
may have another configuration, and may hold tokens of a tenant that was just removed from this one.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from sidecar.config.settings import Config
from sidecar.core.errors import NothingToBust
from sidecar.core.foreign_text import nearest
from sidecar.core.labels import Labels, describe
from sidecar.core.tenants import canonical
from sidecar.system import threads

MOST_LISTED = 5
"""Names that are listed if none of them is similar."""
_SPELLING = "check the spelling"


def check(selector: Labels) -> None:
    """Raise NothingToBust if no token of any pod can carry one of these labels."""
    fault = _malformed(selector)
    if fault:
        raise NothingToBust(f"cannot bust {fault}")


def _malformed(selector: Labels) -> str:
    tenant = dict(selector).get("tenant")
    try:
        if tenant is not None:
            canonical(tenant)
    except ValueError as error:
        return f"tenant={tenant}: it is not a tenant id; {error}"
    return ""


async def warnings(config: Config, selector: Labels) -> Sequence[str]:
    """Return `unknown`, found beside the event loop; nothing if no thread can start in time."""
    with suppress(OSError):
        return await threads.beside("labels", partial(unknown, config, selector))
    return ()


def unknown(config: Config, selector: Labels) -> Sequence[str]:
    """Return each label that the configuration does not have, with what was probably meant."""
    labels = dict(selector)
    rules = (("tenant", _tenant), ("service", _service))
    faults = {name: rule(config, labels[name]) for name, rule in rules if name in labels}
    return [f"{name}={labels[name]}: {fault}" for name, fault in faults.items() if fault]


def not_found(config: Config, selector: Labels, tenants: Iterable[str]) -> str:
    """Return why this pod has no token with these labels, and what to do; it has tokens of these `tenants`."""
    malformed = _malformed(selector)
    faults = [malformed] if malformed else unknown(config, selector)
    if faults:
        return "; ".join(f"this pod cannot have a token with {fault}" for fault in faults)
    tenant, known = dict(selector).get("tenant", ""), set(tenants)
    meant = nearest(tenant, known) if tenant and tenant not in known else ""
    remedy = f"did you mean {meant}?" if meant else "it fetches one for the first request that needs it"
    return f"this pod has no token with {describe(selector)}; {remedy}"


def _tenant(config: Config, tenant: str) -> str:
    """Return why no token of this pod can be this tenant's; "" if one can."""
    rule = config.tenants
    if rule is None:
        known = {token.tenant for token in config.tokens.values()} - {""}
        if not known:
            return "this pod's configuration has no tenants"
        if tenant in known:
            return ""
        return f"this pod's configuration has no such tenant; {_proposal(tenant, known)}"
    if not rule.allow or rule.serves(tenant):
        return ""
    return f"this pod's tenant.allow does not contain it; {_proposal(tenant, rule.allow)}"


def _service(config: Config, service: str) -> str:
    """Return why this pod obtains no token with credentials of this service; "" if it may."""
    known = {token.service for token in config.tokens.values()}
    if not known:
        return "this pod's configuration requests no tokens"
    if service in known:
        return ""
    other = next(_other_names(config, service), "")
    return f"this pod's configuration has no such service; {other or _proposal(service, known)}"


def _other_names(config: Config, name: str) -> Iterator[str]:
    """Yield the services of entries that have this name, if it is itself no service."""
    for token in config.tokens.values():
        for kind, names in (
            ("token", [token.name]),
            ("credentials", [token.credentials]),
            ("scope", token.scope),
        ):
            if name in names:
                yield f"did you mean {token.service}, the service of {kind} {name}?"
    for route in config.routes:
        if route.name == name and route.token is not None:
            yield f"did you mean {route.token.service}, the service of route {name}?"


def _proposal(name: str, known: Collection[str]) -> str:
    meant = nearest(name, known)
    if meant:
        return f"did you mean {meant}?"
    return f"it has {', '.join(sorted(known))}" if len(known) <= MOST_LISTED else _SPELLING
