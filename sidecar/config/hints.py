"""Proposals in faults: the key, name or form that was probably meant.

Only keys of the schema and names of entries are quoted. The text in the file is not, because it may be a misplaced
secret.
"""

import re
from collections.abc import Collection, Iterable
from itertools import islice

from sidecar.core.foreign_text import nearest

_MOST_NAMES = 20
"""Entries that a fault lists."""
_LONGEST_NAME = 64
_COMMAND = re.compile(r"\$\([A-Za-z_]\w*\)")
_VARIABLE = re.compile(r"(?<![\w$])\$[A-Z_][A-Z0-9_]+(?!\w)")
_ONE_VARIABLE = re.compile(r"\$[A-Za-z_]\w*")
_WORD = re.compile(r"[\w.-]*")
_JOINED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(: ?|=| )[^\s/]")
"""A key and its value as one text, because there is no blank or no colon between them."""


def misspelt(written: object, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, "" if none is similar."""
    word = str(written)[: _LONGEST_NAME + 1]
    return "" if len(word) > _LONGEST_NAME else nearest(word, known)


def unknown_entry(written: str, known: Collection[str]) -> str:
    """Return the fault of a name that no entry has."""
    meant = misspelt(written, known)
    if meant:
        return f"there is no such entry; did you mean {meant}?"
    names = ", ".join(islice(known, _MOST_NAMES))
    more = f" and {len(known) - _MOST_NAMES:,} more" if len(known) > _MOST_NAMES else ""
    return f"there is no such entry; there is: {names or 'nothing yet'}{more}"


def form(wanted: str, value: object, keys: Collection[str] = ()) -> str:
    """Return the form to write instead of another; `keys` are those that a mapping there has."""
    if isinstance(value, list) and "mapping" in wanted:
        return f"{wanted}, not a list: remove the dashes"
    if isinstance(value, dict) and "list" in wanted:
        return f"{wanted}, not a mapping: begin each entry with a dash"
    if key := joined(value, keys):
        return f"{wanted}; {separate(key)}"
    if value is None:
        return f"{wanted}; nothing is written here, or it is not indented"
    return f"{wanted}, such as [a, b]" if "list" in wanted else wanted


def joined(value: object, keys: Collection[str]) -> str:
    """Return the key if the text is a key and its value in one, "" if it is not."""
    found = _JOINED.match(value) if isinstance(value, str) else None
    return found[1] if found is not None and found[1] in keys else ""


def shown(key: object) -> str:
    """Return the part of an unknown key that is a word: the rest may be a value, and so a secret."""
    found = _WORD.match(str(key))
    return found[0] if found is not None else ""


def separate(key: str) -> str:
    """Return how to separate a key from its value."""
    return f"write a colon and a blank after `{key}`"


def text_form(value: object) -> str:
    """Return the form to write instead of a value that is no text."""
    if isinstance(value, dict):
        return "must be text, not a mapping: put it in quotes if it begins with a brace"
    if isinstance(value, list):
        return "must be text, not a list: put it in quotes if it begins with a bracket"
    return "must be text: nothing is written here" if value is None else "must be text: put it in quotes"


def number_form(least: float | None, most: float | None) -> str:
    """Return the form to write instead of a value that is no whole number within these bounds."""
    if least is not None and most is not None:
        return f"write a whole number from {least:,} to {most:,}"
    return "write a whole number" + (f" of at least {least:,}" if least is not None else "")


def unknown_key(meant: str, home: str, empty: str, known: Collection[str]) -> str:
    """Return the fault of an unknown key: misspelt, or part of `home` or of the `empty` key beside it."""
    if meant:
        return f"unknown key; did you mean {meant}?"
    if home:
        return f"unknown key; it belongs {home}"
    if empty:
        return f"unknown key; if it belongs in {empty}, which is empty, indent it"
    return f"unknown key; known here: {', '.join(known)}"


def unexpanded(text: str) -> str:
    """Return the form of a variable or template that a program should have replaced, "" if there is none."""
    if "$" not in text and "{{" not in text:
        return ""
    for opening, closing in (("${", "}"), ("{{", "}}")):
        if closing in text.partition(opening)[2]:
            return f"{opening}…{closing}"
    if _COMMAND.search(text):
        return "$(…)"
    return "$NAME" if _VARIABLE.search(text) or _ONE_VARIABLE.fullmatch(text) else ""


def is_unexpanded(secret: str) -> bool:
    """Return whether the secret is such a variable or template and nothing else."""
    opening = secret[:2] in {"${", "$(", "{{"} and secret[-1:] in {"}", ")"}
    return bool(unexpanded(secret)) and (opening or _ONE_VARIABLE.fullmatch(secret) is not None)


def literally(form: str) -> str:
    """Return the remedy for a variable or template that was not replaced."""
    return f"{form} is taken literally, because the sidecar replaces no variables in values: write the value itself"


def also_literal(reason: str, text: str) -> str:
    """Return the reason of a fault, and where it comes from if that is a variable that was not replaced."""
    form = unexpanded(text)
    return f"{reason}; {literally(form)}" if form else reason
