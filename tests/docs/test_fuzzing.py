"""The page about fuzzing."""

import re

from tests.fuzz.runs import ROOT
from tests.fuzz.target import JUDGED

PAGE = ROOT / "docs" / "explanation" / "fuzzing.md"


def test_every_target_is_listed() -> None:
    """In the order in which they run."""
    assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE) == list(JUDGED)
