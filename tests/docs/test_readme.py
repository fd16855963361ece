"""The README says what is: its examples are valid, and its tables list exactly what the code has."""

import ast
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from sidecar.admin.bust import MAX_BODY
from sidecar.admin.events_stream import MAX_SUBSCRIBERS, LiveEvents
from sidecar.admin.ports import AdminState
from sidecar.admin.server import LIFETIME, MAX_CONNECTIONS, pages
from sidecar.app.sidecar import LOAD_LIMIT
from sidecar.cache import revocations, tokens
from sidecar.cli import exits, main
from sidecar.config import yaml_file
from sidecar.config.decode import MOST_FAULTS
from sidecar.config.load import json_schema, load
from sidecar.config.restart import RESTART_KEYS
from sidecar.config.yaml_text import document
from sidecar.core import problem
from sidecar.credentials.sources import aws
from sidecar.fleet import foreign_messages, messages
from sidecar.fleet.redis import subscription
from sidecar.fleet.settings import RedisSettings
from sidecar.http1 import arrived, body, connection, limits, pool, request_body, server
from sidecar.http1.limits import ServerLimits
from sidecar.oauth import fetch_limit, http_client
from sidecar.system import files, threads, tls_faults
from sidecar.telemetry.events import Event
from sidecar.telemetry.instruments import INSTRUMENTS
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.sinks import log_writer
from sidecar.telemetry.sinks.log_lines import JsonLines
from sidecar.telemetry.sinks.prometheus import text_name
from tests import ROOT
from tests.support.keys import pem_of_both
from tests.support.programs import reference
from tests.support.readme import README, blocks, table

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "helm/README.md")
NO_VARIABLES = {"CLOCK_BOOTTIME", *tls_faults._OTHERWISE}
"""Upper-case words in the code that name something else than an environment variable."""

Schema = dict[str, Any]


def words(cell: str) -> tuple[str, ...]:
    """What a cell has in backticks."""
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_what_follows_from_the_code_is_up_to_date() -> None:
    """`make reference` writes it."""
    assert reference.readme() == README


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_example_of_a_file_is_valid(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sidecar validate` finds nothing wrong with what somebody copies, once its secrets are there."""

    def elsewhere(path: re.Match[str]) -> str:
        copy = tmp_path / path[0].replace("/", "_")
        secret = "A" * 43 + "="  # also an encryption key
        contents = {
            ".pem": pem_of_both(
                "rsa", BestAvailableEncryption(secret.encode()) if "passphrase:" in text else None
            ),
            ".json": json.dumps({"client_id": "app", "client_secret": secret}),
        }
        copy.write_text(contents.get(Path(path[0]).suffix, secret))
        return str(copy)

    file = tmp_path / "sidecar.yaml"
    file.write_text(re.sub(r"(?<=file: )/[^\s,}]+", elsewhere, text))
    for name in re.findall(r"env: (\w+)", text):
        monkeypatch.setenv(name, "secret")
    code = main.main(["validate", "--config", str(file)])
    assert (code, capsys.readouterr().err) == (0, "")


def test_the_excerpt_of_the_demo_is_in_the_demos_words() -> None:
    """What the first page shows of the demo is what the demo says."""
    quick_start = README.split("## 60 seconds")[1].split("**2. ")[0]
    told = re.findall(r"^(?:[38]\. |  The | +\^ )(.*)$", quick_start, re.MULTILINE)
    scenes = "".join((ROOT / f"sidecar/demo/{module}.py").read_text() for module in ("scenes", "fleet"))
    assert len(told) == 12
    assert [line for line in told if line.strip() not in scenes] == []


def test_the_example_without_a_file_is_valid() -> None:
    """The variables of the quick start make a route."""
    example = next(block for block in blocks("sh") if "SIDECAR_UPSTREAM" in block)
    assert load(None, dict(re.findall(r"^(\w+)=(\S+)", example, re.MULTILINE))).routes


def defaults(schema: Schema, kinds: Mapping[str, Schema], path: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a schema that holds a value rather than more keys, and its default as the README writes it."""
    for name, member in schema["properties"].items():
        key = f"{path}{name}"
        kind, inside = member, "."
        if "additionalProperties" in kind:
            kind, inside = kind["additionalProperties"], ".<name>."
        elif "items" in kind:
            kind, inside = kind["items"], "[]."
        kind = next((kind for kind in kind.get("anyOf", []) if "$ref" in kind), kind)
        if "$ref" in kind:
            yield from defaults(kinds[kind["$ref"].rpartition("/")[2]], kinds, f"{key}{inside}")
        else:
            yield key, "required" if name in schema["required"] else written(member["default"])


def written(value: object) -> str:
    if value is None:
        return "none"
    return f"`{value}`" if value and isinstance(value, str) else f"`{json.dumps(value)}`"


def test_every_key_is_listed_with_its_default() -> None:
    """The configuration table is the schema's."""
    kinds = cast(Mapping[str, Schema], json_schema()["$defs"])
    told = {row["Key"]: row["Default"] for row in table("Every key", "Key")}
    assert told == dict(defaults(kinds["File"], kinds))


def test_every_key_that_takes_a_restart_is_listed() -> None:
    """The sentence has each key that the schema marks so, and no other."""
    sentence = README.split("**What needs a restart:**")[1].split("(a file")[0]
    assert sorted(words(sentence)) == sorted(RESTART_KEYS)


def test_every_environment_variable_is_listed() -> None:
    """The table has each variable the code names, and no other."""
    trees = [ast.parse(module.read_text()) for module in (ROOT / "sidecar").rglob("*.py")]
    texts = {str(node.value) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {text for text in texts if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", text)}
    assert {row["Variable"] for row in table("Environment variables", "Variable")} == named - NO_VARIABLES


def help_of(*command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main.main([*command, "--help"])
    return capsys.readouterr().out


def test_every_command_and_flag_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The table is what --help says."""
    told = {row["Command"]: set(words(row["Flags"])) for row in table("Commands and flags", "Command")}
    commands = [(), *((name,) for name in re.findall(r"^    (\w+)", help_of(capsys=capsys), re.MULTILINE))]
    assert told == {
        " ".join(("sidecar", *command)): set(re.findall(r"--[a-z-]+", help_of(*command, capsys=capsys)))
        for command in commands
    }


@pytest.mark.parametrize("command", ["validate", "explain"])
def test_what_commands_print_is_what_they_print(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that ask nobody are asked again."""
    section = README.split("\n## Commands\n")[1]
    (tmp_path / "sidecar.yaml").write_text(section.split("```yaml\n")[1].split("```")[0])
    typed, printed = section.split(f"```console\n$ sidecar {command} ")[1].split("```")[0].split("\n", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_CLIENT_SECRET", "secret")
    assert main.main([command, *shlex.split(typed)]) == 0
    assert capsys.readouterr().out == printed


def test_every_exit_code_is_listed() -> None:
    """The table has each code."""
    codes = {str(code) for name, code in vars(exits).items() if name.startswith("EXIT_")}
    assert {row["Code"] for row in table("Exit codes", "Code")} == codes


def test_every_admin_path_is_listed() -> None:
    """The table is what the admin server answers."""
    state = cast(AdminState, None)  # asked for its paths only
    assert {row["Path"] for row in table("Operating", "Path")} == set(pages(state, LiveEvents(state)))


def test_every_field_of_the_access_log_is_listed_in_order() -> None:
    """The table is a request's line."""
    record = RequestRecord(0.0, "GET", "/", "", "")
    record.detail = "left out where there is none"
    line = json.loads(JsonLines().request(record, 0.0))
    assert [row["Field"] for row in table("Logs", "Field")] == list(line)


def test_every_event_is_listed_with_its_fields() -> None:
    """The table is what there is to tell."""
    told = {row["Event"]: (row["Level"].strip("`"), words(row["Fields"])) for row in table("Logs", "Event")}
    assert told == {
        event.name: (event.level, tuple(field.name for field in fields(event)))
        for event in Event.__subclasses__()
    }


def test_every_metric_is_listed_with_its_labels() -> None:
    """The table is what /metrics shows."""
    told = {row["Name"]: (row["Kind"], words(row["Labels"])) for row in table("Metrics", "Name")}
    assert told == {
        text_name(each) + ("_total" if each.kind == "counter" else ""): (
            each.kind,
            tuple(label.replace(".", "_") for label in each.labels),
        )
        for each in INSTRUMENTS
    }


def test_every_error_is_listed_with_its_status() -> None:
    """The table is what clients can be told by us."""
    told = {(row["Status"], *words(row["`error`"])) for row in table("Errors we answer", "Status")}
    refused = {(str(each.status), each.word) for each in problem.REFUSED.values()}
    failed = {(str(each.status), each.word) for each in problem.FAILED.values()}
    bug = problem.render(Exception(), "")
    assert told == refused | failed | {(str(bug.status), bug.word)}


def size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"


def test_the_limits_are_those_of_the_code() -> None:
    """The numbers are the constants'."""
    clients = ServerLimits()
    assert {row["What"]: row["Limit"] for row in table("Limits", "What")} == {
        "Head of a request or an answer": size(limits.MAX_HEAD),
        "Target of a request": size(limits.MAX_LINE),
        "Method of a request": f"{limits.MAX_METHOD} bytes",
        "Fields in a head": str(limits.MAX_FIELDS),
        "Trailers": size(body._MAX_TRAILERS),
        "Body kept for the second send": size(request_body.REPLAY_LIMIT),
        "Bodies kept, together": size(request_body.ReplayBudget()._left),
        "Bytes buffered, each direction of a connection": size(connection.HIGH_WATER),
        "Unread answer of an upstream that has closed during an upload": size(arrived.MOST),
        "Body read and dropped after an early answer": size(connection.LINGER_BYTES),
        "Time for that body": f"{connection.LINGER_IN_ALL:g} s",
        "Time between two parts of that body": f"{connection.LINGER:g} s",
        "Client connections": str(clients.max_connections),
        "Admin connections": str(MAX_CONNECTIONS),
        "Time for a request's head": f"{clients.head_timeout:g} s",
        "Time between a client's requests": f"{clients.keep_alive_timeout:g} s",
        "Time a client that has closed its half waits for an answer to begin": f"{server.HALF_CLOSED:g} s",
        "Time an idle upstream connection is kept": f"{pool.IDLE_TIMEOUT:g} s",
        "Time for an admin connection": f"{LIFETIME:g} s",
        "Live pages": str(MAX_SUBSCRIBERS),
        "Time for a token request": f"{http_client.TOTAL_LIMIT:g} s",
        "Time a request waits for a token": f"{tokens.CALLER_LIMIT:g} s",
        "First tokens of tenants not in `tenant.allow`, and of subjects that are refused, at once": str(
            fetch_limit.BURST
        ),
        "The same, a second from then on": f"{fetch_limit.RATE:g}",
        "Answer of a token endpoint": size(http_client.SIZE_LIMIT),
        "Time for a question to Redis": f"{RedisSettings().operation_timeout:g} s",
        "Its head, with all interim ones before it": size(http_client.HEADS_LIMIT),
        "Interim answers (1xx) before it": str(http_client.MAX_INTERIM),
        "Answer of AWS": size(aws.SIZE_LIMIT),
        "Silence of the bus": f"{subscription.SILENCE:g} s",
        "Message of the fleet": size(messages.MAX_SIZE),
        "Message of another program": size(foreign_messages.MAX_SIZE),
        "Revocations remembered": str(revocations.MAX_REMEMBERED),
        "Body of a `POST` to the admin server": size(MAX_BODY),
        "File with credentials, a secret, a key or a token": size(files.SECRET_LIMIT),
        "File with certificates": size(files.PEM_LIMIT),
        "Time for reading a file": f"{threads.READ_LIMIT:g} s",
        "Time for a question to AWS": f"{aws.TOTAL_LIMIT:g} s",
        "Configuration file": size(yaml_file.MAX_FILE_BYTES),
        "Keys and values in it, each alias written out": str(document.MAX_NODES),
        "Characters in it, each alias written out": size(document.MAX_CHARACTERS),
        "Levels of nesting in it": str(document.MAX_DEPTH),
        "Characters of one key or value in it": str(document.MAX_SCALAR),
        "Faults reported at once": str(MOST_FAULTS),
        "Time for a reload": f"{LOAD_LIMIT:g} s",
        "Log lines waiting to be written": size(log_writer.CAPACITY),
    }


def test_every_make_target_is_listed() -> None:
    """The table for who changes the code is what the Makefile offers."""
    targets = (ROOT / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split()
    told = re.findall(r"^\| `(make [a-z-]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(f"make {name}" for name in targets)


def anchors(page: Path) -> set[str]:
    """What can stand behind the # of a link to the page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Every link of a page is to a file or a folder of the project, or to a heading of one."""
    page = ROOT / name
    broken = []
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append((path, anchor))
    assert broken == []
