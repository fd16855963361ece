"""Clients: how they connect, and where their outcomes go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.soak.client import Client, Trouble
from tests.soak.outcomes import Outcome
from tests.support.wire_client import WireError

PATIENCE = 45.0
"""Seconds anything a client does may take; more than every fault and limit in its way."""
BACK_OFF = 1.0
"""Seconds a client rests after a failure."""


@dataclass
class Act:
    """Something a client does, under way."""

    request_id: str
    ok: bool = False


@dataclass
class Crowd:
    """All clients: their address, their dice, and the receiver of their outcomes."""

    address: str
    tell: Callable[[Outcome], None]
    dice: Random = field(default_factory=Random)
    _count: int = 0

    @asynccontextmanager
    async def act(self, kind: str) -> AsyncIterator[Act]:
        """Report the outcome of the block: as expected unless it raises."""
        now = asyncio.get_running_loop().time
        self._count += 1
        act, began = Act(f"soak-{self._count}"), now()
        trouble, detail = "", ""
        try:
            async with asyncio.timeout(PATIENCE):
                yield act
            act.ok = True
        except Trouble as error:
            trouble, detail = error.word, error.detail
        except TimeoutError:
            trouble = "timed out"
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            trouble, detail = "broken off", repr(error)
        except WireError as error:
            trouble, detail = "malformed answer", str(error)
        self.tell(Outcome(kind, act.request_id, began, now(), trouble, detail))
        if trouble:
            await asyncio.sleep(BACK_OFF)

    @asynccontextmanager
    async def client(self, *, receive_buffer: int = 0) -> AsyncIterator[Client]:
        """One connection; it is not left politely if something went wrong."""
        client = await Client.connect(self.address, receive_buffer=receive_buffer)
        rudely = True
        try:
            yield client
            rudely = False
        finally:
            client.leave(rudely=rudely)


Kind = Callable[[Crowd], Awaitable[None]]


def request(method: str, target: str, request_id: str, *fields: str) -> bytes:
    lines = (f"{method} {target} HTTP/1.1", "Host: localhost", f"X-Request-Id: {request_id}", *fields, "", "")
    return "\r\n".join(lines).encode()


@dataclass(frozen=True)
class Share:
    """How many clients of a kind there are, and how long each rests between two acts, at most; seconds."""

    kind: Kind
    clients: int
    rest: float

    @property
    def name(self) -> str:
        """What its outcomes call it."""
        return self.kind.__name__.replace("_", " ")
