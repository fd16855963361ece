"""Clients of the fleet's Redis as configured: one server, one that Sentinels name, or a Cluster.

redis-py's own time-outs (5 s) and retries (10, with growing pauses) are for programs that can wait. Here there is one
short attempt; the breaker and the bus decide what follows a failure. RESP2 without library info, so that connecting
takes no more than AUTH, SELECT and CLIENT SETNAME. TLS is the sidecar's own: redis-py would read the files on the event
loop, without end if one has become a pipe, and accept a name from a certificate's common name.
"""

import asyncio
import ssl
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import TypedDict, TypeVar

from sidecar.core.secret import Secret, SecretRef
from sidecar.core.tls import Tls
from sidecar.credentials.sources.secret_files import read_secret
from sidecar.fleet.redis.library import (
    AbstractConnection,
    ClusterNode,
    ConnectionPool,
    CredentialProvider,
    NoBackoff,
    Redis,
    RedisCluster,
    RedisError,
    ResponseError,
    Retry,
    Sentinel,
    SentinelConnectionPool,
    SSLConnection,
)
from sidecar.fleet.redis.reasons import UnusableTls
from sidecar.fleet.settings import RedisSettings
from sidecar.system import threads
from sidecar.system.client_tls import UnusableFiles, client_context, reason

Client = Redis | RedisCluster
_Connection = TypeVar("_Connection", bound=AbstractConnection)


class _Options(TypedDict, total=False):
    socket_timeout: float
    socket_connect_timeout: float
    retry: Retry
    protocol: int
    driver_info: None
    credential_provider: CredentialProvider
    ssl: bool


class Passwords(CredentialProvider):
    """A user and a password that are read again for each connection, because a mounted secret is replaced in place."""

    def __init__(self, username: str, password: SecretRef) -> None:
        self._username = username
        self._password = password
        self._shown = ""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the arguments of AUTH. Raises OSError or ValueError if the file cannot be read."""
        self._shown = read_secret(self._password).reveal()
        return (self._username, self._shown) if self._username else (self._shown,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the same without waiting for the disk."""
        if isinstance(self._password, Secret):
            return self.get_credentials()
        return await threads.beside(self._password.path, self.get_credentials)

    def hide(self, text: str) -> str:
        """Return the text without the password that was sent last."""
        return text.replace(self._shown, "***") if self._shown else text


def connect(settings: RedisSettings, *, timeout: float, name: str = "sidecar") -> Client:
    """Make a client that connects when first used; `timeout` in seconds for each step.

    Its connections have the name if the server allows it, so that CLIENT LIST shows which pod they belong to.
    """
    client = _client(settings, timeout)
    _make_connections_ours(client, name, settings.tls)
    return client


def _make_connections_ours(client: Client, name: str, tls: Tls | None) -> None:
    """Make every later connection behave as the sidecar needs, not as redis-py does."""
    if isinstance(client, RedisCluster):
        nodes = client.nodes_manager
        later = nodes.connection_kwargs
        later["connection_class"] = _ours(later["connection_class"], name, tls)
        for node in nodes.startup_nodes.values():
            node.connection_class = _ours(node.connection_class, name, tls)
        return
    pools: list[ConnectionPool] = [client.connection_pool]
    if isinstance(client.connection_pool, SentinelConnectionPool):
        sentinels = client.connection_pool.sentinel_manager.sentinels
        pools += [sentinel.connection_pool for sentinel in sentinels]
    for pool in pools:
        pool.connection_class = _ours(pool.connection_class, name, tls)


def _ours(kind: type[_Connection], name: str, tls: Tls | None) -> type[_Connection]:
    named = _named(kind, name)
    return _verified(named, tls) if tls is not None else named


def _named(kind: type[_Connection], name: str) -> type[_Connection]:
    """Return the kind of connection that has a name, whose errors do not quote the password, and that logs in.

    redis-py keeps and uses a connection on which the password could not be sent because its file is missing. With its
    own `client_name` no connection is made if CLIENT SETNAME is denied.
    """

    async def log_in(self: AbstractConnection, check_health: bool = True) -> None:
        try:
            await kind.on_connect_check_health(self, check_health=check_health)
            await self.send_command("CLIENT", "SETNAME", name, check_health=False)
            with suppress(ResponseError):
                await self.read_response()
        except BaseException as error:
            if isinstance(error, RedisError) and isinstance(self.credential_provider, Passwords):
                error.args = tuple(self.credential_provider.hide(str(part)) for part in error.args)
            await self.disconnect(nowait=True)
            raise

    return type(kind.__name__, (kind,), {"on_connect_check_health": log_in})


def _verified(kind: type[_Connection], tls: Tls) -> type[_Connection]:
    """Return the kind of connection that reads the files of TLS before it connects, by any method."""

    async def connect(self: AbstractConnection, **how: bool) -> None:
        if not self.is_connected:
            assert isinstance(self, SSLConnection)
            self.ssl_context.context = await _context(tls)
        await kind.connect_check_health(self, **how)

    return type(kind.__name__, (kind,), {"connect_check_health": connect})


async def _context(tls: Tls) -> ssl.SSLContext:
    try:
        return await threads.beside(str(tls), partial(client_context, tls))
    except UnusableFiles as unusable:
        raise UnusableTls(f"cannot use {unusable.paths} for TLS: {reason(unusable.cause)}") from None


def _client(settings: RedisSettings, timeout: float) -> Client:
    options = _options(settings.tls, settings.username, settings.password, timeout)
    if settings.cluster:
        return _cluster(settings, options)
    if settings.unix_path:
        return Redis(unix_socket_path=settings.unix_path, db=settings.database, **options)
    if settings.sentinel is not None:
        return _found_by_sentinels(settings, options, timeout)
    host, port = settings.hosts[0]
    return Redis(host=host, port=port, db=settings.database, **options)


async def disconnect(client: Client) -> None:
    """Close every connection, in any state; the client connects again when it is used again."""
    closing: list[Awaitable[None]] = [client.aclose()]
    if isinstance(client, RedisCluster):  # closes nothing by itself once a node has failed it
        nodes = client.nodes_manager
        closing += [nodes.aclose(), nodes.aclose("startup_nodes")]
    elif isinstance(client.connection_pool, SentinelConnectionPool):  # leaves those to the Sentinels open
        closing.append(client.connection_pool.sentinel_manager.aclose())
    await asyncio.gather(*closing, return_exceptions=True)


async def retire(client: Redis) -> None:
    """Close every connection, those in use when their command has its answer; the client is not used again."""
    pools = [client.connection_pool]
    if isinstance(client.connection_pool, SentinelConnectionPool):
        sentinels = client.connection_pool.sentinel_manager.sentinels
        pools += [sentinel.connection_pool for sentinel in sentinels]
    for pool in pools:
        await pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # released, they close
        with suppress(RedisError, OSError):
            await pool.disconnect(inuse_connections=False)


class _Commands:
    """Positions of a command's keys: all operations on a Cluster's keys are scripts, whose keys redis-py finds by
    itself, or GETs.

    redis-py would fetch a table of all commands from the first known node whenever it connects, and could not connect
    at all while that node is down.
    """

    async def initialize(self, node: ClusterNode | None = None) -> None:
        """Do nothing: no table is needed."""

    async def get_keys(self, *command: str) -> tuple[str, ...]:
        """Return the key of a GET."""
        return command[1:2]


def _cluster(settings: RedisSettings, options: _Options) -> RedisCluster:
    client = RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in settings.hosts], **options)
    client.commands_parser = _Commands()  # type: ignore[assignment]
    return client


def _found_by_sentinels(settings: RedisSettings, options: _Options, timeout: float) -> Redis:
    assert settings.sentinel is not None
    theirs = _options(settings.tls, settings.sentinel.username, settings.sentinel.password, timeout)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        settings.hosts, sentinel_kwargs=theirs, db=settings.database, **options
    )
    client: Redis = sentinels.master_for(settings.sentinel.master)
    return client


def _options(tls: Tls | None, username: str, password: SecretRef | None, timeout: float) -> _Options:
    options = _Options(
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    if password is not None:
        options["credential_provider"] = Passwords(username, password)
    if tls is not None:
        options["ssl"] = True
    return options
