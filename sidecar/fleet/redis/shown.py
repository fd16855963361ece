"""What may be shown of an error of redis-py: its text may hold a key, or a password."""

from sidecar.fleet.redis.library import Disconnected
from sidecar.system import tls_faults
from sidecar.system.client_tls import reason


class UnusableTls(Disconnected):
    """The files for TLS cannot be used; the text says which, and why."""


def shown(error: BaseException) -> str:
    """Return why TLS failed, if that is behind the error, and else its kind."""
    if isinstance(error, UnusableTls):
        return str(error)
    fault = tls_faults.within(error)
    return type(error).__name__ if fault is None else f"TLS failed: {reason(fault)}"
