"""The page of the admin server, from its paths and from what describes the fields of `/status`."""

from collections.abc import Iterator, Mapping
from typing import cast

from sidecar.admin.events_stream import LiveEvents
from sidecar.admin.live_finding import LiveFinding, Scope
from sidecar.admin.ports import AdminState, Readiness
from sidecar.admin.server import Page, pages
from sidecar.app import status
from sidecar.cache.token_status import TokenStatus
from sidecar.core.health import Health
from tests.support.programs.pages import docstrings
from tests.support.programs.pages.markdown import code, page, prose, table

DOCUMENTED: Mapping[str, tuple[type, ...]] = {
    "ready": (Readiness,),
    "findings[]": (LiveFinding, Scope),
    "tokens[]": (TokenStatus,),
    "health[]": (Health,),
}
"""Members of `/status` whose fields are those of classes."""
SECTIONS = {
    "findings[]": "Findings",
    "routes[]": "Routes",
    "tokens[]": "Tokens",
    "health[]": "Health",
    "events[]": "Events",
}
INTRODUCTION = prose(
    """The admin server listens on [`admin.listen`](configuration.md#admin). No response contains a secret.""",
    """Probes and `/metrics` accept any `Host`. The other paths require an address, a loopback name or a name in
    `admin.hosts`, so that no web page can read them by DNS rebinding. Another name gets 421. On a Unix socket any
    `Host` is accepted.""",
)
STATUS = prose(
    """`/status` returns up to 200 tokens: missing ones first, then those used last. `/status?tenant=acme` and
    `/status?service=ledger` select tokens; both can be combined. Points in time are seconds since the epoch.""",
)


def text() -> str:
    """Return the page."""
    parts = []
    for member, heading in SECTIONS.items():
        rows = [(code(path), meaning) for path, meaning in fields().items() if path.startswith(member)]
        parts += [f"### {heading}", table(("Field", "Meaning"), rows)]
    top = [(code(path), meaning) for path, meaning in fields().items() if "[]" not in path]
    return page(
        "Status API",
        "the admin server",
        INTRODUCTION,
        "## Paths",
        table(("Path", "Methods", "Returns"), _paths()),
        "## `/status`",
        STATUS,
        table(("Field", "Meaning"), top),
        *parts,
    )


def fields() -> dict[str, str]:
    """Return what each field of `/status` means, by its path."""
    documented = {
        f"{member}.{name}": meaning
        for member, owners in DOCUMENTED.items()
        for owner in owners
        for name, meaning in docstrings.of_fields(owner).items()
        if name != "scope"
    }
    return {**status.FIELDS, **documented}


def paths() -> dict[str, Page]:
    """Return what is at each path."""
    state = cast(AdminState, None)  # only its paths are read
    return pages(state, LiveEvents(state))


def _paths() -> Iterator[tuple[str, str, str]]:
    for path, each in paths().items():
        yield code(path), " ".join(map(code, each.methods)), each.meaning
