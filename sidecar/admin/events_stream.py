"""Server-sent events for the page: the content of `/status`, repeatedly, while a page is open.

A snapshot is made when a subscriber has taken the one before, so nothing queues up. A subscriber that reads nothing of
it for too long is cut off, in whichever buffer the bytes wait: the kernel's hold minutes of events. Subscribers with
the same filter share a snapshot, and without subscribers none is made.
"""

import asyncio

from sidecar.admin.connection import Connection
from sidecar.admin.messages import COMMON, Answer, Head, encode, head_of, problem
from sidecar.admin.ports import AdminState
from sidecar.core.labels import Labels

EVERY = 1.0
"""Seconds between two events; the page counts five without any as lost contact."""
MAX_SUBSCRIBERS = 8
"""Limit: open live pages (number). Beyond: 503, and the page requests `/status` every other second."""
PATIENCE = 10.0
"""Limit: time for a live page to read an update (seconds). Beyond: its connection is closed."""
_RETRY = b"retry: 2000\n\n"  # milliseconds
_FIELDS = {**COMMON, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}


def asked_for(head: Head) -> Labels:
    """Parse `?tenant=acme&service=ledger`; other parameters are ignored."""
    named = ((name, head.parameter(name)) for name in ("tenant", "service"))
    return frozenset((name, value) for name, value in named if value)


class LiveEvents:
    """The subscribers."""

    def __init__(self, state: AdminState, *, every: float = EVERY, patience: float = PATIENCE) -> None:
        self._state = state
        self._every = every
        self._patience = patience
        self._subscribers = 0
        self._closed = asyncio.Event()
        self._made: dict[Labels, tuple[float, bytes]] = {}

    def close(self) -> None:
        """Disconnect every subscriber."""
        self._closed.set()

    async def answer(self, connection: Connection, head: Head) -> Answer | None:
        """Serve one subscriber until either side ends."""
        if self._subscribers >= MAX_SUBSCRIBERS:
            return problem(503, f"{MAX_SUBSCRIBERS} pages are open already", **{"Retry-After": "5"})
        self._subscribers += 1
        progress = Progress(asyncio.get_running_loop().time())
        watching = asyncio.create_task(self._watch(connection, progress))
        try:
            await self._serve(connection, asked_for(head), progress)
        except ConnectionError:
            connection.cut()
        except Exception:
            connection.cut()  # an answer that has begun cannot become another
            raise
        finally:
            watching.cancel()
            self._subscribers -= 1
            if not self._subscribers:
                self._made.clear()
        return None

    async def _serve(self, connection: Connection, selector: Labels, progress: "Progress") -> None:
        connection.stay()
        connection.write(head_of(200, _FIELDS) + _RETRY)
        now = asyncio.get_running_loop().time
        while not self._closed.is_set():
            untaken = connection.untaken()
            progress.standstill(untaken, now())
            if not untaken:
                connection.write(self._snapshot(selector))
            await self._pause()

    async def _watch(self, connection: Connection, progress: "Progress") -> None:
        """Cut off a subscriber that makes no progress."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(min(self._every, self._patience / 4))
            if progress.standstill(connection.untaken(), now()) >= self._patience:
                connection.cut()
                return

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._every):
                await self._closed.wait()
        except TimeoutError:
            return

    def _snapshot(self, selector: Labels) -> bytes:
        now = asyncio.get_running_loop().time()
        made = self._made.get(selector)
        if made is None or now - made[0] >= self._every / 2:
            made = (now, b"data: %b\n\n" % encode(self._state.status(selector)))
            self._made = {key: other for key, other in self._made.items() if now - other[0] < self._every} | {
                selector: made
            }
        return made[1]


class Progress:
    """How long a reader has read nothing of what waits for it."""

    def __init__(self, now: float) -> None:
        self._untaken = 0
        self._since = now

    def standstill(self, untaken: int, now: float) -> float:
        """Note how many bytes wait for the reader; return for how many seconds it has read none of them."""
        if untaken < self._untaken or not untaken:
            self._since = now
        self._untaken = untaken
        return now - self._since
