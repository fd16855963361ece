"""Tenants that requests name and the configuration does not serve: counted by name, at most one event a minute.

Any client can invent names, so the number counted by name is bounded, and no name is a label of a metric.
"""

import re

from sidecar.core.ports import Clock
from sidecar.core.rate_limit import Digest
from sidecar.oauth.refusals.server_text import clean
from sidecar.telemetry.events import UnknownTenantNamed
from sidecar.telemetry.ports import Journal

LONGEST = 64
"""Characters of a name that are shown; a tenant's id has no more."""
MOST = 100
"""Names counted separately between two events; the others share OTHER."""
OTHER = "_other"
_READ = 200
"""Bytes of a name that are read."""
_LAST_WORD = re.compile(r"[\w~+=%.-]*$")
"""A token that was cut at this limit might no longer look like one."""


def shown(named: bytes) -> str:
    """Return the name as it may be logged: on one line, bounded, and without what looks like a token or a key."""
    read = named[:_READ].decode(errors="replace")
    text = clean(read if len(named) <= _READ else _LAST_WORD.sub("\N{HORIZONTAL ELLIPSIS}", read))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


class UnknownTenants:
    """Emit an event for the first request at once, and for all later ones one a minute."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._journal = journal
        self._digest: Digest[tuple[str, str]] = Digest(clock, self._emit)
        self.run = self._digest.run
        """Emit each event when it is due."""

    def add(self, route: str, tenant: str) -> None:
        """Count a request for this tenant on the matched `route`."""
        kinds = self._digest.unreported
        known = (route, tenant) in kinds or len(kinds) < MOST
        self._digest.add((route, tenant) if known else (route, OTHER))

    def _emit(self, kind: tuple[str, str], count: int) -> None:
        route, tenant = kind
        self._journal.tell(UnknownTenantNamed(route, tenant, count))
