"""The file's `redis` and `busts`: the shared store, and checks that the sidecars form one fleet."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from sidecar.config.decode import Found, Node
from sidecar.config.types import (
    KEY_PREFIX,
    KeyReference,
    Name,
    Reference,
    Text,
    Tls,
    reference,
    secret,
    text,
    tls,
)
from sidecar.config.yaml_text.places import Faulty
from sidecar.core import addresses
from sidecar.fleet import settings
from sidecar.fleet.messages import BUST_CHANNEL, FILL_CHANNEL
from sidecar.fleet.settings import Dialect


class EncryptionKey(Node, frozen=True, kw_only=True):
    """A key shared by the whole fleet."""

    id: Annotated[
        Name, Meta(description="Name of the key, the same in every pod. Encrypted values carry it.")
    ]
    key: Annotated[
        KeyReference,
        Meta(description="Location of the key: 32 bytes in base64, as `sidecar keygen` prints them."),
    ]


class Sentinel(Node, frozen=True, kw_only=True):
    """Sentinels that return the address of the Redis server."""

    needs: ClassVar[Mapping[str, str]] = {"username": "password"}

    master: Annotated[Name, Meta(description="Name under which the Sentinels monitor the server.")]
    username: Annotated[
        Text | None, Meta(description="ACL user for the Sentinels. Unset: the default user.")
    ] = None
    password: Annotated[
        Reference | None, Meta(description="Password for the Sentinels. Unset: no authentication.")
    ] = None


class Redis(Node, frozen=True, kw_only=True):
    """Redis or Valkey that the fleet shares as token store and for busts."""

    needs: ClassVar[Mapping[str, str]] = {"username": "password"}

    url: Annotated[
        str,
        text("redis", r"^\s*(rediss?|valkeys?|unix)://"),
        Meta(
            description="`redis(s)://host[:port][,host…][/database]` or `unix:///path[?db=0]`, without a password. "
            "Several hosts are Sentinels or nodes of a Cluster. `valkey(s)://` means the same as "
            "`redis(s)://`."
        ),
    ]
    key_prefix: Annotated[
        str,
        text("key_prefix", KEY_PREFIX),
        Meta(description="Prefix of every key and channel, without braces; the same in the whole fleet."),
    ] = ""
    username: Annotated[Text | None, Meta(description="ACL user. Unset: the default user.")] = None
    password: Annotated[
        Reference | None,
        Meta(description="Password, read at each connection. Unset: no authentication."),
    ] = None
    tls: Annotated[Tls, Meta(description="TLS to a `rediss` or `valkeys` server.")] = Tls()
    sentinel: Annotated[
        Sentinel | None,
        Meta(description="The hosts in `url` are Sentinels (default port 26379). Unset: they are not."),
    ] = None
    cluster: Annotated[
        bool,
        Meta(description="The hosts in `url` are nodes of a Redis Cluster, which lists the other nodes."),
    ] = False
    encryption: Annotated[
        Literal["aes-256-gcm", "none"],
        Meta(
            description="Encryption of values and signature of busts. `none`: every client of Redis can read tokens "
            "and bust them; use it in tests only."
        ),
    ] = "aes-256-gcm"
    encryption_keys: Annotated[
        tuple[EncryptionKey, ...],
        Meta(description="Keys, for rotation: the first one encrypts, all of them decrypt."),
    ] = ()


class ForeignChannel(Node, frozen=True, kw_only=True):
    """A Redis channel on which another program publishes revocations."""

    channel: Annotated[Text, Meta(description="Name of the channel; patterns are not supported.")]
    dialect: Annotated[Dialect, Meta(description="Format of the channel's messages.")]


class Busts(Node, frozen=True, kw_only=True):
    """Busts from other programs, in addition to those of the fleet."""

    listen: Annotated[
        tuple[ForeignChannel, ...], Meta(description="Channels of other programs on the same Redis server.")
    ] = ()


def redis_settings(entry: Redis, environ: Mapping[str, str]) -> settings.RedisSettings:
    """Return the settings of the section `redis`."""
    url = addresses.redis(entry.url)
    port = 26379 if entry.sentinel else 6379
    return settings.RedisSettings(
        hosts=tuple((host, given or port) for host, given in url.hosts),
        unix_path=url.unix_path,
        tls=tls(entry.tls) if url.tls else None,
        database=url.database,
        username=entry.username or "",
        password=secret(entry.password, environ),
        sentinel=_sentinel(entry.sentinel, environ) if entry.sentinel else None,
        cluster=entry.cluster,
        key_prefix=entry.key_prefix,
        encryption_keys=tuple(
            settings.EncryptionKey(key.id, reference(key.key, environ)) for key in entry.encryption_keys
        ),
    )


def _sentinel(entry: Sentinel, environ: Mapping[str, str]) -> settings.SentinelSettings:
    return settings.SentinelSettings(entry.master, entry.username or "", secret(entry.password, environ))


def bust_settings(entry: Busts) -> settings.BustSettings:
    """Return the settings of the section `busts`."""
    return settings.BustSettings(
        tuple(settings.ForeignChannel(channel.channel, channel.dialect) for channel in entry.listen)
    )


def fleet_faults(mode: str | None, redis: Redis | None, busts: Busts, faulty: Faulty) -> Iterator[Found]:
    """Return faults that keep the sidecars from forming one fleet; none in an explicit local mode."""
    if mode == "local":
        return
    if redis is not None:
        yield from _redis_faults(redis, faulty)
        if not faulty.within("redis.key_prefix"):
            yield from _channel_faults(redis, busts)
    elif not faulty.within("redis"):
        if mode == "distributed":
            yield "cache.mode", "distributed requires redis.url (REDIS_URL)"
        if busts.listen:
            yield "busts.listen", "there is no Redis to subscribe to: give redis.url"


def _redis_faults(redis: Redis, faulty: Faulty) -> Iterator[Found]:
    if redis.url and not faulty.within("redis.sentinel", "redis.cluster", "redis.tls"):
        yield from _topology_faults(redis, addresses.redis(redis.url))
    ids: dict[str, str] = {}
    for index, entry in enumerate(redis.encryption_keys):
        if isinstance(entry, EncryptionKey):
            path = f"redis.encryption_keys[{index}]"
            if entry.id and ids.setdefault(entry.id, path) != path:
                yield f"{path}.id", f"{ids[entry.id]} has the same id: choose another one"
    if faulty.at("redis.encryption", "redis.encryption_keys"):
        return
    if redis.encryption == "none" and redis.encryption_keys:
        yield "redis.encryption", "none, but there are encryption_keys: remove one of the two"
    if redis.encryption != "none" and not redis.encryption_keys:
        yield (
            "redis.encryption_keys",
            "give at least one (SIDECAR_ENCRYPTION_KEY; `sidecar keygen` makes one), or write encryption: none",
        )


def _topology_faults(redis: Redis, url: addresses.RedisUrl) -> Iterator[Found]:
    if redis.tls != Tls() and not url.tls:
        yield "redis.tls", "the URL is not rediss or valkeys: write rediss, or remove tls"
    if redis.cluster and redis.sentinel is not None:
        yield (
            "redis.cluster",
            "the hosts are nodes of a Cluster or Sentinels, not both: remove one of the two",
        )
    if (redis.cluster or redis.sentinel is not None) and url.unix_path:
        yield "redis.url", "a socket cannot be a Cluster or a Sentinel: write redis://host:port"
    if redis.cluster and url.database:
        yield "redis.url", "a Cluster has only database 0: remove it from the URL"
    if len(url.hosts) > 1 and not redis.cluster and redis.sentinel is None:
        yield "redis.url", "several hosts: set redis.sentinel or redis.cluster"


def _channel_faults(redis: Redis, busts: Busts) -> Iterator[Found]:
    own = dict.fromkeys((redis.key_prefix + name for name in (BUST_CHANNEL, FILL_CHANNEL)), "the fleet's own")
    for index, entry in enumerate(busts.listen):
        if isinstance(entry, ForeignChannel):
            path = f"busts.listen[{index}]"
            if entry.channel and own.setdefault(entry.channel, path) != path:
                yield f"{path}.channel", f"{own[entry.channel]} already: choose another channel"
