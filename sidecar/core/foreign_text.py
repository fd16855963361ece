"""Text from outside, read in one way for each source: a file, the environment, a secret store, a peer's answer.

A byte order mark, which editors and shells on Windows write, is no part of a text. A single value, such as a secret or
a token, has no line break at its end either, which editors and `echo` write. A control character inside it is an error:
no client secret and no token has one (RFC 6749 appendix A), so such a text is a mistake.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from heapq import nsmallest
from string import ascii_lowercase, digits

_MARK = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNDECODED = re.compile(r"[\ud800-\udfff]")
"""Python's stand-in for bytes of the environment that are not UTF-8, and JSON's for half a character."""
_SIMILAR = 0.7
"""Lowest share of characters that similar words have in common, in the same order: 1 for equal words."""
_LONGEST_WORD = 64
"""Characters that are compared with known words, which takes quadratic time."""
MOST_COMPARED = 1000
"""Known words that are compared with another one: some 50 µs each."""
_BEGINNING = 2
"""Characters at the beginning that are compared first if there are more known words."""
_LETTERS = f"{ascii_lowercase}{digits}-_."


def decoded(found: bytes) -> str:
    """Return the text without a byte order mark. Raises ValueError, which quotes nothing of it."""
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError:
        kind = "UTF-16, not UTF-8 text; save it as UTF-8" if found.startswith(_UTF_16) else "not UTF-8 text"
        raise ValueError(f"it is {kind}") from None


def trimmed(text: str) -> str:
    """Return the text without a byte order mark and without line breaks at its end."""
    return text.removeprefix(_MARK).rstrip("\r\n")


def document(text: str) -> str:
    """Return the text trimmed, of one line or several. Raises ValueError, which quotes nothing of it."""
    found = trimmed(text)
    if not found.strip():
        raise ValueError("it is empty")
    if _UNDECODED.search(found):
        raise ValueError("it is not UTF-8 text")
    return found


def value(text: str) -> str:
    """Return the single value that the text holds. Raises ValueError, which quotes nothing of it."""
    found = document(text)
    if _CONTROL.search(found):
        raise ValueError("it holds a control character or a line break; write only the value, on one line")
    return found


def parse_object(text: str | bytes) -> dict[str, object] | None:
    """Return the members of a JSON object (RFC 8259); None for any other JSON, and for what is none."""
    try:
        members = json.loads(decoded(text) if isinstance(text, bytes) else text.removeprefix(_MARK))
    except (ValueError, RecursionError):  # not UTF-8 is a ValueError, too deep is the other
        return None
    return members if isinstance(members, dict) else None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, "" if none is similar.

    The comparison takes a bounded time, because it uses only the known words that differ by a single typing error. If
    there are none, it uses all known words, or of many words those with the same beginning.
    """
    folded = {each.casefold(): each for each in known}
    sought = word[:_LONGEST_WORD].casefold()
    if not sought.strip("-_"):
        return ""
    likely = _likely(sought, folded)
    found = get_close_matches(sought, likely, n=1, cutoff=_SIMILAR)
    meant = found[0] if found else min((each for each in likely if each.startswith(sought)), default="")
    return folded.get(meant, "")


def _likely(sought: str, known: Mapping[str, str]) -> Collection[str]:
    mistyped = sorted(each for each in _with_a_typing_error(sought) if each in known)
    if mistyped or len(known) <= MOST_COMPARED:
        return mistyped or known
    beginning = sought[:_BEGINNING]
    return nsmallest(MOST_COMPARED, (each for each in known if each.startswith(beginning)))


def _with_a_typing_error(word: str) -> set[str]:
    """Return the word, and it with a character more, less or another, or with two neighbours swapped."""
    halves = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    less = {before + after[1:] for before, after in halves}
    swapped = {before + after[1::-1] + after[2:] for before, after in halves}
    more = {
        before + letter + rest
        for before, after in halves
        for letter in _LETTERS
        for rest in (after, after[1:])
    }
    return less | swapped | more
