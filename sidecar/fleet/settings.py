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
    """Who is asked where the server is."""

    master: str
    """The name the Sentinels know it by."""
    username: str = ""
    password: SecretRef | None = None
    """What the Sentinels themselves ask for; not the server's own."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the fleet's Redis is, how we prove ourselves there, and what protects our values."""

    hosts: tuple[tuple[str, int], ...] = ()
    """One server; the Sentinels, with `sentinel`; some nodes of it, with `cluster`. Names without brackets."""
    unix_path: str = ""
    """A socket in place of `hosts`."""
    tls: Tls | None = None
    """None speaks plain TCP."""
    database: int = 0
    username: str = ""
    password: SecretRef | None = None
    sentinel: SentinelSettings | None = None
    cluster: bool = False
    key_prefix: str = ""
    """In front of every key and channel."""
    encryption_keys: tuple[EncryptionKey, ...] = ()
    """The first seals, all open. None: values are plain and messages unsigned, as the operator wrote down."""
    operation_timeout: float = 0.1
    """Limit: time for a Redis operation, connecting included (seconds). Beyond: the request continues without Redis;
    three in a row count as `store_down`."""


Dialect = Literal["mcp-gateway", "lerian"]


@dataclass(frozen=True, slots=True)
class ForeignChannel:
    """Where another program tells of dead tokens, and how its messages are read."""

    channel: str
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class BustSettings:
    """Whose busts are heard besides the fleet's own."""

    listen: tuple[ForeignChannel, ...] = ()
