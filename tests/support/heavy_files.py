"""Configurations of at most 1 MiB that cost far more than their size, unless something bounds it."""

import sys
from collections.abc import Callable, Mapping

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


HEAVY: Mapping[str, str] = {
    "aliases of lists": _laughs("[x]", lambda of: f"[{of}]") + "routes: *l19",
    "aliases of mappings": _laughs("{a: x}", _mapping_of),
    "merge keys": _laughs("{a: x}", lambda of: f"{{<<: [{of}]}}"),
    "wide merges": "b: &b {" + ", ".join(f"k{n}: 1" for n in range(2000)) + "}\nl:\n" + "- {<<: *b}\n" * 5000,
    "aliases of a long text": "a: &a '" + "x" * 8000 + "'\nroutes: [" + "*a, " * 90_000 + "]",
    "an alias of itself": "a: &a {b: [*a]}\nroutes: []",
    "anchors": _numbered("l: [", lambda n: f"&a{n} x, ", "]"),
    "flow lists, nested": "[" * MIB,
    "flow mappings, nested": "{a: " * (MIB // 4),
    "block lists, nested": "- " * (MIB // 2),
    "block mappings, nested": "".join(f"{' ' * n}a:\n" for n in range(1400)),
    "complex keys, nested": "? " * (MIB // 2),
    "one-character keys": _filled("", "a:\n"),
    "different keys": _numbered("", lambda n: f"{n:x}:\n"),
    "keys of one hash": _numbered("a:\n", lambda n: f"  {n * sys.hash_info.modulus}: 1\n"),
    "keys of one hash, negative and in base 16": _numbered(
        "a:\n", lambda n: f"  {-n * sys.hash_info.modulus:#x}: 1\n"
    ),
    "keys without values in a flow": _numbered("x: {", lambda n: f"{n:x},", "}"),
    "blanks": _filled("routes:", " "),
    "empty lines": _filled("", "\n"),
    "comments": _filled("", "#\n"),
    "one comment": _filled("#", "x"),
    "tabs": _filled("a:", "\t"),
    "directives": _numbered("", lambda n: f"%TAG !{n:x}! x\n", "--- a\n"),
    "documents": _filled("", "---\n"),
    "tags": _filled("- !", "x"),
    "a long key": _filled("", "k", ": 1"),
    "a long text": _filled("a: '", "x", "'"),
    "a long block": _filled("a: |\n", "  x\n"),
    "a folded text": _filled("a: x", "\n  x"),
    "escapes": _filled('a: "', "\\u0041", '"'),
    "a bad escape at the end": _filled('a: "', "\\x41", '\\xZZ"'),
    "an open quote": _filled("a: '", "x"),
    "many texts of 8000": _numbered("listen: [", lambda n: f"'{n:08}{'x' * 7990}', ", "]"),
    "a decimal number": _filled("listen: ", "9"),
    "a hexadecimal number": _filled("listen: 0x", "f"),
    "a number to base 60": _filled("listen: 1", ":59"),
    "many numbers to base 60": _filled("a: [", "1:59:59:59:59:59:59:59:59:59, ", "]"),
    "a float": _filled("listen: 1.", "0", "e+9"),
    "dates": _filled("listen: [", "2001-12-14t21:59:43.10-05:00, ", "]"),
    "a text that a pattern tries in every way": HEAD
    + "tokens: {t: {audience: x, parameters: {a: '"
    + "!" * 8000
    + "\\x01'}}}",
    "scopes": _filled(f"{HEAD}x: [", "a,", "]"),
    "routes": _routes(lambda n: f"match: {{prefix: /{n}}}, token: t"),
    "hosts": _routes(lambda n: f"match: {{host: h{n}.test}}"),
    "too many routes": _routes(lambda n: f"match: {{prefix: /{n}}}", most=MIB),
    "routes that are all wrong": _routes(lambda n: f"match: {{prefix: /{n}}}, token: {n}"),
    "routes of tokens there are not": _routes(lambda n: f"match: {{prefix: /{n}}}, token: n{n}"),
    "tokens of credentials there are not": _numbered(
        "tokens:\n", lambda n: f"  t{n}: {{token_endpoint: 'https://a.test', credentials: n{n}}}\n", most=6000
    ),
    "credentials in one long file": _numbered(
        "credentials:\n", lambda n: f"  c{n}: {{file: /dev/zero}}\n", most=9000
    ),
}
