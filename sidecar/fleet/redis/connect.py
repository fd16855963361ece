"""Clients of the fleet's Redis as configured: one server, one that Sentinels name, or a Cluster.

redis-py's own time-outs (5 s) and retries (10, with growing pauses) are for programs that can wait. Here an
attempt is one and short; what follows a failure is the breaker's and the bus's to say. RESP2 and no word about
the library, so that connecting takes no more than AUTH, SELECT and CLIENT SETNAME.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypedDict, TypeVar

from sidecar.core.secret import Secret, SecretRef
from sidecar.core.tls import Tls
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
)
from sidecar.fleet.settings import RedisSettings
from sidecar.system import files, threads
from sidecar.system.files import SECRET_LIMIT

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
    ssl_ca_certs: str | None
    ssl_certfile: str | None
    ssl_keyfile: str | None


class Passwords(CredentialProvider):
    """A user and a password that are read anew for each connection: a mounted secret is replaced in place."""

    def __init__(self, username: str, password: SecretRef) -> None:
        self._username = username
        self._password = password
        self._shown = ""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what AUTH sends. Raises OSError or ValueError when the file cannot be read."""
        secret = self._password
        value = secret.reveal() if isinstance(secret, Secret) else files.text(secret.path, SECRET_LIMIT)
        self._shown = value.strip()
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

    Its connections have the name where the server allows it, so that CLIENT LIST says whose they are.
    """
    client = _client(settings, timeout)
    _make_connections_ours(client, name, settings.tls)
    if settings.tls is not None:
        for options in _made_with(client):
            options["ssl_password"] = ""  # or OpenSSL asks a terminal for it, and the event loop waits
    return client


def _make_connections_ours(client: Client, name: str, tls: Tls | None) -> None:
    """Have every connection to come do what redis-py's do not."""
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
    return _probing(named, tls) if tls is not None else named


def _named(kind: type[_Connection], name: str) -> type[_Connection]:
    """Return the kind of connection that has a name, whose errors do not quote the password, and that logs in.

    redis-py keeps one open, and uses it, on which the password could not be sent because its file is gone. With its
    own `client_name` none comes about where CLIENT SETNAME is denied.
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


def _probing(kind: type[_Connection], tls: Tls) -> type[_Connection]:
    """Return the kind of connection that looks at the files of TLS before it connects.

    redis-py has OpenSSL read them on the event loop, for ever where one has become a pipe.
    """

    async def connect(self: AbstractConnection) -> None:
        for path in () if self.is_connected else tls.files:
            await threads.beside(path, partial(files.probe, path))
        await kind.connect(self)  # type: ignore[no-untyped-call]

    return type(kind.__name__, (kind,), {"connect": connect})


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
    """End every connection, whatever state they are in; the client connects anew when it is used again."""
    closing: list[Awaitable[None]] = [client.aclose()]
    if isinstance(client, RedisCluster):  # closes nothing by itself once a node has failed it
        nodes = client.nodes_manager
        closing += [nodes.aclose(), nodes.aclose("startup_nodes")]
    elif isinstance(client.connection_pool, SentinelConnectionPool):  # leaves those to the Sentinels open
        closing.append(client.connection_pool.sentinel_manager.aclose())
    await asyncio.gather(*closing, return_exceptions=True)


async def retire(client: Redis) -> None:
    """End every connection, those in use when their command has its answer; the client is not used any more."""
    pools = [client.connection_pool]
    if isinstance(client.connection_pool, SentinelConnectionPool):
        sentinels = client.connection_pool.sentinel_manager.sentinels
        pools += [sentinel.connection_pool for sentinel in sentinels]
    for pool in pools:
        await pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # released, they close
        with suppress(RedisError, OSError):
            await pool.disconnect(inuse_connections=False)


def _made_with(client: Client) -> Iterator[dict[str, object]]:
    """What its connections will be made with. There is an option that a Cluster's constructor does not take."""
    if isinstance(client, RedisCluster):
        yield client.nodes_manager.connection_kwargs
        for node in client.nodes_manager.startup_nodes.values():
            yield node.connection_kwargs
        return
    yield client.connection_pool.connection_kwargs
    if isinstance(client.connection_pool, SentinelConnectionPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            yield sentinel.connection_pool.connection_kwargs


class _Commands:
    """Where a command has its keys: all that is asked of a Cluster by key is a script, whose keys redis-py finds
    by itself, or a GET.

    redis-py would ask the first node it knows for a table of all commands whenever it connects, and could not
    connect at all while just that node is dead.
    """

    async def initialize(self, node: ClusterNode | None = None) -> None:
        """Ask nobody."""

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
        options["ssl_ca_certs"] = tls.ca_file or None
        options["ssl_certfile"] = tls.certificate_file or None
        options["ssl_keyfile"] = tls.key_file or tls.certificate_file or None
    return options
