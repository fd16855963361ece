"""The pages that users read: README.md, the others of the top level, the chart's, and all of docs/."""

import re
from pathlib import Path

from tests import ROOT

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "helm/README.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
)
GENERATED = frozenset(
    ROOT / f"docs/reference/{name}.md"
    for name in (
        "cli",
        "configuration",
        "environment",
        "errors",
        "glossary",
        "limits",
        "log-events",
        "metrics",
        "redis-keys",
        "status-api",
    )
)
"""The pages that `make reference` writes. Others link to them by these names."""


def blocks(page: Path, language: str) -> list[str]:
    """Return the page's fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
