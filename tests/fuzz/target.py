"""What a fuzz target is, and the list of targets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from zlib import crc32

JUDGED: Mapping[str, tuple[str, ...]] = {
    "request_heads": ("sidecar.http1.message", "sidecar.http1.headers", "sidecar.http1.next_hop"),
    "response_heads": ("sidecar.http1.message", "sidecar.http1.headers", "sidecar.http1.foreign"),
    "chunked_bodies": ("sidecar.http1.body",),
    "request_targets": ("sidecar.proxy.target",),
    "challenges": ("sidecar.proxy.challenge",),
    "messages": ("sidecar.fleet.messages", "sidecar.fleet.foreign_messages", "sidecar.fleet.answers"),
    "stored_values": ("sidecar.fleet.stored_value", "sidecar.fleet.seal"),
    "hpack_blocks": ("sidecar.http2.hpack", "sidecar.http2.hpack_tables", "sidecar.http2.fields"),
    "grpc_fields": ("sidecar.grpc.fields", "sidecar.http2.heads", "sidecar.http2.messages"),
    "http2_server": ("sidecar.http2.connection", "sidecar.http2.server", "sidecar.http2.header_block"),
    "http2_upstream": ("sidecar.http2.connection", "sidecar.http2.upstream", "sidecar.http2.relay"),
}
"""The targets, modules of `tests.fuzz.targets`, and the modules of the sidecar whose coverage is reported."""

_SHORT = 512
"""Bytes of an input up to which `few_cuts` cuts at every byte."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target."""

    check: Callable[[bytes], None]
    """Raises AssertionError if an oracle fails. Any other exception is a finding too."""
    seeds: Sequence[bytes]
    """Inputs to begin with."""
    words: Sequence[bytes]
    """Words of the grammar, for the fuzzer's dictionary."""


def load(name: str) -> Target:
    """Import a target."""
    found = import_module(f"tests.fuzz.targets.{name}").TARGET
    assert isinstance(found, Target)
    return found


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Cut the bytes as networks may: in small steps, and in two at a few places that depend on them."""
    yield from in_steps(data, 1, 7, 61)
    yield from in_two(data, 4)


def few_cuts(data: bytes) -> Iterator[list[bytes]]:
    """Cut the bytes as networks may, in ways that take less time."""
    yield from in_steps(data, 1 if len(data) <= _SHORT else 61)
    yield from in_two(data, 1)


def in_steps(data: bytes, *steps: int) -> Iterator[list[bytes]]:
    """Cut the bytes in pieces of one size."""
    for step in steps:
        yield [data[at : at + step] for at in range(0, len(data), step)]


def in_two(data: bytes, times: int) -> Iterator[list[bytes]]:
    """Cut the bytes in two at places that depend on them."""
    places = crc32(data).to_bytes(4, "big")[:times]
    for at in {place * len(data) // 256 for place in places} - {0}:
        yield [data[:at], data[at:]]
