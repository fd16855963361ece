"""The `redis` and `busts` sections of the configuration; times in seconds."""

from dataclasses import dataclass
from typing import Literal

from sidecar.core.secret import SecretRef
from sidecar.core.tls import Tls


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """One key of the fleet's, 32 bytes in base64."""

    id: str
    key: SecretRef


@dataclass(frozen=True, slots=True)
class SentinelSettings:
    """The Sentinels, which return the server's address."""

    master: str
    """The server's name in the Sentinels."""
    username: str = ""
    password: SecretRef | None = None
    """Credentials for the Sentinels themselves; not the server's own."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """The fleet's Redis: its place, our credentials, and the protection of our values."""

    hosts: tuple[tuple[str, int], ...] = ()
    """One server; the Sentinels, with `sentinel`; some nodes of it, with `cluster`. Names without brackets."""
    unix_path: str = ""
    """A socket in place of `hosts`."""
    tls: Tls | None = None
    """None for plain TCP."""
    database: int = 0
    username: str = ""
    password: SecretRef | None = None
    sentinel: SentinelSettings | None = None
    cluster: bool = False
    key_prefix: str = ""
    """Beginning of every key and channel."""
    encryption_keys: tuple[EncryptionKey, ...] = ()
    """The first seals, all open. None: values are plain and messages unsigned, as the operator configured."""
    operation_timeout: float = 0.1
    """Limit: time for a Redis operation, connecting included (seconds). Beyond: the request continues without Redis;
    three in a row count as `store_down`."""


Dialect = Literal["mcp-gateway", "lerian"]


@dataclass(frozen=True, slots=True)
class ForeignChannel:
    """Channel on which another program publishes revocations, and the dialect of its messages."""

    channel: str
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class BustSettings:
    """Sources of busts besides the fleet itself."""

    listen: tuple[ForeignChannel, ...] = ()
