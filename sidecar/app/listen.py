"""Binding listen addresses."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sidecar.core import addresses
from sidecar.core.addresses import Address, TcpAddress, UnixAddress
from sidecar.core.errors import ListenError

BACKLOG = 1024
_PROBE_WAIT = 1.0


class BoundServer:
    """A bound address."""

    def __init__(self, server: asyncio.Server, address: Address) -> None:
        self.address = str(address)
        """The bound address: `127.0.0.1:43121`, `[::1]:43121` or `unix:/path`."""
        self._server = server
        self._address = address

    def close(self) -> None:
        """Accept no more connections; those accepted stay."""
        self._server.close()
        if isinstance(self._address, UnixAddress):
            Path(self._address.path).unlink(missing_ok=True)


async def bind(
    listen: str, connection: Callable[[], asyncio.BaseProtocol], most: int = BACKLOG
) -> BoundServer:
    """Listen on `host:port` (0 lets the system choose a port) or `unix:/path`. Raises ListenError.

    The event loop accepts all clients that wait before it closes those above `most`, so half as many may wait.
    """
    backlog = max(1, min(BACKLOG, most // 2))
    loop = asyncio.get_running_loop()
    try:
        address: Address = addresses.listen(listen)
        if isinstance(address, UnixAddress):
            await _refuse_to_take_over(address)
            server = await loop.create_unix_server(connection, address.path, backlog=backlog)
        else:
            server = await loop.create_server(connection, address.host, address.port, backlog=backlog)
            address = TcpAddress(*server.sockets[0].getsockname()[:2])
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"cannot listen on {listen}: {reason}; choose another address") from error
    return BoundServer(server, address)


async def _refuse_to_take_over(address: UnixAddress) -> None:
    """Raise ListenError for a socket file on which a server answers; the event loop would replace it unchecked."""
    with suppress(FileNotFoundError, ConnectionRefusedError):
        async with asyncio.timeout(_PROBE_WAIT):
            _, writer = await asyncio.open_unix_connection(address.path)
        writer.close()
        raise FileExistsError("another process listens there")
