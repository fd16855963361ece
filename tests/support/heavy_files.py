"""Configurations of at most 1 MiB that cost far more than their size, unless something bounds it."""

import sys
from collections.abc import Callable, Iterator, Mapping

MIB = 1 << 20
TOKEN = "token_endpoint: 'https://a.test', client_auth: none, credentials: c"
HEAD = f"credentials: {{c: {{client_id: c}}}}\ntokens: {{t: {{{TOKEN}}}}}\n"


def _filled(begin: str, part: str, end: str = "") -> str:
    """`part` as often as 1 MiB allows."""
    return begin + part * ((MIB - len(begin) - len(end)) // len(part)) + end


def _numbered(begin: str, part: Callable[[int], str], end: str = "", most: int = MIB) -> str:
    """One `part` after the other, as many as 1 MiB allows, or `most`."""
    parts, length, number = [begin], len(begin) + len(end), 0
    while length + len(text := part(number)) <= MIB and number < most:
        parts.append(text)
        length += len(text)
        number += 1
    return "".join([*parts, end])


def _laughs(first: str, item: Callable[[str], str], levels: int = 20, width: int = 20) -> str:
    """Each level names the one before it `width` times."""
    lines = [f"l0: &l0 {first}"]
    lines += [f"l{n}: &l{n} {item(', '.join([f'*l{n - 1}'] * width))}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def _mapping_of(aliases: str) -> str:
    """`{k0: *a, k1: *b}`."""
    return "{" + ", ".join(f"k{number}: {alias}" for number, alias in enumerate(aliases.split(", "))) + "}"


def _routes(keys: Callable[[int], str], most: int = 6000) -> str:
    """Routes that differ in name and in these keys."""
    return _numbered(
        f"{HEAD}routes:\n", lambda n: f"- {{name: r{n}, upstream: 'http://u', {keys(n)}}}\n", most=most
    )


class _Made(Mapping[str, str]):
    """Texts by name, each made when it is looked up: together they take 40 MiB, and half a second."""

    def __init__(self, makers: Mapping[str, Callable[[], str]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> str:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


HEAVY: Mapping[str, str] = _Made(
    {
        "aliases of lists": lambda: _laughs("[x]", lambda of: f"[{of}]") + "routes: *l19",
        "aliases of mappings": lambda: _laughs("{a: x}", _mapping_of),
        "merge keys": lambda: _laughs("{a: x}", lambda of: f"{{<<: [{of}]}}"),
        "wide merges": lambda: (
            "b: &b {" + ", ".join(f"k{n}: 1" for n in range(2000)) + "}\nl:\n" + "- {<<: *b}\n" * 5000
        ),
        "aliases of a long text": lambda: "a: &a '" + "x" * 8000 + "'\nroutes: [" + "*a, " * 90_000 + "]",
        "an alias of itself": lambda: "a: &a {b: [*a]}\nroutes: []",
        "anchors": lambda: _numbered("l: [", lambda n: f"&a{n} x, ", "]"),
        "flow lists, nested": lambda: "[" * MIB,
        "flow mappings, nested": lambda: "{a: " * (MIB // 4),
        "block lists, nested": lambda: "- " * (MIB // 2),
        "block mappings, nested": lambda: "".join(f"{' ' * n}a:\n" for n in range(1400)),
        "complex keys, nested": lambda: "? " * (MIB // 2),
        "one-character keys": lambda: _filled("", "a:\n"),
        "different keys": lambda: _numbered("", lambda n: f"{n:x}:\n"),
        "keys of one hash": lambda: _numbered("a:\n", lambda n: f"  {n * sys.hash_info.modulus}: 1\n"),
        "keys of one hash, negative and in base 16": lambda: _numbered(
            "a:\n", lambda n: f"  {-n * sys.hash_info.modulus:#x}: 1\n"
        ),
        "keys without values in a flow": lambda: _numbered("x: {", lambda n: f"{n:x},", "}"),
        "blanks": lambda: _filled("routes:", " "),
        "empty lines": lambda: _filled("", "\n"),
        "comments": lambda: _filled("", "#\n"),
        "one comment": lambda: _filled("#", "x"),
        "tabs": lambda: _filled("a:", "\t"),
        "directives": lambda: _numbered("", lambda n: f"%TAG !{n:x}! x\n", "--- a\n"),
        "documents": lambda: _filled("", "---\n"),
        "tags": lambda: _filled("- !", "x"),
        "a long key": lambda: _filled("", "k", ": 1"),
        "a long text": lambda: _filled("a: '", "x", "'"),
        "a long block": lambda: _filled("a: |\n", "  x\n"),
        "a folded text": lambda: _filled("a: x", "\n  x"),
        "escapes": lambda: _filled('a: "', "\\u0041", '"'),
        "a bad escape at the end": lambda: _filled('a: "', "\\x41", '\\xZZ"'),
        "an open quote": lambda: _filled("a: '", "x"),
        "many texts of 8000": lambda: _numbered("listen: [", lambda n: f"'{n:08}{'x' * 7990}', ", "]"),
        "a decimal number": lambda: _filled("listen: ", "9"),
        "a hexadecimal number": lambda: _filled("listen: 0x", "f"),
        "a number to base 60": lambda: _filled("listen: 1", ":59"),
        "many numbers to base 60": lambda: _filled("a: [", "1:59:59:59:59:59:59:59:59:59, ", "]"),
        "a float": lambda: _filled("listen: 1.", "0", "e+9"),
        "dates": lambda: _filled("listen: [", "2001-12-14t21:59:43.10-05:00, ", "]"),
        "a text that a pattern tries in every way": lambda: (
            HEAD + "tokens: {t: {audience: x, parameters: {a: '" + "!" * 8000 + "\\x01'}}}"
        ),
        "scopes": lambda: _filled(f"{HEAD}x: [", "a,", "]"),
        "routes": lambda: _routes(lambda n: f"match: {{prefix: /{n}}}, token: t"),
        "hosts": lambda: _routes(lambda n: f"match: {{host: h{n}.test}}"),
        "too many routes": lambda: _routes(lambda n: f"match: {{prefix: /{n}}}", most=MIB),
        "routes that are all wrong": lambda: _routes(lambda n: f"match: {{prefix: /{n}}}, token: {n}"),
        "routes of tokens there are not": lambda: _routes(lambda n: f"match: {{prefix: /{n}}}, token: n{n}"),
        "tokens of credentials there are not": lambda: _numbered(
            "tokens:\n",
            lambda n: f"  t{n}: {{token_endpoint: 'https://a.test', credentials: n{n}}}\n",
            most=6000,
        ),
        "credentials in one long file": lambda: _numbered(
            "credentials:\n", lambda n: f"  c{n}: {{file: /dev/zero}}\n", most=9000
        ),
    }
)
