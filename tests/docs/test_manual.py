"""The manual page says what the command line is, and is installed with it."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from sidecar.cli import exits, main
from tests import ROOT
from tests.support.programs import manual


def test_o14_the_manual_page_is_up_to_date() -> None:
    """`make reference` writes it."""
    assert manual.PAGE.read_text() == manual.page()


def test_o14_the_manual_page_has_each_command_flag_and_exit_code() -> None:
    """Of the commands also the examples."""
    text = manual.page()
    sections = dict(re.findall(r"^\.SS sidecar ([a-z]+)\n(.*?)(?=^\.S[SH] )", text, re.DOTALL | re.MULTILINE))
    assert list(sections) == list(main.COMMANDS)
    for name, parser in main.parser().commands.items():
        section = sections[name].replace("\\-", "-").replace("\\e", "\\")
        assert set(parser.flags) == set(re.findall(r"(?<=\\fB)-[A-Za-z-]+", section))
        assert main.COMMANDS[name].EXAMPLE in section
    codes = {code for name, code in vars(exits).items() if name.startswith("EXIT_")}
    assert codes == set(exits.MEANINGS)
    assert codes == set(map(int, re.findall(r"^\\fB([0-9]+)\\fR$", text, re.MULTILINE)))


def test_o14_the_manual_page_prints_as_it_is_written() -> None:
    """ASCII; on lines of text no request and no escape but fonts, the hyphen and the backslash; no text is lost."""
    text = manual.page()
    assert text.isascii()
    requests = {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))}
    assert requests <= {
        '.\\"',
        ".TH",
        ".SH",
        ".SS",
        ".TP",
        ".PP",
        ".br",
        ".nf",
        ".fi",
        ".nh",
        ".ad",
        ".RS",
        ".RE",
    }
    escapes = set(re.findall(r"\\(?:f.|.)", text.partition("\n")[2]))
    assert escapes <= {"\\fB", "\\fI", "\\fR", "\\-", "\\e", "\\&"}


def test_o14_the_manual_page_is_in_the_wheel(tmp_path: Path) -> None:
    """Where `man` finds it once the package is installed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = [
        name
        for name in zipfile.ZipFile(wheel).namelist()
        if name.endswith(".data/data/share/man/man1/sidecar.1")
    ]
    assert len(names) == 1
