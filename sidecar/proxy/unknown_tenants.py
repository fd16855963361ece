"""Tenants that requests name and the configuration does not serve: counted by name, at most one event a minute.

Any client can invent names, so the number counted by name is bounded, and no name is a label of a metric.
"""

from sidecar.core.errors import UnknownTenant
from sidecar.core.ports import Clock
from sidecar.core.rate_limit import Digest
from sidecar.core.tenants import canonical, split_path
from sidecar.oauth.refusals.server_text import clean
from sidecar.telemetry.events import UnknownTenantNamed
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.request_record import RequestRecord

MOST = 100
"""Names counted separately between two events; the others share OTHER."""
OTHER = "_other"
"""Name of the others. No tenant id begins with an underscore."""
NOT_SHOWN = "[not shown: it may be a secret]"
"""In place of a name that is no tenant id, or looks like a token or a key. No tenant id contains brackets."""


def shown(named: bytes) -> str:
    """Return the name as logs, traces, status and page may show it: a tenant id as it was written, else NOT_SHOWN.

    A client may send its token as the tenant, in part or with other text.
    """
    try:
        name = named.decode("ascii")
        canonical(name)
    except ValueError:
        return NOT_SHOWN
    joined = name.replace(".", "-")  # so that a key in short pieces is one word
    return name if clean(joined) == joined else NOT_SHOWN


def path_shown(path: str, tenant: str) -> str:
    """Return a path that names an unknown tenant as it may be shown, with the tenant as `shown` returned it."""
    if tenant != NOT_SHOWN:
        return path
    return f"/t/{NOT_SHOWN}{split_path(path.encode())[1].decode()}"


class UnknownTenants:
    """Emit an event for the first request at once, and for all later ones one a minute."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._journal = journal
        self._digest: Digest[tuple[str, str]] = Digest(clock, self._emit)
        self.run = self._digest.run
        """Emit each event when it is due."""

    def note(self, error: UnknownTenant, record: RequestRecord) -> None:
        """Count a request that failed so, and write in its record what may be shown of the tenant."""
        record.tenant = error.tenant
        if error.in_path:
            record.path = path_shown(record.path, error.tenant)
        self.add(record.route, error.tenant)

    def add(self, route: str, tenant: str) -> None:
        """Count a request for this tenant on the matched `route`."""
        kinds = self._digest.unreported
        known = (route, tenant) in kinds or len(kinds) < MOST
        self._digest.add((route, tenant) if known else (route, OTHER))

    def _emit(self, kind: tuple[str, str], count: int) -> None:
        route, tenant = kind
        self._journal.tell(UnknownTenantNamed(route, tenant, count))
