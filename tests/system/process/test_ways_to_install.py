"""The files of `docs/examples`: a compose file with its demo servers, and a unit for systemd."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from sidecar.cli.exits import EXIT_CONFIGURATION
from sidecar.cli.main import parser
from sidecar.config.settings import Config
from tests import ROOT
from tests.support.in_process import typed
from tests.support.redis_server import free_port
from tests.support.required import missing
from tests.support.sidecar import Start
from tests.support.waiting import until

COMPOSE = ROOT / "docs/examples/compose"
UNIT = ROOT / "docs/examples/systemd/credential-sidecar.service"
SETTINGS = dict(re.findall(r"(?m)^(\w+)=(.*)$", UNIT.read_text()))
PAGE = (ROOT / "docs/how-to/install.md").read_text()
SERVICES = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
SECRET = COMPOSE / "client-secret"


def ran(*command: str) -> str:
    """Return what the command printed; it succeeded."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_o11_the_compose_file_is_valid() -> None:
    """By the schema of the Compose specification."""
    ran(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
        str(COMPOSE / "compose.yaml"),
    )  # fmt: skip


def test_o11_in_compose_only_the_application_reaches_the_sidecar() -> None:
    """It is in the application's network, of which only the admin server is published, on loopback."""
    for name in ("sidecar", "servers"):
        assert SERVICES[name]["network_mode"] == "service:application"
    assert SERVICES["application"]["ports"] == ["127.0.0.1:9181:9181"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["application"]


@pytest.mark.parametrize("name", SERVICES)
def test_o11_services_of_compose_have_no_privileges(name: str) -> None:
    """No capability, no file system to write to, no root; and the files that they mount are there."""
    service = SERVICES[name]
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service["user"].startswith("0")
    for mount in service.get("volumes", ()):
        assert (COMPOSE / mount.partition(":")[0]).is_file()


def test_o11_the_configuration_of_compose_is_valid(tmp_path: Path) -> None:
    """With the secret and the variable that the compose file gives it."""
    text = (COMPOSE / "sidecar.yaml").read_text()
    assert "/run/secrets/client-secret" in text
    file = tmp_path / "sidecar.yaml"
    file.write_text(text.replace("/run/secrets/client-secret", str(SECRET)))
    key = typed("keygen").out.strip()
    assert "SIDECAR_ENCRYPTION_KEY" in SERVICES["sidecar"]["environment"]
    done = typed("validate", "-c", str(file), environ={"SIDECAR_ENCRYPTION_KEY": key})
    assert (done.code, done.err) == (0, "")


@pytest.fixture
def servers() -> Iterator[str]:
    """The demo servers, as compose starts them."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(COMPOSE / "servers.py"), str(SECRET), str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def refuses(url: str) -> bool:
    """Return whether the server answers, which it does with 401 without a token."""
    try:
        urlopen(url, timeout=5)
    except URLError as error:
        return getattr(error, "code", 0) == 401
    return False


async def test_o11_the_demo_servers_of_compose_accept_what_the_sidecar_sends(
    sidecar: Start, servers: str
) -> None:
    """The application's request gets a token, which the upstream accepts."""
    await until(lambda: refuses(f"{servers}/hello"))
    document = yaml.safe_load(
        (COMPOSE / "sidecar.yaml").read_text().replace("http://127.0.0.1:8080", servers)
    )
    document["credentials"]["demo"]["client_secret"]["file"] = str(SECRET)
    parts = {part: document[part] for part in ("credentials", "tokens")}
    async with sidecar(*document["routes"], **parts) as running:
        answer = await running.get(b"/hello")
    assert (answer.status, json.loads(answer.body)) == (200, {"hello": "authorised client"})


def test_o11_the_unit_runs_a_command_of_the_sidecar() -> None:
    """With the files that the page installs, and without a restart if the configuration is invalid."""
    program, *arguments = shlex.split(SETTINGS["ExecStart"])
    config = parser().parse_args(arguments).config
    name, _, secret = SETTINGS["LoadCredential"].partition(":")
    assert f"{Path(program).parent}/pip install" in PAGE
    assert f" {config}\n" in PAGE
    assert f" {secret}\n" in PAGE
    assert f"`/run/credentials/{UNIT.name}/{name}`" in PAGE
    assert SETTINGS["RestartPreventExitStatus"] == str(EXIT_CONFIGURATION)


def test_o11_the_unit_waits_and_restarts_long_enough() -> None:
    """A stop takes `drain_timeout` at most. systemd permits five starts within ten seconds."""
    assert int(SETTINGS["TimeoutStopSec"]) > Config().drain_timeout + 5
    assert int(SETTINGS["RestartSec"]) * 5 >= 10


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("AmbientCapabilities", ""),
        ("CapabilityBoundingSet", ""),
        ("DynamicUser", "yes"),
        ("LimitCORE", "0"),
        ("MemoryDenyWriteExecute", "yes"),
        ("NoNewPrivileges", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateTmp", "yes"),
        ("ProtectHome", "yes"),
        ("ProtectProc", "invisible"),
        ("ProtectSystem", "strict"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("RestrictNamespaces", "yes"),
        ("SystemCallArchitectures", "native"),
    ],
)
def test_o11_the_unit_permits_little(setting: str, value: str) -> None:
    """Also checked where systemd is missing."""
    assert SETTINGS[setting] == value


def test_o11_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    """With a program that exists; and the unit permits little."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        missing("no systemd-analyze: make systemd")
    text = UNIT.read_text()
    unit = tmp_path / UNIT.name
    unit.write_text(
        text.replace("/opt/credential-sidecar/bin/sidecar", str(Path(sys.executable).parent / "sidecar"))
    )
    assert ran(analyze, "verify", "--man=no", str(unit)) == ""
    exposure = re.search(
        r"exposure level .*: ([\d.]+)", ran(analyze, "security", "--offline=true", str(unit))
    )
    assert exposure is not None
    assert float(exposure[1]) < 2
