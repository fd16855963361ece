"""The page of other programs' messages, from the module that reads them."""

import re
from collections.abc import Callable, Mapping
from typing import get_args

from sidecar.fleet import foreign_messages
from sidecar.fleet.settings import Dialect
from tests.support.programs.pages.markdown import code, page, prose, table

INTRODUCTION = prose(
    """Other programs can bust tokens by a message on a Redis channel that
    [`busts.listen`](configuration.md#busts) names. A *dialect* is the format of the messages on that channel.""",
    f"""A message longer than {foreign_messages.MAX_SIZE >> 10} KiB, or one that is not in the channel's dialect, has
    no effect. It is counted in `sidecar_busts_rejected_total` and logged as `bust_rejected`.""",
)


def text() -> str:
    """Return the page."""
    documented = foreign_messages.__doc__ or ""
    described = dict(re.findall(r"^`([^`]+)`: (.*?)(?:\n\n|\Z)", documented, re.DOTALL | re.MULTILINE))
    parts = []
    for dialect in get_args(Dialect):
        meaning = described[dialect]
        parts += [f"## `{dialect}`", prose(f"{meaning[0].upper()}{meaning[1:]}"), TABLES[dialect]()]
    return page("Dialects", "`sidecar/fleet/foreign_messages.py`", INTRODUCTION, *parts)


def _gateway() -> str:
    rows = [
        (code(f"{kind}:ID"), " or ".join(code(f"{label}=ID") for label in labels))
        for kind, labels in foreign_messages.GATEWAY_KINDS.items()
    ]
    rows.append((code("role:EMAIL:TEAM"), "`user=EMAIL` and `team=TEAM`"))
    return table(("Message", "Drops tokens with"), rows)


def _lerian() -> str:
    return table(
        ("Message", "Drops tokens with"),
        [(code(foreign_messages.ROTATED), "`tenant=TENANT_ID`, and `service=SERVICE` if there is a path")],
    )


TABLES: Mapping[Dialect, Callable[[], str]] = {"mcp-gateway": _gateway, "lerian": _lerian}
