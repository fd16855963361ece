"""The file's `redis` and `busts`: what the fleet shares, and what keeps the sidecars from being one fleet."""

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
from sidecar.fleet.settings import Dialect


class EncryptionKey(Node, frozen=True, kw_only=True):
    """A key shared by the whole fleet."""

    id: Annotated[Name, Meta(description="Names the key in what it seals; the same in every pod.")]
    key: Annotated[KeyReference, Meta(description="32 bytes in base64, as `sidecar keygen` makes them.")]


class Sentinel(Node, frozen=True, kw_only=True):
    """How the Sentinels are asked for the server."""

    needs: ClassVar[Mapping[str, str]] = {"username": "password"}

    master: Annotated[Name, Meta(description="The name the Sentinels know the server by.")]
    username: Annotated[Text | None, Meta(description="ACL user of the Sentinels themselves.")] = None
    password: Annotated[Reference | None, Meta(description="Password of the Sentinels themselves.")] = None


class Redis(Node, frozen=True, kw_only=True):
    """The store and the bus that the fleet shares."""

    needs: ClassVar[Mapping[str, str]] = {"username": "password"}

    url: Annotated[
        str,
        text("redis", r"^\s*(rediss?|valkeys?|unix)://"),
        Meta(
            description="`redis(s)://host[:port][,host…][/database]` or `unix:///path[?db=0]`, without a "
            "password. Several hosts are Sentinels or nodes of a Cluster. `valkey(s)://` means the same as "
            "`redis(s)://`."
        ),
    ]
    key_prefix: Annotated[
        str,
        text("key_prefix", KEY_PREFIX),
        Meta(description="In front of every key and channel; the same in the whole fleet."),
    ] = ""
    username: Annotated[Text | None, Meta(description="ACL user.")] = None
    password: Annotated[Reference | None, Meta(description="Password, of the ACL user or the server's.")] = (
        None
    )
    tls: Annotated[Tls, Meta(description="How a rediss or valkeys server is verified.")] = Tls()
    sentinel: Annotated[
        Sentinel | None, Meta(description="The URL's hosts are Sentinels that know the server.")
    ] = None
    cluster: Annotated[bool, Meta(description="The URL's hosts are nodes of a Redis Cluster.")] = False
    encryption: Annotated[
        Literal["aes-256-gcm", "none"],
        Meta(description="`none`: tokens are readable in Redis, and whoever reaches it can bust."),
    ] = "aes-256-gcm"
    encryption_keys: Annotated[
        tuple[EncryptionKey, ...], Meta(description="The first seals, all open: that is how keys rotate.")
    ] = ()


class ForeignChannel(Node, frozen=True, kw_only=True):
    """A channel on which another program tells of dead tokens."""

    channel: Annotated[Text, Meta(description="The Redis channel, as it is; no pattern.")]
    dialect: Annotated[Dialect, Meta(description="How its messages are read.")]


class Busts(Node, frozen=True, kw_only=True):
    """Whose busts are heard besides the fleet's own."""

    listen: Annotated[
        tuple[ForeignChannel, ...], Meta(description="Channels of other programs on the same Redis.")
    ] = ()


def redis_settings(entry: Redis, environ: Mapping[str, str]) -> settings.RedisSettings:
    """Return what is meant by the section `redis`."""
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
    """Return what is meant by the section `busts`."""
    return settings.BustSettings(
        tuple(settings.ForeignChannel(channel.channel, channel.dialect) for channel in entry.listen)
    )


def fleet_faults(mode: str | None, redis: Redis | None, busts: Busts, faulty: Faulty) -> Iterator[Found]:
    """Find what keeps the sidecars from being one fleet; in an explicit local mode nothing does."""
    if mode == "local":
        return
    if redis is not None:
        yield from _redis_faults(redis, faulty)
        if not faulty.within("redis.key_prefix"):
            yield from _channel_faults(redis, busts)
    elif not faulty.within("redis"):
        if mode == "distributed":
            yield "cache.mode", "distributed needs a redis.url (REDIS_URL)"
        if busts.listen:
            yield "busts.listen", "there is no Redis to listen on: give redis.url"


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
        yield "redis.encryption", "none, but there are encryption_keys: take one of the two out"
    if redis.encryption != "none" and not redis.encryption_keys:
        yield (
            "redis.encryption_keys",
            "give at least one (SIDECAR_ENCRYPTION_KEY; `sidecar keygen` makes one), or write encryption: none",
        )


def _topology_faults(redis: Redis, url: addresses.RedisUrl) -> Iterator[Found]:
    if redis.tls != Tls() and not url.tls:
        yield "redis.tls", "the URL is not rediss or valkeys: write rediss, or take tls out"
    if redis.cluster and redis.sentinel is not None:
        yield "redis.cluster", "the hosts are either a Cluster's or Sentinels: take one of the two out"
    if (redis.cluster or redis.sentinel is not None) and url.unix_path:
        yield "redis.url", "a socket is no Cluster and no Sentinel: write redis://host:port"
    if redis.cluster and url.database:
        yield "redis.url", "a Cluster has only database 0: take it off the URL"
    if len(url.hosts) > 1 and not redis.cluster and redis.sentinel is None:
        yield "redis.url", "several hosts: say what they are, with redis.sentinel or redis.cluster"


def _channel_faults(redis: Redis, busts: Busts) -> Iterator[Found]:
    own = {f"{redis.key_prefix}m2m:{name}": "the fleet's own" for name in ("bust", "fill")}
    for index, entry in enumerate(busts.listen):
        if isinstance(entry, ForeignChannel):
            path = f"busts.listen[{index}]"
            if entry.channel and own.setdefault(entry.channel, path) != path:
                yield f"{path}.channel", f"{own[entry.channel]} already: choose another channel"
