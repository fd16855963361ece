"""Events of a history. Each component writes what it did itself, at a moment of the one clock that all of them share.

The token server and the upstream know which token was issued, revoked and sent. Redis reports each command that it
executes (MONITOR), in its own order. Tokens have the names that the token server gave them, such as `t12`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

Part = Literal["value", "gen", "lease", "fail", "cool", "dead"]
"""What a Redis key holds: a token, or one of its companions."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at `at`, in epoch seconds."""

    at: float

    def __str__(self) -> str:
        parts = [f"{part.name}={getattr(self, part.name)!r}" for part in fields(self) if part.name != "at"]
        return f"{self.at % 1000:10.4f} {type(self).__name__:10} {' '.join(parts)}"


# Clients


@dataclass(frozen=True, slots=True)
class Asked(Event):
    """A client begins a request."""

    request: int
    pod: int
    key: str


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """A client has its response; status 0 if the connection broke, -1 if none came in time."""

    request: int
    status: int


# The token server and the upstream


@dataclass(frozen=True, slots=True)
class Fetching(Event):
    """A token request arrives."""

    fetch: int
    pod: int
    key: str


@dataclass(frozen=True, slots=True)
class Fetched(Event):
    """The token server answers; an empty token if it fails."""

    fetch: int
    token: str


@dataclass(frozen=True, slots=True)
class Sent(Event):
    """The upstream answers a request; `arrived` is when it came."""

    request: int
    token: str
    accepted: bool
    arrived: float


@dataclass(frozen=True, slots=True)
class Revoked(Event):
    """From now on the upstream refuses every token of this key that has been issued."""

    key: str


# Redis


@dataclass(frozen=True, slots=True)
class Redis(Event):
    """A command of a pod, as Redis executes it; `script` numbers the scripts, so that a script's commands share it."""

    pod: int
    script: int
    key: str


@dataclass(frozen=True, slots=True)
class Filling(Redis):
    """A script that stores a token begins: Redis may still reject the token."""

    token: str
    generation: int


@dataclass(frozen=True, slots=True)
class Wrote(Redis):
    """Redis sets a key; `life` in seconds. Of a token, `text` is the name; of a cool-down the moment of its end."""

    part: Part
    text: str
    life: float
    probing: bool = False


@dataclass(frozen=True, slots=True)
class Extended(Redis):
    """Redis prolongs a lease by `life` seconds from now."""

    life: float


@dataclass(frozen=True, slots=True)
class Deleted(Redis):
    """Redis deletes a key, which need not exist."""

    part: Part


@dataclass(frozen=True, slots=True)
class Busted(Redis):
    """Redis publishes a bust. `scripted`: by the script of busts, which also records it."""

    token: str
    generation: int
    scripted: bool


@dataclass(frozen=True, slots=True)
class Lost(Event):
    """Redis loses its data."""


# Operators and pods


@dataclass(frozen=True, slots=True)
class Selected(Event):
    """An operator has bust every token of the key whose fetch began by `begun`."""

    key: str
    begun: float


@dataclass(frozen=True, slots=True)
class Forged(Event):
    """A client without the fleet's key publishes a bust."""

    key: str
    token: str


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """A pod has started."""

    pod: int


@dataclass(frozen=True, slots=True)
class Left(Event):
    """A pod has ended."""

    pod: int


@dataclass(frozen=True, slots=True)
class Cut(Event):
    """From now on a pod may miss messages: its link to Redis, or Redis itself, fails."""

    pod: int


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """A pod has received all that was published by `since`. `failures` of its Redis operations it had by then."""

    pod: int
    since: float
    failures: int


@dataclass(frozen=True, slots=True)
class Dropped(Event):
    """A pod logged that it dropped a token because of the bust that names it."""

    pod: int
    token: str


@dataclass(frozen=True, slots=True)
class CoolingDown(Event):
    """A pod logged that it began a cool-down."""

    pod: int
    key: str


@dataclass(frozen=True, slots=True)
class Waited(Event):
    """A wait of the driver for `what` exceeded its limit."""

    what: str


History = Sequence[Event]
"""In the order of time; what Redis executes, in its own order."""
