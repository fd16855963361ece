"""Whether secret stores answer, noted from the events that tell of it."""

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

    @property
    def health(self) -> Health:
        """`unknown` where none was ever asked."""
        return self._pulse.health

    def tell(self, event: Event) -> None:
        """Note what the event says of it."""
        if isinstance(event, SecretUnread) and event.reason in _SILENT:
            self._pulse.miss(self._clock.now(), event.error)
        elif isinstance(event, SecretRead) or (isinstance(event, SecretUnread) and event.reason in _ANSWERED):
            self._pulse.beat(self._clock.now())
