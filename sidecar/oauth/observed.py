"""Whether authorization servers answer, noted by host."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from sidecar.core import addresses
from sidecar.core.errors import TokenUnavailable
from sidecar.core.health import Health, Pulse, together
from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.core.tls import Tls
from sidecar.oauth.ports import AuthorizationServer, Reply
from sidecar.oauth.refusals.clock_skew import NOTABLE, Exchange
from sidecar.oauth.token_response import host_of

MOST_SERVERS = 100
"""Hosts remembered: those of the configuration, and those that they name in their metadata."""


MEMORY = 600.0
"""Seconds for which the last state of a host's metadata and keys counts, if they are not fetched again."""


class _Server:
    """One host: its token endpoint, and what it publishes (metadata and keys), which may fail by themselves."""

    def __init__(self, host: str, now: float) -> None:
        self.host = host
        self._tokens = Pulse(now)
        self._documents = Pulse(now)
        self._fetched = now

    def pulse(self, now: float, *, of_documents: bool) -> Pulse:
        if not of_documents:
            return self._tokens
        self._fetched = now
        return self._documents

    def health(self, now: float) -> Health:
        used = self._tokens.health.state != "unknown"
        if used and now - self._fetched >= MEMORY:
            return self._tokens.health
        return together([self._tokens.health, self._documents.health])


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The state of a token endpoint's clock."""

    host: str
    port: int
    skew: float
    """Seconds by which the clock is ahead."""
    differs_since: float | None
    """The moment when a notable difference was first measured; None while there is none."""


class ObservedServers:
    """Implements AuthorizationServer by another one, and notes per host whether it answers.

    A refusal counts as an answer; 429 and 5xx do not.
    """

    def __init__(self, server: AuthorizationServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._pulses: Lru[_Server] = Lru(MOST_SERVERS)
        self._clocks: Lru[ServerClock] = Lru(MOST_SERVERS)
        self._needed: Callable[[str], bool] = lambda _: True

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        sent = self._clock.wall()
        reply = await self._noted(url, self._server.post(url, headers, form, tls))
        skew = Exchange(sent, self._clock.wall()).skew(reply.date)
        if skew is not None:
            self._note_clock(url, skew)
        return reply

    async def get(self, url: str, tls: Tls) -> Reply:
        return await self._noted(url, self._server.get(url, tls), documents=True)

    def health(self) -> Iterator[tuple[str, Health]]:
        """The health of each server to which a request was sent, by host."""
        now = self._clock.now()
        return ((server.host, server.health(now)) for server in self._pulses)

    def clock_skews(self) -> dict[tuple[str, int], float]:
        """Return by how many seconds each token endpoint's clock is ahead, by its host and port."""
        return {(each.host, each.port): each.skew for each in self._clocks}

    def wrong_clocks(self) -> Iterator[ServerClock]:
        """Return the clocks that differ by more than servers accept."""
        return (each for each in self._clocks if each.differs_since is not None)

    def configure(self, needed: Callable[[str], bool]) -> None:
        """Drop the hosts that are not needed, and note none from now on."""
        self._needed = needed
        for server in self._pulses:
            if not needed(server.host):
                self._pulses.pop(server.host)

    async def _noted(self, url: str, asking: Awaitable[Reply], *, documents: bool = False) -> Reply:
        try:
            reply = await asking
        except TokenUnavailable as error:
            self._pulse(url, of_documents=documents).miss(self._clock.now(), str(error))
            raise
        now = self._clock.now()
        if reply.status == 429 or reply.status >= 500:
            self._pulse(url, of_documents=documents).miss(now, f"answered {reply.status}")
        else:
            self._pulse(url, of_documents=documents).beat(now)
        return reply

    def _note_clock(self, url: str, skew: float) -> None:
        known, where = self._clocks.peek(host_of(url)), addresses.http(url)
        since = known.differs_since if known is not None else None
        if since is None or abs(skew) <= NOTABLE:
            since = self._clock.now() if abs(skew) > NOTABLE else None
        self._clocks.put(host_of(url), ServerClock(where.host, where.port, skew, since))

    def _pulse(self, url: str, *, of_documents: bool) -> Pulse:
        host, now = host_of(url), self._clock.now()
        known = self._pulses.get(host)
        if known is None:
            known = _Server(host, now)
            if self._needed(host):  # else a reload came during the request
                self._pulses.put(host, known)
        return known.pulse(now, of_documents=of_documents)
