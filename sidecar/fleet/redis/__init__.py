"""The fleet's Redis: the only home of redis-py.

`connect` makes clients, `link` asks them and gives up in time, `scripts` hold what must be atomic, `store` is the
second level with its leases, `vault` that of credentials, `shelf` what both have in common, `bus` hears the other pods.
"""

import sys

_UNUSED = "opentelemetry"


def _load() -> None:
    """Load redis-py without OpenTelemetry, which it takes along wherever it finds it, for metrics of its own
    that nobody switches on here: 3 MiB and 30 ms in every pod. Importlib takes a module that is None for one that
    is not there.
    """
    if _UNUSED in sys.modules:
        return
    sys.modules[_UNUSED] = None  # type: ignore[assignment]  # as the import system documents it
    try:
        import redis.asyncio  # noqa: F401, PLC0415
    finally:
        del sys.modules[_UNUSED]


_load()
