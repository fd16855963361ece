"""Which tenants have their own series; the others share one, because clients choose the names."""

from sidecar.core.tenants import TenantRule

MOST_TENANTS = 100
"""Limit: tenants with a label of their own in metrics (number). Beyond: further tenants share `_other`."""
OTHER = "_other"


class TenantLabels:
    """Bound the values of the label `tenant`. Without tenants it is empty."""

    def __init__(self) -> None:
        self._named: set[str] = set()
        self.foreseen: tuple[str, ...] = ()
        """Labels that have series before the first request."""

    def configure(self, rule: TenantRule | None) -> None:
        """Reserve labels for the tenants that the rule names; None if requests name none."""
        if rule is None:
            self.foreseen = ()
            return
        names = sorted(rule.allow | ({rule.default} if rule.default else set()))
        self._named.update(names[: max(0, MOST_TENANTS - len(self._named))])
        known = tuple(name for name in names if name in self._named)
        closed = rule.allow and len(known) == len(names)
        self.foreseen = known if closed else (*known, OTHER)

    def label(self, tenant: str) -> str:
        """Return the tenant's label, or the one that it shares with others."""
        if tenant and tenant not in self._named:
            if len(self._named) >= MOST_TENANTS:
                return OTHER
            self._named.add(tenant)
        return tenant
