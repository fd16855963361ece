"""Why a text is no YAML: the fault, its line, and what to write.

libyaml reports where its grammar ended, often lines after the mistake. So the rules below read the lines around it.
Each rule detects one mistake, and the first match decides. Nothing of the text is quoted but single characters that
YAML reserves, because anything else may be a misplaced secret.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

ALIAS = "a value begins with *, and there is no anchor of that name: put it in quotes"
TYPE = "a value begins with !, which names a type: put it in quotes"
SECOND_DOCUMENT = "a second document begins here: keep one, without --- between"

_SIGNS = {
    "directive": "a line begins with %: put the value in quotes, or delete the line",
    "alias": ALIAS,
    "anchor": "a value begins with &, which names an anchor: put it in quotes",
    "tag": TYPE,
    "block scalar": "a value begins with | or >: put it in quotes",
}
"""The parser's names for the signs that YAML reserves."""

BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1."""
_BEFORE, _AFTER = 16_384, 4_096
"""Characters before and after the problem that are read."""
_LONGEST_LINE = 400
_LINES_OF_A_VALUE = 20
"""Lines in which a quote without an end is searched."""
_ODD = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TABBED = re.compile(r"^ *\t", re.MULTILINE)
_MOST_TABBED = 1000
_KEY = r"^\s*(?:- +)*[\w.-]+"
_JOINED_DASH = r"\s*-[^\s-]"
_CONFLICT = re.compile(r"^(?:<<<<<<<|=======|>>>>>>>)(?: |$)")


@dataclass(frozen=True, slots=True)
class Mark:
    """Position of the parser. Lines and columns count from 0."""

    index: int
    line: int
    column: int


Reason = tuple[int, str]
"""The line, from 1, and what to do there."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """The problem as the parser reports it, and the lines around it."""

    problem: str
    context: str
    line: int
    """From 1, as are all here."""
    column: int
    """From 0."""
    began: int
    """The line where the value that was being read begins."""
    began_column: int
    lines: dict[int, str]
    tabbed: int
    """Lines of the text that begin with a tab."""

    @property
    def text(self) -> str:
        return self.lines.get(self.line, "")

    @property
    def character(self) -> str:
        return self.text[self.column : self.column + 1]

    @property
    def before(self) -> str:
        return self.text[: self.column]

    def previous(self) -> int:
        """Return the last line before that is neither empty nor a comment; 0 if there is none."""
        number = self.line - 1
        while number in self.lines and not re.match(r"\s*[^\s#]", self.lines[number]):
            number -= 1
        return number if number in self.lines else 0


def odd_character(text: str) -> Reason | None:
    """Find the first character that YAML does not allow."""
    odd = _ODD.search(text)
    if odd is None:
        return None
    line = len(BREAK.findall(text, 0, odd.start())) + 1
    return line, f"the character U+{ord(odd[0]):04X}, which YAML does not allow: delete it"


def explain(text: str, problem: str, context: str, at: Mark, began: Mark | None) -> Reason:
    """Return the fault in a text that the parser stopped reading at a mark."""
    if not text.endswith("\n") and at.index >= len(text):  # the parser counts this mark as a line
        text, at = f"{text}\n", replace(at, index=len(text) + 1)
    tabbed = sum(1 for _, _ in zip(_TABBED.finditer(text), range(_MOST_TABBED), strict=False))
    begin = began or at
    spot = _Spot(
        problem, context, at.line + 1, at.column, begin.line + 1, begin.column, _lines(text, at), tabbed
    )
    for rule in _RULES:
        if (reason := rule(spot)) is not None:
            return reason
    words = re.sub(r"""(['"<]).*[>'"]""", "…", problem or "unreadable", flags=re.DOTALL)
    return spot.line, f"not YAML: {words} (column {spot.column + 1})"


def _lines(text: str, at: Mark) -> dict[int, str]:
    """Return the lines around the mark by number, cut to a length that bounds the rules' time."""
    before = BREAK.split(text[max(0, at.index - _BEFORE) : at.index])
    after = BREAK.split(text[at.index : at.index + _AFTER])
    first = at.line + 2 - len(before)
    lines = [*before[:-1], before[-1] + after[0], *after[1:]]
    return {first + offset: line[:_LONGEST_LINE] for offset, line in enumerate(lines)}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _conflict(spot: _Spot) -> Reason | None:
    for number, line in spot.lines.items():
        if _CONFLICT.match(line):
            return (
                number,
                "a merge conflict: keep one of the two versions, and delete the lines of <, = and >",
            )
    return None


def _template(spot: _Spot) -> Reason | None:
    if re.search(r"\{\{|\{%", spot.text):
        return spot.line, "a template that was not rendered: write the value in place of {{ … }} or {% … %}"
    return None


def _tab(spot: _Spot) -> Reason | None:
    if spot.character != "\t" and "\t" not in spot.text[: len(spot.text) - len(spot.text.lstrip())]:
        return None
    others = f" (on {spot.tabbed} lines)" if spot.tabbed > 1 else ""
    return spot.line, f"a tab in the indentation{others}: YAML requires spaces"


def _reserved(spot: _Spot) -> Reason | None:
    if "cannot start any token" in spot.problem and spot.character in set("@`%|>"):
        return spot.line, f"a value begins with {spot.character}: put it in quotes"
    for word, reason in _SIGNS.items():
        if word in spot.problem or word in spot.context:
            return spot.began if word == "block scalar" else spot.line, reason
    return None


def _document(spot: _Spot) -> Reason | None:
    if "another document" in spot.problem:
        return spot.line, SECOND_DOCUMENT
    if "<document start>" in spot.problem:
        return spot.line, "text after the end of the document: delete the `...` or the bracket before it"
    return None


def _quoted(spot: _Spot) -> Reason | None:
    if "quoted scalar" not in spot.context:
        return None
    if "escape" in spot.problem or "hexdecimal" in spot.problem or "hexadecimal" in spot.problem:
        return spot.line, "a backslash in double quotes begins an escape: use single quotes"
    return spot.began, "the quote that begins here is not closed: write its other end"


def _open_quote(spot: _Spot) -> Reason | None:
    """Find a quote that ended only at the next quote, lines later."""
    for number in range(spot.line - 1, max(spot.began, spot.line - _LINES_OF_A_VALUE) - 1, -1):
        line = spot.lines.get(number, "")
        value = re.search(r"""[:,\[{-] *(["'])(.*)$""", line)
        if value is not None and (value[1] + value[2]).replace("\\" + value[1], "").count(value[1]) % 2:
            return number, "the quote that begins here is not closed: write its other end"
    if re.search(r"""["']\s*$""", spot.before) and spot.before.count(spot.before.rstrip()[-1]) > 1:
        return spot.line, "text after a closing quote: put the whole value in quotes"
    return None


def _bracket(spot: _Spot) -> Reason | None:
    previous = spot.before.rstrip()[-1:]
    if spot.character in set("}]") and "node content" not in spot.problem and "or '" not in spot.problem:
        return spot.line, f"`{spot.character}` closes nothing: delete it, or open it before"
    if previous in {"}", "]"} and spot.character == "," and "or '" not in spot.problem:
        return spot.line, f"a comma after the last `{previous}`: delete it"
    if previous in {"}", "]"} and spot.character not in {"", ",", "#", "\n"}:
        return (
            spot.line,
            f"text after `{previous}`: put a value that begins with a bracket or brace in quotes",
        )
    if "node content" in spot.problem and previous in {"[", "{"}:
        return spot.line, f"a value begins with {previous}: put it in quotes"
    if "node content" in spot.problem and spot.character in set(",]}"):
        return (
            spot.line,
            f"a value begins with {spot.character}: put it in quotes, or write what is missing before it",
        )
    return None


def _comma(spot: _Spot) -> Reason | None:
    if "flow" in spot.context and spot.line >= max(spot.lines) and not spot.text.strip():
        return _last_open(spot)
    closing = re.search(r"',' or '(.)'", spot.problem)
    if closing is None:
        return None
    opening = {"}": "{", "]": "["}.get(closing[1], closing[1])
    if spot.began == spot.line:
        return (
            spot.line,
            f"a comma is missing, or `{opening}` is not closed: write it before column {spot.column + 1}",
        )
    return spot.began, f"`{opening}` is not closed, or a comma is missing: write it before line {spot.line}"


def _last_open(spot: _Spot) -> Reason | None:
    """Find the line of the last open bracket, if the text ends inside of one."""
    for number in sorted(spot.lines, reverse=True):
        line = spot.lines[number]
        for opening, closing in ("[]", "{}"):
            if line.count(opening) > line.count(closing):
                return number, f"`{opening}` is not closed: write `{closing}`"
    return None


def _colon(spot: _Spot) -> Reason | None:
    """Find a colon that is missing or has no blank after it, on the line where a key was expected."""
    if "expected ':'" in spot.problem:
        return _unfinished_key(spot, spot.began)
    if "mapping values are not allowed" not in spot.problem:
        return None
    if re.match(rf"{_KEY}: +[^\s'\"]", spot.before):
        return spot.line, "a value with a colon and a blank in it: put it in quotes"
    previous = spot.previous()
    line = spot.lines.get(previous, "")
    if re.match(_JOINED_DASH, line):
        return _unfinished_key(spot, previous)
    if re.match(rf"{_KEY} *: +[^\s|>&]", line) and _indent(spot.text) > _indent(line):
        return (
            spot.line,
            f"indented deeper than line {previous}, which has a value already: indent both alike",
        )
    return _unfinished_key(spot, previous or spot.line)


def _unfinished_key(spot: _Spot, number: int) -> Reason:
    line = spot.lines.get(number, "")
    if re.match(_JOINED_DASH, line):
        return number, "a blank is missing after the dash: write `- value`"
    if re.match(rf"{_KEY}:[^\s:]", line):
        return number, "a blank is missing after the colon: write `key: value`"
    return number, "a colon and a blank are missing after the key: write `key: value`"


def _dash(spot: _Spot) -> Reason | None:
    if "sequence entries are not allowed" not in spot.problem:
        return None
    return spot.line, "a list begins on the line of its key: begin a new line before the dash"


def _indentation(spot: _Spot) -> Reason | None:
    if not re.search(r"expected (key|'-' indicator|<block end>)", spot.problem):
        return None
    indent, previous = _indent(spot.text), spot.previous()
    if spot.column > indent or not previous:
        return None
    if spot.text.lstrip(" ").startswith("- ") and indent == spot.began_column:
        return spot.line, "a dash where a key is expected: indent all entries of a list alike"
    other = _indent(spot.lines[previous])
    if indent in {other, spot.began_column}:
        return (
            spot.line,
            f"this line does not continue what begins on line {spot.began}: check the indentation",
        )
    beside = f" and line {spot.began} {spot.began_column}" if spot.began != previous else ""
    return (
        spot.line,
        f"an indentation of {indent}, where line {previous} has {other}{beside}: indent entries alike",
    )


def _misplaced(spot: _Spot) -> Reason | None:
    if "node content" in spot.problem:
        return spot.line, f"a value is missing: write it before column {spot.column + 1}"
    if "expected key" in spot.problem:
        before = "a comma, a quote, or a blank after a colon"
        return spot.line, f"text that has no place at column {spot.column + 1}: write {before} before it"
    return None


_RULES: tuple[Callable[[_Spot], Reason | None], ...] = (
    _conflict,
    _template,
    _tab,
    _quoted,
    _reserved,
    _document,
    _open_quote,
    _bracket,
    _comma,
    _colon,
    _dash,
    _indentation,
    _misplaced,
)
