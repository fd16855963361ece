"""What is measured: every cell has a name, by which it can be chosen with a shell pattern."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Literal

UPSTREAMS = ("plain", "tls")
ANSWERS = {"200B": 200, "16KiB": 16 * 1024}
UNIQUE = "200B-unique"
"""The 200 bytes with a field that no other answer has: nothing known from the head before helps to read it."""
MESSAGE = 105
"""Bytes of a call's message and of its answer's."""
MANY_STREAMS = 1000
CONNECTIONS = (1, 32, 256)
START = "start"
IDLE = "idle"
FLEET = "fleet"
OPEN = "open-streams"
SLOW = "slow-reader"
SLOW_READERS = "slow-readers"
FLOODS: Mapping[str, str] = {
    "rapid-reset": "rapid reset",
    "made-you-reset": "made you reset",
    "continuation": "CONTINUATION",
    "ping": "PING",
    "settings": "SETTINGS",
    "empty-data": "DATA without content",
    "priority": "PRIORITY",
    "unknown": "frames of an unknown kind",
}
"""Each kind has variants; the most expensive one is shown."""
WORDS = {
    "tls": "TLS",
    "200B": "200 B",
    UNIQUE: "200 B, no head twice",
    "16KiB": "16 KiB",
    "1": "1 connection",
    "32": "32 connections",
    "256": "256 connections",
    "100-routes": "100 routes by prefix",
    "1000-routes": "1,000 routes by prefix",
    "10000-tenants": "10,000 tenants in turn",
    "10000-tokens": "10,000 tokens in memory",
    "traced": "metrics pushed and 1 % traced",
    "1-stream": "HTTP/2, 1 stream on each of 4 connections",
    "10-streams": "HTTP/2, 10 streams on each of 4 connections",
    "100-streams": "HTTP/2, 100 streams on each of 4 connections",
    "unique": "no head twice",
    "server": "HTTP/2, server streaming, 10 streams on each of 4 connections",
    **FLOODS,
    "bidi": "HTTP/2, streaming both ways, 10 streams on each of 4 connections",
}


@dataclass(frozen=True)
class Load:
    """Many small requests: each connection asks again as soon as it has its answer."""

    upstream: str
    answer: str
    connections: int
    traced: bool = False
    """Whether metrics are pushed and a share of the requests is traced."""

    @property
    def name(self) -> str:
        name = f"load/{self.upstream}/{self.answer}/{self.connections}"
        return f"{name}/traced" if self.traced else name


@dataclass(frozen=True)
class Bulk:
    """One large body on one connection, down to the client or up from it, of a known size or chunked."""

    upstream: str
    direction: str
    framing: str

    @property
    def name(self) -> str:
        return f"bulk/{self.upstream}/{self.direction}/{self.framing}"


@dataclass(frozen=True)
class Growth:
    """Many small requests among many of a kind, compared with the same among one."""

    kind: Literal["routes", "tenants", "tokens"]
    many: int
    upstream: str = "plain"

    @property
    def name(self) -> str:
        return f"growth/{self.many}-{self.kind}"


@dataclass(frozen=True)
class Calls:
    """Small calls as gRPC makes them, over HTTP/2: each stream calls again as soon as it has its answer."""

    streams: int
    """Of each connection."""
    unique: bool = False
    """Whether each call has a path of its own: nothing known from the block before helps to read it."""
    upstream: str = "plain"
    traced: bool = False
    """Whether metrics are pushed and a share of the calls is traced."""

    @property
    def name(self) -> str:
        name = f"calls/{self.streams}-stream{'' if self.streams == 1 else 's'}"
        name = f"{name}/unique" if self.unique else name
        return f"{name}/traced" if self.traced else name


@dataclass(frozen=True)
class Streams:
    """Streams of small messages as gRPC sends them, over HTTP/2: down to the client, or both ways in turn."""

    kind: Literal["server", "bidi"]
    streams: int = 10
    """Of each connection."""
    upstream: str = "plain"

    @property
    def name(self) -> str:
        return f"streams/{self.kind}"


LOADS = [*(Load(*each) for each in product(UPSTREAMS, ANSWERS, CONNECTIONS)), Load("plain", UNIQUE, 32)]
TRACED = [Load("plain", "200B", connections, traced=True) for connections in CONNECTIONS[1:]]
BULKS = [Bulk(*each) for each in product(UPSTREAMS, ("down", "up"), ("sized", "chunked"))]
STREAMS_EACH = (1, 10, 100)
CALLS = [
    *map(Calls, STREAMS_EACH),
    Calls(10, unique=True),
    *(Calls(streams, traced=True) for streams in STREAMS_EACH),
]
STREAMS = [Streams("server"), Streams("bidi")]
GROWTHS = [Growth("routes", 100), Growth("routes", 1000), Growth("tenants", 10_000), Growth("tokens", 10_000)]
NAMES = [
    *(cell.name for cell in LOADS + TRACED),
    *(cell.name for cell in BULKS),
    *(cell.name for cell in CALLS),
    *(cell.name for cell in STREAMS),
    OPEN,
    SLOW,
    SLOW_READERS,
    *(f"floods/{name}" for name in FLOODS),
    START,
    IDLE,
    FLEET,
    *(cell.name for cell in GROWTHS),
]


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the shell patterns means this cell."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def label(name: str) -> str:
    """A cell's name for people, without the kind of measurement."""
    return ", ".join(WORDS.get(word, word) for word in name.split("/")[1:])
