"""The page of limits, from the docstrings of constants of the form `Limit: WHAT (UNIT). Beyond: WHAT HAPPENS.`"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import NamedTuple

import sidecar
from tests.support.programs.pages import docstrings
from tests.support.programs.pages.markdown import page, prose, sentence, table

_LIMIT = re.compile(r"Limit: (.+) \(([a-z]+)\)\. Beyond: (.+)\.")
_MODULE = re.compile(r'^ *"""(?:[^"]|"(?!""))*Limit: ', re.MULTILINE)
ROOMS: Mapping[str, str] = {
    "http1": "Requests, responses and connections",
    "http2": "HTTP/2",
    "oauth": "Token requests",
    "cache": "Tokens",
    "credentials": "Credentials",
    "fleet": "Redis and busts",
    "config": "Configuration",
    "app": "Reload and status",
    "system": "Files",
    "admin": "Admin server",
    "token_api": "Token API",
    "telemetry": "Log and metrics",
}
"""The heading of each room's limits, in the order of the page."""
UNITS: Mapping[str, Callable[[float], str]] = {
    "bytes": lambda value: _size(int(value)),
    "characters": lambda value: f"{int(value):,} characters",
    "number": lambda value: f"{int(value):,}",
    "seconds": lambda value: f"{value:g} s",
}
INTRODUCTION = prose(
    """These limits are fixed. Limits that you can set, such as `timeouts` and `max_connections` of a route, are in
    [configuration](configuration.md). Time limits may end up to half a second late. Bodies have no limit.""",
)
MEMORY = prose(
    """Beyond the buffer for each direction of a connection, the sidecar holds at most what it read last (256
    KiB). From a TLS upstream it holds up to 512 KiB more that are still encrypted. A thousand slow
    readers of fast TLS upstreams therefore take up to 1 GiB.""",
)
FILES = prose(
    """At start the sidecar raises its limit of open files to the hard limit (`ulimit -Hn`). Each client takes one
    file, and each connection to an upstream one more. The sidecar keeps 128 files (half of a limit below 256) for the
    admin server, Redis, authorization servers and files. Clients have two thirds of the rest, so 10,000 clients
    require a limit of 15,128. Further connections are closed at once and logged as `out_of_descriptors`.""",
)


class Limit(NamedTuple):
    """A limit, and what happens beyond it."""

    what: str
    value: str
    beyond: str


def text() -> str:
    """Return the page."""
    parts = []
    for room, heading in ROOMS.items():
        rows = [
            (sentence(each.what).rstrip("."), each.value, sentence(each.beyond)) for each in of_room(room)
        ]
        parts += [f"## {heading}", table(("Limit", "Value", "Beyond it"), rows)]
    return page(
        "Limits", "docstrings of constants", INTRODUCTION, *parts, "## Memory", MEMORY, "## Open files", FILES
    )


def of_room(room: str) -> Iterator[Limit]:
    """Return the limits of a room, by module, each in the order of its source."""
    package = importlib.import_module(f"sidecar.{room}")
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        if _MODULE.search(inspect.getsource(module)):
            yield from _of_module(module)


def rooms() -> set[str]:
    """Return the rooms that there are."""
    return {found.name for found in pkgutil.iter_modules(sidecar.__path__) if found.ispkg}


def _of_module(module: ModuleType) -> Iterator[Limit]:
    yield from _limits(docstrings.of_constants(module), vars(module))
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__ and is_dataclass(value):
            defaults = {field.name: field.default for field in fields(value)}
            yield from _limits(docstrings.of_fields(value), defaults)


def _limits(documented: Mapping[str, str], values: Mapping[str, object]) -> Iterator[Limit]:
    for name, meaning in documented.items():
        if "Limit:" not in meaning:
            continue
        found = _LIMIT.search(meaning)
        value = values[name]
        assert found is not None, f"{name}: write Limit: WHAT (UNIT). Beyond: WHAT HAPPENS."
        assert isinstance(value, int | float), name
        yield Limit(found[1], UNITS[found[2]](value), found[3])


def _size(number: int) -> str:
    if number % 1024:
        return f"{number} bytes"
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"
