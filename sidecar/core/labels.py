"""What tokens and credentials carry to be selected by."""

from collections.abc import Mapping

from sidecar.core.tenants import canonical

Labels = frozenset[tuple[str, str]]
"""What a token can be selected by, as `("user", "alice")`. It may have several of one name: teams, roles.

As a selector: the labels a token must carry, every one of them exactly, to be meant. No labels: all tokens are.
"""

LABELS = ("tenant", "service", "user", "jti", "team", "role")
MAX_VALUE = 256
"""Characters of a label's value."""


def parse_selector(labels: Mapping[str, object]) -> Labels:
    """Read a selector from outside. Raises ValueError, saying which label is not one."""
    for name, value in labels.items():
        if name not in LABELS:
            raise ValueError(f"{name!r} is not a label; labels are {', '.join(LABELS)}")
        if not isinstance(value, str) or not is_value(value):
            raise ValueError(f"{name} requires 1 to {MAX_VALUE} printable characters")
    return frozenset((name, _in_one_form(name, str(value))) for name, value in labels.items())


def _in_one_form(name: str, value: str) -> str:
    """Return the value as tokens carry it: a tenant's UUID is in small letters there."""
    try:
        return canonical(value) if name == "tenant" else value
    except ValueError:
        return value


def is_value(text: str) -> bool:
    """Tell whether this can be a label's value: not empty, not long, nothing in it that does not print."""
    return 0 < len(text) <= MAX_VALUE and text.isprintable()


def label(name: str, value: str) -> Labels:
    """Make the label, none of a value that no selector could have."""
    return frozenset({(name, value)}) if is_value(value) else frozenset()


def describe(selector: Labels) -> str:
    """Write the selector for people: `tenant=acme service=ledger`, or `all`."""
    place = {name: order for order, name in enumerate(LABELS)}
    pairs = sorted(selector, key=lambda pair: (place[pair[0]], pair[1]))
    return " ".join(f"{name}={value}" for name, value in pairs) or "all"
