"""The token endpoint: tokens say when they were issued; it can be out in three ways.

python -m tests.soak.authorization PORT; commands: `ok`, `unavailable`, `hang`, `refuse`.
"""

import asyncio
import sys
import time

from tests.soak.child import run, say
from tests.support.authorization_server import json_answer
from tests.support.upstream import Exchange, Received, Server
from tests.support.wire_client import WireError, read_request_head

PREFIX = "canary-soak-token-"
"""Before the moment of issue, in nanoseconds of the monotonic clock, which all processes share."""
LIFE = 20
"""Seconds; half of it is leeway, so tokens that are not revoked age."""


class TokenEndpoint(Server):
    """Issues tokens, unless it is out."""

    def __init__(self) -> None:
        super().__init__()
        self._mode = "ok"
        self._released = asyncio.Event()

    async def obey(self, words: list[str]) -> None:
        """Change how it answers; hanging requests are closed without an answer."""
        [mode] = words
        if "refuse" in (mode, self._mode):
            await self.stop()
            if mode != "refuse":
                await self.start(self.port)
        self._mode = mode
        self._released.set()
        self._released = asyncio.Event()

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (head := await read_request_head(reader)) is not None:
                exchange = Exchange(Received(head, number), reader, writer)
                await exchange.read()
                if self._mode == "hang":
                    await self._released.wait()
                    return
                await exchange.send(self._answer())
        except WireError as error:
            say(f"token endpoint: {error}")

    def _answer(self) -> bytes:
        if self._mode == "unavailable":
            return json_answer(503, {"error": "temporarily_unavailable"})
        token = f"{PREFIX}{time.monotonic_ns()}"
        return json_answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": LIFE})


if __name__ == "__main__":
    endpoint = TokenEndpoint()
    run(endpoint, endpoint.obey, int(sys.argv[1]))
