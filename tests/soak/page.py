"""Write the last soak's verdict into its page: `python -m tests.soak.page`."""

import json
import re
import sys
from pathlib import Path

from tests import ROOT

RESULT = Path("build/soak.json")
PAGE = ROOT / "docs/explanation/soak.md"
MARKED = re.compile(r"(?<=<!-- soak -->\n).*?(?=<!-- /soak -->\n)", re.DOTALL)


def replaced(text: str, verdict: str) -> str:
    """The page with what is between its marks replaced. Raises ValueError if they are missing."""
    page, found = MARKED.subn(lambda _: f"{verdict}\n", text)
    if found != 1:
        raise ValueError("the page needs one <!-- soak --> and one <!-- /soak --> after it, each on a line")
    return page


def main() -> int:
    if not RESULT.exists():
        print(f"soak: there is no {RESULT}; run `make soak` first", file=sys.stderr)
        return 2
    verdict = json.loads(RESULT.read_text())["verdict"]
    PAGE.write_text(replaced(PAGE.read_text(), verdict))
    return 0


if __name__ == "__main__":
    sys.exit(main())
