"""Requests and limits of a container: what Kubernetes would refuse only when a pod is created."""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

QUANTITY: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?"
"""A quantity as Kubernetes writes it, such as 500m, 64Mi or 1e3."""

_SHARED = ("cpu", "memory", "ephemeral-storage")
"""Resources of which a container may use more than it requests."""
_FIXED = re.compile(r"hugepages-[0-9]+[KMG]i|[a-z0-9.-]+/[A-Za-z0-9._-]+")
_FACTORS: Mapping[str, Fraction] = {
    **{suffix: Fraction(10) ** (3 * power) for power, suffix in enumerate("num", start=-3)},
    **{suffix: Fraction(10) ** (3 * power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


def faults(resources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Return what Kubernetes would refuse about requests and limits, whose quantities have the form of QUANTITY."""
    requests, limits = (resources.get(kind, {}) for kind in ("requests", "limits"))
    for name in dict.fromkeys((*requests, *limits)):
        if name in _SHARED:
            yield from _of_shared(name, requests, limits)
        elif _FIXED.fullmatch(name):
            yield from _of_fixed(name, requests, limits)
        else:
            yield (
                f"{name}: containers have no such resource; write {', '.join(_SHARED)}, hugepages-SIZE or DOMAIN/NAME"
            )


def amount(quantity: str) -> Fraction:
    """Return the number that a quantity stands for."""
    number = quantity.rstrip("numkKMGTPEi")
    return Fraction(number) * _FACTORS.get(quantity[len(number) :], Fraction(1))


def _of_shared(name: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> Iterator[str]:
    if name in requests and name in limits and amount(requests[name]) > amount(limits[name]):
        yield f"{name}: the request {requests[name]} exceeds the limit {limits[name]}; raise the limit"


def _of_fixed(name: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> Iterator[str]:
    if name not in limits:
        yield f"{name}: the request {requests[name]} requires the same limit; set it"
    elif name in requests and amount(requests[name]) != amount(limits[name]):
        yield f"{name}: the request {requests[name]} differs from the limit {limits[name]}; set the same"
    elif amount(limits[name]).denominator != 1:
        yield f"{name}: {limits[name]} is not a whole number; write a whole number"
