"""Labels of tokens and credentials, by which busts select them."""

from collections.abc import Mapping

from sidecar.core.tenants import canonical

Labels = frozenset[tuple[str, str]]
"""The labels of a token, such as `("user", "alice")`. It may have several of one name: teams, roles.

As a selector: the labels that a selected token must carry, every one exactly. No labels select all tokens.
"""

LABELS = ("tenant", "service", "user", "jti", "team", "role")
MAX_VALUE = 256
"""Characters of a label's value."""


def parse_selector(labels: Mapping[str, object]) -> Labels:
    """Parse a selector from outside. Raises ValueError, which names the invalid label."""
    for name, value in labels.items():
        if name not in LABELS:
            raise ValueError(f"{name!r} is not a label; labels are {', '.join(LABELS)}")
        if not isinstance(value, str) or not is_value(value):
            raise ValueError(f"{name} requires 1 to {MAX_VALUE} printable characters")
    return frozenset((name, _in_one_form(name, str(value))) for name, value in labels.items())


def _in_one_form(name: str, value: str) -> str:
    """Return the value as tokens carry it: a tenant's UUID in small letters."""
    try:
        return canonical(value) if name == "tenant" else value
    except ValueError:
        return value


def is_value(text: str) -> bool:
    """Return whether this can be a label's value: not empty, not long, nothing in it that does not print."""
    return 0 < len(text) <= MAX_VALUE and text.isprintable()


def label(name: str, value: str) -> Labels:
    """Return the label as a set, which is empty for a value that no selector can have."""
    return frozenset({(name, value)}) if is_value(value) else frozenset()


def describe(selector: Labels) -> str:
    """Write the selector for people: `tenant=acme service=ledger`, or `all`."""
    place = {name: order for order, name in enumerate(LABELS)}
    pairs = sorted(selector, key=lambda pair: (place[pair[0]], pair[1]))
    return " ".join(f"{name}={value}" for name, value in pairs) or "all"
