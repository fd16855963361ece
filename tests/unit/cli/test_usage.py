"""Wrong usage of the command line: which usage is shown, and what is proposed."""

import pytest

from sidecar.cli import main
from sidecar.core.foreign_text import nearest


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """What is shown of the usage, and the reason."""
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    usage, _, reason = told.err.rstrip("\n").rpartition("\n")
    return usage, reason


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("statsu", "unknown command 'statsu'; did you mean status?"),
        ("Validate", "unknown command 'Validate'; did you mean validate?"),
        ("explian GET /", "unknown command 'explian'; did you mean explain?"),
        ("stat --json", "unknown command 'stat'; did you mean status?"),
        ("k", "unknown command 'k'; did you mean keygen?"),
        ("quux", "unknown command 'quux'; `sidecar --help` lists the commands"),
        ("--vesrion", "unknown flag --vesrion; did you mean --version?"),
        ("--config x run", "unknown flag --config; write the flags of a command after its name"),
        ("-c x run", "unknown flag -c; write the flags of a command after its name"),
        ("", "name a command; `sidecar --help` lists them"),
    ],
)
def test_o14_an_unknown_command_shows_the_commands(
    typed: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The top usage, and the command that was probably meant."""
    usage, told = refused(capsys, *typed.split())
    assert usage.startswith("usage: sidecar [-h]")
    assert told == f"sidecar: {reason}"


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("logs --tenent acme", "unknown flag --tenent; did you mean --tenant?"),
        ("run --conf=secret", "unknown flag --conf; did you mean --config?"),
        ("inject --fil x", "unknown flag --fil; did you mean --file?"),
        ("explain --heeder x", "unknown flag --heeder; did you mean --header?"),
        ("bust --token_file x", "unknown flag --token_file; did you mean --token-file?"),
        ("status --Admin x", "unknown flag --Admin; did you mean --admin?"),
        ("check --quux", "unknown flag --quux; `sidecar check --help` lists the flags"),
        ("keygen -q", "unknown flag -q; `sidecar keygen --help` lists the flags"),
        ("status extra", "unexpected argument 'extra'; `sidecar status --help` shows the usage"),
        ("status \x1b[31m", r"unexpected argument '\x1b[31m'; `sidecar status --help` shows the usage"),
        ("help statsu", "unknown command 'statsu'; did you mean status?"),
        ("help quux", "unknown command 'quux'; `sidecar --help` lists the commands"),
        ("help run status", "unexpected argument 'status'; `sidecar help --help` shows the usage"),
        ("explain GET", "the following arguments are required: URL"),
        ("logs --tenant", "argument --tenant: expected one argument"),
    ],
)
def test_o14_wrong_usage_shows_the_usage_of_the_command(
    typed: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the one that was called, and no value of a flag."""
    usage, told = refused(capsys, *typed.split(" "))
    name = typed.split(maxsplit=1)[0]
    assert usage.startswith(f"usage: sidecar {name} ")
    assert told == f"sidecar {name}: {reason}"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("request", "request"),
        ("REQUEST", "request"),
        ("requset", "request"),
        ("request_", "request"),
        ("req", "request"),
        ("refused_", "Refused"),
        ("quux", ""),
        ("", ""),
        ("--", ""),
        ("x" * 100_000, ""),
    ],
)
def test_o14_nearest_finds_the_word_that_was_meant(word: str, meant: str) -> None:
    """Whatever its case, its transpositions and its end; nothing where nothing is similar."""
    assert nearest(word, ["request", "Refused", "--event"]) == meant
