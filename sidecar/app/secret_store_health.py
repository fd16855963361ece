"""Whether secret stores answer, and which secrets cannot be read, derived from events."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from sidecar.core.health import Health, Pulse, together
from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.telemetry.events import Event, SecretRead, SecretUnread
from sidecar.telemetry.words import SecretFault

MOST_SERVICES = 1000
"""Services whose secrets are remembered."""
MOST_SECRETS = 1000
"""Secrets that could not be read and are remembered."""
_SILENT = frozenset({"throttled", "unreachable"})
_ANSWERED = frozenset({"missing", "denied", "malformed"})


class SecretStoreHealth:
    """Receive events from the journal; a missing or denied secret counts as an answer.

    Services may read from other regions: an answer to one does not change the date of another's failure.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unused = Pulse(clock.now()).health
        self._pulses: Lru[Pulse] = Lru(MOST_SERVICES)
        self._services: Container[str] | None = None

    @property
    def health(self) -> Health:
        """Return the health, `unknown` if there was no request."""
        return together([pulse.health for pulse in self._pulses] or [self._unused])

    def configure(self, services: Container[str], unchanged: Container[str]) -> None:
        """Take events of these services' secrets; reset the state of those that have changed."""
        self._services = services
        for service, _ in self._pulses.entries():
            if service not in unchanged:
                self._pulses.pop(service)

    def tell(self, event: Event) -> None:
        """Note the result in the event."""
        if not isinstance(event, SecretRead | SecretUnread):
            return
        if self._services is not None and event.service not in self._services:
            return  # a reload came while it was read
        now = self._clock.now()
        pulse = self._pulses.get(event.service) or Pulse(now)
        self._pulses.put(event.service, pulse)
        if isinstance(event, SecretUnread) and event.reason in _SILENT:
            pulse.miss(now, event.error)
        elif isinstance(event, SecretRead) or event.reason in _ANSWERED:
            pulse.beat(now)


@dataclass(frozen=True, slots=True)
class Unread:
    """A secret that cannot be read. `since` and `last` are moments."""

    service: str
    tenant: str
    reason: SecretFault
    since: float
    last: float


class UnreadSecrets:
    """Receive events from the journal: a secret that could not be read stays unread until it is read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unread: Lru[Unread] = Lru(MOST_SECRETS)
        self._services: Container[str] | None = None

    def __iter__(self) -> Iterator[Unread]:
        """Return the secrets whose last read failed."""
        return iter(self._unread)

    def configure(self, services: Container[str], unchanged: Container[str]) -> None:
        """Take events of these services' secrets; forget the secrets of those that have changed."""
        self._services = services
        for key, unread in self._unread.entries():
            if unread.service not in unchanged:
                self._unread.pop(key)

    def tell(self, event: Event) -> None:
        """Note the result in the event."""
        if not isinstance(event, SecretRead | SecretUnread):
            return
        if self._services is not None and event.service not in self._services:
            return  # a reload came while it was read
        key = f"{event.service} {event.tenant}"
        known, now = self._unread.pop(key), self._clock.now()
        if isinstance(event, SecretUnread):
            since = known.since if known is not None else now
            self._unread.put(key, Unread(event.service, event.tenant, event.reason, since, now))
