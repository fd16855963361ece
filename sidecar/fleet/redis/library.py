"""redis-py, loaded without OpenTelemetry: the only module that imports it, so that it is never loaded otherwise.

redis-py imports OpenTelemetry if it is installed, for metrics of its own that are not enabled here: 3 MiB and 30 ms in
every pod. Importlib treats a module that is None as missing.
"""

import asyncio
import sys

__all__ = [
    "AbstractConnection",
    "AuthenticationError",
    "ClusterNode",
    "ConnectionPool",
    "CredentialProvider",
    "Disconnected",
    "InvalidResponse",
    "NoBackoff",
    "NoPermissionError",
    "NoScriptError",
    "ReadOnlyError",
    "Redis",
    "RedisCluster",
    "RedisClusterException",
    "RedisError",
    "ResponseError",
    "Retry",
    "SSLConnection",
    "Sentinel",
    "SentinelConnectionPool",
    "TimedOut",
    "answered_error",
    "stream",
]

_UNUSED = "opentelemetry"


def _load() -> None:
    if _UNUSED in sys.modules:
        return
    sys.modules[_UNUSED] = None  # type: ignore[assignment]  # as the import system documents it
    try:
        import redis.asyncio  # noqa: F401, PLC0415
    finally:
        del sys.modules[_UNUSED]


_load()

from redis._parsers import BaseParser  # noqa: E402
from redis.asyncio import Redis, RedisCluster, Sentinel  # noqa: E402  what is above comes first
from redis.asyncio.cluster import ClusterNode  # noqa: E402
from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection  # noqa: E402
from redis.asyncio.retry import Retry  # noqa: E402
from redis.asyncio.sentinel import SentinelConnectionPool  # noqa: E402
from redis.backoff import NoBackoff  # noqa: E402
from redis.credentials import CredentialProvider  # noqa: E402
from redis.exceptions import (  # noqa: E402
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as Disconnected  # noqa: E402
from redis.exceptions import TimeoutError as TimedOut  # noqa: E402


def answered_error(line: str) -> Exception:
    """Return redis-py's exception for an error answer."""
    error: Exception = BaseParser.parse_error(line)  # type: ignore[no-untyped-call]
    return error


def stream(connection: AbstractConnection) -> asyncio.StreamReader:
    """Return the stream that the connection reads from. Raise ConnectionError if it is not connected.

    redis-py has no public name for it, and no public way to read more than one answer at a time.
    """
    reader = connection._reader  # noqa: SLF001
    if reader is None:
        raise Disconnected("Connection closed by server.")
    return reader
