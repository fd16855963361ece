"""Binding listen addresses."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sidecar.core import addresses
from sidecar.core.addresses import TcpAddress, UnixAddress
from sidecar.core.errors import ListenError

BACKLOG = 1024
_PROBE_WAIT = 1.0


async def bind(listen: str, connection: Callable[[], asyncio.BaseProtocol]) -> tuple[asyncio.Server, str]:
    """Listen on `listen` (`host:port` or `unix:/path`); also return what is bound, the port chosen for 0.

    Raises ListenError.
    """
    loop = asyncio.get_running_loop()
    try:
        where = addresses.listen(listen)
        if isinstance(where, UnixAddress):
            await _refuse_to_take_over(where)
            server = await loop.create_unix_server(connection, where.path, backlog=BACKLOG)
        else:
            server = await loop.create_server(connection, where.host, where.port, backlog=BACKLOG)
            where = TcpAddress(*server.sockets[0].getsockname()[:2])
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"cannot listen on {listen}: {reason}; choose another address") from error
    return server, str(where)


async def _refuse_to_take_over(where: UnixAddress) -> None:
    """The event loop replaces a socket file without a look; only one that nobody answers on is left over."""
    with suppress(FileNotFoundError, ConnectionRefusedError):
        async with asyncio.timeout(_PROBE_WAIT):
            _, writer = await asyncio.open_unix_connection(where.path)
        writer.close()
        raise FileExistsError("somebody is listening there already")
