"""WebSockets of a soak: a client on the `websockets` library, and the upstream's end only on its protocol."""

import asyncio

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.soak.bodies import BLOCK
from tests.soak.client import Trouble
from tests.soak.crowd import Crowd
from tests.support.upstream import Exchange
from tests.support.wire_client import LIMIT

MAX_MESSAGE = 1 << 21


async def echo(exchange: Exchange) -> None:
    """Be a WebSocket that sends every message back, to its end."""
    protocol = ServerProtocol(max_size=MAX_MESSAGE)
    data = exchange.received.head.raw
    while data:
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                protocol.send_binary(event.data)
        for piece in protocol.data_to_send():
            await exchange.send(piece)
        if protocol.close_expected():
            break
        data = await exchange.reader.read(LIMIT)
    exchange.close()


async def websocket(crowd: Crowd) -> None:
    """Messages of all sizes and pings, there and back; a proper end or a rude one."""
    async with crowd.act("websocket") as act:
        address = f"ws://{crowd.address}/api/socket"
        own = {"X-Request-Id": act.request_id}
        try:
            async with connect(
                address, additional_headers=own, proxy=None, open_timeout=None, max_size=MAX_MESSAGE
            ) as socket:
                await _talk(crowd, socket)
        except InvalidStatus as refusal:
            answer = refusal.response
            error = answer.headers.get("Proxy-Status", "").partition("error=")[2]
            raise Trouble(f"{answer.status_code} {error}".strip()) from refusal
        except (ConnectionClosed, InvalidHandshake) as error:
            raise Trouble("broken off", repr(error)) from error


async def _talk(crowd: Crowd, socket: ClientConnection) -> None:
    for _ in range(crowd.dice.randint(1, 30)):
        message = BLOCK[: crowd.dice.choice((0, 1, 125, 126, 5000, 65_536))] * crowd.dice.choice(
            (1, 1, 1, 16)
        )
        await socket.send(message)
        if await socket.recv() != message:
            raise Trouble("wrong message")
        if crowd.dice.random() < 0.2:
            await (await socket.ping())
        await asyncio.sleep(crowd.dice.uniform(0, 0.3))
    if crowd.dice.random() < 0.3:
        socket.transport.abort()
