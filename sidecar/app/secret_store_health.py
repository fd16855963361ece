"""Whether secret stores answer, noted from the events that tell of it."""

from collections.abc import Container

from sidecar.core.health import Health, Pulse
from sidecar.core.ports import Clock
from sidecar.telemetry.events import Event, SecretRead, SecretUnread

_SILENT = frozenset({"throttled", "unreachable"})
_ANSWERED = frozenset({"missing", "denied", "malformed"})


class SecretStoreHealth:
    """Listens to the journal; that a secret is missing or denied is an answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pulse = Pulse(clock.now())
        self._service = ""  # whose secret it was
        self._services: Container[str] | None = None

    @property
    def health(self) -> Health:
        """`unknown` where none was ever asked."""
        return self._pulse.health

    def configure(self, services: Container[str], unchanged: Container[str]) -> None:
        """Listen to what is told of these services' secrets; begin again unless the last one told of is unchanged."""
        self._services = services
        if self._service not in unchanged:
            self._pulse = Pulse(self._clock.now())

    def tell(self, event: Event) -> None:
        """Note what the event says of it."""
        if not isinstance(event, SecretRead | SecretUnread):
            return
        if self._services is not None and event.service not in self._services:
            return  # a reload came while it was read
        self._service = event.service
        if isinstance(event, SecretUnread) and event.reason in _SILENT:
            self._pulse.miss(self._clock.now(), event.error)
        elif isinstance(event, SecretRead) or event.reason in _ANSWERED:
            self._pulse.beat(self._clock.now())
