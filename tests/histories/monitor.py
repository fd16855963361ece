"""What Redis executes, by its command MONITOR: lines to events of the history."""

import ast
import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from tests.histories.history import Busted, Deleted, Event, Extended, Filling, Lost, Part, Wrote
from tests.support.waiting import PATIENCE

_LINE = re.compile(rb"\+?(\d+\.\d+) \[\d+ ([^\]]*)\] (.*)")
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_KEY = re.compile(r"\{?(?P<whole>.*?m2m:(?P<service>[^:]+):token:[0-9a-f]{64})(?:\}:(?P<suffix>\w+))?")
_PARTS: Mapping[str | None, Part] = {
    None: "value",
    "gen": "gen",
    "lease": "lease",
    "fail": "fail",
    "cool": "cool",
    "dead": "dead",
}
_SEALED = b"1:"
_OF_FILL = 5
"""Arguments of the script that stores a token: owner, generation, value, life, channel."""


class Monitor:
    """Translate the lines of one server, in order. It must see every line."""

    def __init__(self, pod_of: Callable[[int], int], name_of: Callable[[str], str]) -> None:
        """Take `pod_of` a client's port, 0 for a client that is no pod, and `name_of` a fingerprint."""
        self._pod_of = pod_of
        self._name_of = name_of
        self._script = 0
        self._caller = 0
        self._filling: Filling | None = None
        """What the last script stores, until the first command of that script shows that it runs."""
        self.keys: dict[str, set[str]] = {}
        """The whole keys of each service: one, if all pods calculate the same."""

    def read(self, line: bytes) -> Iterator[Event]:
        """Yield the events of a line."""
        found = _LINE.match(line)
        if found is None:
            return
        at, client, rest = float(found[1]), found[2].decode(), found[3]
        words = [_unescaped(word) for word in _WORD.findall(rest)]
        if client != "lua":
            self._caller = self._pod_of(int(client.rpartition(":")[2] or 0))
            self._script += 1
            self._filling = None
        elif self._filling is not None:
            yield self._filling
            self._filling = None
        yield from self._command(at, words, scripted=client == "lua")

    def _command(self, at: float, words: Sequence[bytes], *, scripted: bool) -> Iterator[Event]:
        match words[0].upper(), words[1:]:
            case (b"FLUSHALL", _):
                yield Lost(at)
            case (b"EVALSHA" | b"EVAL", [_, b"6", key, *rest]) if len(rest) == 5 + _OF_FILL:
                value = rest[-3]
                if value.startswith(_SEALED) and (place := self._place(key)):
                    token, generation = self._header(value)
                    self._filling = Filling(at, self._caller, self._script, place[0], token, generation)
            case (b"PUBLISH", [channel, payload]) if channel.endswith(b"m2m:bust") and self._caller:
                yield from self._bust(at, payload, scripted=scripted)
            case (b"SET", [key, value, *life]):
                yield from self._set(at, key, value, int(life[1]) / 1000 if len(life) == 2 else 0.0)
            case (b"HSET", [key, b"until", until, *more]):
                if place := self._place(key):
                    ends = f"{int(until) / 1000:.3f}"
                    probing = b"probing" in more
                    yield Wrote(at, self._caller, self._script, *place, ends, 0.0, probing)
            case (b"PEXPIRE", [key, life]):
                if (place := self._place(key)) and place[1] == "lease":
                    yield Extended(at, self._caller, self._script, place[0], int(life) / 1000)
            case (b"DEL", [key]):
                if place := self._place(key):
                    yield Deleted(at, self._caller, self._script, *place)

    def _set(self, at: float, key: bytes, value: bytes, life: float) -> Iterator[Event]:
        if place := self._place(key):
            match place[1]:
                case "value":
                    text = self._header(value)[0]
                case "fail":
                    text = ""
                case "dead":
                    text = self._name_of(value.split(b" ")[0].decode())
                case _:
                    text = value.decode()
            yield Wrote(at, self._caller, self._script, *place, text, life)

    def _bust(self, at: float, payload: bytes, *, scripted: bool) -> Iterator[Event]:
        with suppress(ValueError, KeyError):
            message = json.loads(payload)
            found = _KEY.match(message["key"])
            if message["kind"] == "token" and found is not None:
                token = self._name_of(message["fp"])
                yield Busted(
                    at, self._caller, self._script, found["service"], token, message["gen"], scripted
                )

    def _place(self, key: bytes) -> tuple[str, Part] | None:
        found = _KEY.fullmatch(key.decode(errors="replace"))
        if found is None or found["suffix"] not in _PARTS:
            return None
        self.keys.setdefault(found["service"], set()).add(found["whole"])
        return found["service"], _PARTS[found["suffix"]]

    def _header(self, value: bytes) -> tuple[str, int]:
        """Return the token and the generation that a stored value names in clear."""
        _, _, mark, generation, *_ = (*value.split(b":", 4), b"", b"", b"", b"")
        return self._name_of(mark.decode(errors="replace")), int(generation or 0)


def _unescaped(word: bytes) -> bytes:
    found: bytes = ast.literal_eval(f'b"{word.decode()}"')
    return found


async def attach(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection that carries the server's lines from now on. It ends with the server."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(b"MONITOR\r\n")
        assert await reader.readline() == b"+OK\r\n"
    return reader, writer
