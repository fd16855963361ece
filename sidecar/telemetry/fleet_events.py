"""What the sidecar tells of the fleet: busts, and the Redis that the pods share."""

from dataclasses import dataclass
from typing import ClassVar

from sidecar.telemetry.events import Event
from sidecar.telemetry.words import NEIGHBOURS, BustKind, BustStep, Level, Rejection


@dataclass(frozen=True, slots=True)
class BustSent(Event):
    """This pod declared a token dead, and every connected pod was sent that."""

    name: ClassVar[str] = "bust_sent"
    token: str
    service: str
    tenant: str
    fp: str


@dataclass(frozen=True, slots=True)
class BustFailed(Event):
    """Redis did not publish a bust, so that it holds in this pod only; or published it and did not record it."""

    name: ClassVar[str] = "bust_failed"
    level: ClassVar[Level] = "warning"
    kind: BustKind
    select: str
    """The labels of what was bust, as `select_sent` writes them."""
    fp: str
    """The token or credentials, "" for a select."""
    step: BustStep
    error: str


@dataclass(frozen=True, slots=True)
class SelectSent(Event):
    """An operator declared every token dead that carries these labels, in every pod."""

    name: ClassVar[str] = "select_sent"
    select: str
    """The labels as `tenant=acme service=ledger`, or `all`."""
    pods: int
    """How many heard it, this one too."""


@dataclass(frozen=True, slots=True)
class BustApplied(Event):
    """Somebody else declared tokens dead, or Redis knew of it, and this pod dropped what it held of them."""

    name: ClassVar[str] = "bust_applied"
    kind: BustKind
    origin: str
    """The pod that said so, or the other program's channel; "" for what was found out after a gap."""
    fp: str
    """The token, "" where it may be several."""
    evicted: int


@dataclass(frozen=True, slots=True)
class BustHeard(Event):
    """Another pod told of dead tokens, whether this one held any or not."""

    name: ClassVar[str] = "bust_heard"
    level: ClassVar[Level] = "debug"
    kind: BustKind
    origin: str
    """The pod that said so."""
    lag_ms: float
    """How long that was ago, by Redis's clock: at least this."""


@dataclass(frozen=True, slots=True)
class BustRejected(Event):
    """Messages that may not bust anything: forged, altered, old, replayed or no messages at all."""

    name: ClassVar[str] = "bust_rejected"
    level: ClassVar[Level] = "warning"
    channel: str
    reason: Rejection
    """Of most of them, as is the channel."""
    count: int
    """How many since the last such event."""


@dataclass(frozen=True, slots=True)
class Unencrypted(Event):
    """Redis gets tokens in the clear and anybody there can bust: `redis.encryption` is `none`."""

    name: ClassVar[str] = "unencrypted"
    level: ClassVar[Level] = "warning"


@dataclass(frozen=True, slots=True)
class StoreDown(Event):
    """Redis is unavailable, or does not let the pod subscribe: requests go on with memory and authorization server."""

    name: ClassVar[str] = "store_down"
    level: ClassVar[Level] = "warning"
    error: str
    """The server's words, or why there was no answer."""
    neighbour: str = NEIGHBOURS["store"].name
    """What failed first, by its name in the glossary: Redis, or busts of other pods."""


@dataclass(frozen=True, slots=True)
class StoreUp(Event):
    """It does both again."""

    name: ClassVar[str] = "store_up"
    seconds: float
    """How long it did not."""
    neighbour: str = NEIGHBOURS["store"].name
    """As in the `store_down` before it."""


@dataclass(frozen=True, slots=True)
class StoreDenied(Event):
    """Redis denied a command, a key or a channel that an operation requires: its user lacks a permission.

    Emitted once, until the operation succeeds again.
    """

    name: ClassVar[str] = "store_denied"
    level: ClassVar[Level] = "error"
    operation: str
    error: str
    """The server's words."""
