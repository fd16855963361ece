"""What the sidecar logs about the fleet: busts, and the Redis that the pods share. See `events`."""

from dataclasses import dataclass
from typing import ClassVar

from sidecar.telemetry.events import Event
from sidecar.telemetry.words import NEIGHBOURS, BustKind, BustStep, Level, Rejection


@dataclass(frozen=True, slots=True)
class BustSent(Event):
    """This pod busted a refused token: it dropped the token and published the bust to all pods."""

    name: ClassVar[str] = "bust_sent"
    token: str
    service: str
    tenant: str
    fp: str


@dataclass(frozen=True, slots=True)
class BustFailed(Event):
    """A bust may not have reached all pods."""

    name: ClassVar[str] = "bust_failed"
    level: ClassVar[Level] = "warning"
    kind: BustKind
    select: str
    """Labels of the tokens that were bust, as in `select_sent`."""
    fp: str
    """Fingerprint of the token or credentials; empty for a select."""
    step: BustStep
    error: str


@dataclass(frozen=True, slots=True)
class SelectSent(Event):
    """An operator busted all tokens with these labels, in all pods."""

    name: ClassVar[str] = "select_sent"
    select: str
    """The labels, such as `tenant=acme service=ledger`, or `all`."""
    pods: int
    """Pods that received the bust, including this one."""


@dataclass(frozen=True, slots=True)
class BustApplied(Event):
    """This pod dropped tokens because of a bust from another pod, an operator or another program."""

    name: ClassVar[str] = "bust_applied"
    kind: BustKind
    origin: str
    """Pod that published the bust, or channel of the other program; empty for a gap."""
    fp: str
    """Fingerprint of the token; empty if there may be several."""
    evicted: int
    """Number of tokens dropped."""


@dataclass(frozen=True, slots=True)
class BustHeard(Event):
    """This pod received a bust from another pod, whether it held such tokens or not."""

    name: ClassVar[str] = "bust_heard"
    level: ClassVar[Level] = "debug"
    kind: BustKind
    origin: str
    """Pod that published the bust."""
    lag_ms: float
    """Minimum time since then in milliseconds, by Redis's clock."""


@dataclass(frozen=True, slots=True)
class BustRejected(Event):
    """Messages on a bust channel were rejected. Emitted for the first one, then at most once a minute."""

    name: ClassVar[str] = "bust_rejected"
    level: ClassVar[Level] = "warning"
    channel: str
    """Channel of most of them."""
    reason: Rejection
    """Reason for most of them."""
    count: int
    """Number of messages since the last such event."""


@dataclass(frozen=True, slots=True)
class Unencrypted(Event):
    """At start: `redis.encryption` is `none`, so every client of Redis can read tokens and bust them."""

    name: ClassVar[str] = "unencrypted"
    level: ClassVar[Level] = "warning"


@dataclass(frozen=True, slots=True)
class StoreDown(Event):
    """Redis is unavailable, or busts of other pods do not arrive. The sidecar continues without it."""

    name: ClassVar[str] = "store_down"
    level: ClassVar[Level] = "warning"
    error: str
    """Error that Redis returned, or the reason why it did not answer."""
    neighbour: str = NEIGHBOURS["store"].name
    """What failed first: `Redis`, or `busts of other pods`."""


@dataclass(frozen=True, slots=True)
class StoreUp(Event):
    """Redis answers, and busts of other pods arrive again."""

    name: ClassVar[str] = "store_up"
    seconds: float
    """Duration of the outage in seconds."""
    neighbour: str = NEIGHBOURS["store"].name
    """As in the `store_down` before it."""


@dataclass(frozen=True, slots=True)
class StoreDenied(Event):
    """Redis denied a command, a key or a channel, because the ACL user lacks a permission.

    Emitted once, until the operation succeeds again. `sidecar check` names the permission.
    """

    name: ClassVar[str] = "store_denied"
    level: ClassVar[Level] = "error"
    operation: str
    """Name of the operation."""
    error: str
    """Error that Redis returned."""
