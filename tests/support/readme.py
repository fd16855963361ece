"""The README: its code blocks and its tables."""

import re
from collections.abc import Iterator, Mapping

from tests import ROOT

README = (ROOT / "README.md").read_text()
Row = dict[str, str]


def blocks(language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def table(heading: str, first_column: str) -> list[Row]:
    """The rows of a section's table, each by its columns' names, without the backticks of the first cell."""
    section = re.split(r"^#+ ", README.split(f"# {heading}\n")[1], flags=re.MULTILINE)[0]
    lines = section[section.index(f"| {first_column} |") :].split("\n\n")[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [dict(zip(head, [row[0].strip("`"), *row[1:]], strict=True)) for row in rows]


def names(value: object, path: str = "") -> Iterator[str]:
    """Every field of a JSON document by its path, as the README writes them."""
    if isinstance(value, Mapping) and not path.endswith((".fields", ".errors_by")):
        for name, member in value.items():
            yield from names(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield from names(value[0], f"{path}[]")
    else:
        yield path
