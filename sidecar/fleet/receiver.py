"""The receiver of messages: the channel decides how one is read; tokens are evicted, and a select is answered."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sidecar.cache.refused_tokens import Bust
from sidecar.cache.revocations import Revocations
from sidecar.core.labels import Labels
from sidecar.core.ports import Clock
from sidecar.fleet import foreign_messages
from sidecar.fleet.answers import Dropped
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.messages import BUST_CHANNEL, FILL_CHANNEL, Inbox, ReceivedMessage, Revocation, kind_of
from sidecar.fleet.ports import Evictions, Fills, Seal
from sidecar.fleet.rejections import Rejections
from sidecar.fleet.settings import ForeignChannel
from sidecar.telemetry.fleet_events import BustApplied, BustHeard
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import BustKind, Rejection

MARGIN = 60.0
"""Seconds between the start of a fetch and the moment its token has been stored; it usually takes far less."""

Owed = Labels | Dropped
"""The record to write because of a message: another program's revocation, or the answer to a select."""
_Reader = Callable[[bytes, ClockOffset], Sequence[Owed] | Rejection]


class MessageReceiver:
    """Receive for one pod. Its only output is to its journal."""

    def __init__(
        self,
        *,
        key_prefix: str,
        pod: str,
        store_ttl: float,
        listen: Sequence[ForeignChannel],
        seal: Seal,
        evictions: Evictions,
        fills: Fills,
        revocations: Revocations,
        clock: Clock,
        journal: Journal,
    ) -> None:
        """Take `pod`, this pod's id as a sender, `listen`, the other programs' channels, and `store_ttl` in seconds."""
        self._prefix = key_prefix
        self.bust_channel = key_prefix + BUST_CHANNEL
        self.memory = store_ttl + MARGIN
        """Seconds for which a revocation is remembered: afterwards no stored token can be affected."""
        self._evictions = evictions
        self._fills = fills
        self._revocations = revocations
        self._clock = clock
        self._journal = journal
        self.rejections = Rejections(clock, journal)
        self._inbox = Inbox(channel=self.bust_channel, own=pod, verify=seal.verify)
        self._readers: dict[str, _Reader] = {
            **{foreign.channel: partial(self._foreign, foreign) for foreign in listen},
            key_prefix + FILL_CHANNEL: self._fill,
            self.bust_channel: self._bust,
        }

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels to subscribe to."""
        return tuple(self._readers)

    def hear(self, channel: str, payload: bytes, offset: ClockOffset) -> Sequence[Owed]:
        """Apply a message, or reject it; return the record to write because of it.

        `offset` is that of the store's clock.
        """
        read = self._readers.get(channel)
        heard: Sequence[Owed] | Rejection = "channel" if read is None else read(payload, offset)
        if isinstance(heard, str):
            self.rejections.add(channel, heard)
            return ()
        return heard

    def recall(self, payload: bytes, offset: ClockOffset) -> None:
        """Apply a revocation from the past; `drop_missed` follows after the last one."""
        revocation = self._inbox.recall(payload)
        if revocation is not None:
            self._revocations.add(revocation.selector, self._moment(revocation, offset))

    def drop_missed(self, generations: Mapping[str, int], unknown_until: float) -> None:
        """Drop what was revoked or bust while no messages arrived.

        `generations` are the current ones. Tokens fetched by `unknown_until` may have been revoked by a forgotten
        revocation, but later ones cannot.
        """
        self._revocations.raise_floor(min(unknown_until, self._clock.now()))
        evicted = self._evictions.evict_revoked() + self._evictions.evict_behind(generations)
        self._applied("gap", "", "", evicted)

    def revoke(self, selector: Labels, at: float) -> int:
        """Drop every selected token that was fetched by then, and those still being loaded."""
        self._revocations.add(selector, at)
        self._revocations.forget(self._clock.now() - self.memory)
        return self._evictions.evict_selected(selector, at)

    def _bust(self, payload: bytes, offset: ClockOffset) -> Sequence[Owed] | Rejection:
        message = self._inbox.read(payload)
        if isinstance(message, str):
            return message
        if self._inbox.is_own(message):
            return ()
        now = round(offset.earliest_there(self._clock.now()) * 1000)  # only here, because a flood ends above
        rejection = self._inbox.judge(message, now)
        if rejection is not None:
            return rejection
        self._tell_heard(message, max(0, now - message.at))
        match message.what:
            case Bust(fingerprint=fingerprint) as bust:
                self._applied(kind_of(bust), message.sender, fingerprint, int(self._evictions.evict(bust)))
            case Revocation(selector) as revocation:
                evicted = self.revoke(selector, self._moment(revocation, offset))
                self._applied("select", message.sender, "", evicted)
                return (Dropped(revocation.id, evicted),)
        return ()

    def _fill(self, payload: bytes, _: ClockOffset) -> Sequence[Owed] | Rejection:
        key = payload.decode(errors="replace")
        if not key.startswith(f"{self._prefix}tenant:") and not key.startswith(f"{self._prefix}m2m:"):
            return "channel"
        self._fills.filled(key.removeprefix(self._prefix))
        return ()

    def _foreign(self, foreign: ForeignChannel, payload: bytes, _: ClockOffset) -> Sequence[Owed] | Rejection:
        selectors = foreign_messages.read(foreign.dialect, payload)
        if isinstance(selectors, str):
            return selectors
        now = self._clock.now()
        evicted = {selector: self.revoke(selector, now) for selector in selectors}
        self._applied("select", foreign.channel, "", sum(evicted.values()))
        return [selector for selector, dropped in evicted.items() if dropped]

    def _moment(self, revocation: Revocation, offset: ClockOffset) -> float:
        """Return the moment on our clock, the latest it can have been, but never a future one."""
        return min(offset.latest_here(revocation.at / 1000), self._clock.now())

    def _tell_heard(self, heard: ReceivedMessage, lag_ms: int) -> None:
        kind = kind_of(heard.what) if isinstance(heard.what, Bust) else "select"
        self._journal.tell(BustHeard(kind, heard.sender, lag_ms))

    def _applied(self, kind: BustKind, origin: str, fingerprint: str, evicted: int) -> None:
        if evicted:
            self._journal.tell(BustApplied(kind, origin, fingerprint, evicted))
