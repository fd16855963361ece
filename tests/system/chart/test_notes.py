"""What `helm install` says in the end: where the application finds its upstreams, and where the log is."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from tests.system.chart.generate import CHART
from tests.system.chart.helm import MINIMAL, SETUPS, render, sidecar_of, with_sidecar
from tests.system.chart.kubernetes import unrestricted


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with its notes as a manifest, because Helm shows them only on a cluster."""
    copy = shutil.copytree(CHART, tmp_path_factory.mktemp("chart") / "chart")
    notes = copy / "templates" / "NOTES.txt"
    notes.rename(copy / "NOTES.txt")
    whole = 'kind: Notes\ntext: |\n  {{- tpl (.Files.Get "NOTES.txt") . | nindent 2 }}\n'
    (copy / "templates" / "notes.yaml").write_text(whole)
    return copy


def notes(chart: Path, setup: Path, *sets: str) -> str:
    [found] = [each["text"] for each in render(setup, *sets, chart=chart) if each["kind"] == "Notes"]
    return str(found)


@pytest.mark.parametrize(
    ("mode", "log"),
    [
        ("app", "kubectl -n prod logs -f -c sidecar deployment/r-credential-sidecar\n"),
        (
            "inject",
            (
                "kubectl -n prod logs -f -c sidecar --prefix --max-log-requests 1000"
                " -l credential-sidecar/inject=r-credential-sidecar\n"
            ),
        ),
        ("none", "kubectl -n prod logs -f -c sidecar deployment/NAME\n"),
    ],
)
def test_c7_notes_tell_the_base_url_and_the_log(telling: Path, mode: str, log: str) -> None:
    """Both as they are to be typed; without a limit, kubectl follows no more than five pods."""
    text = notes(telling, MINIMAL, f"mode={mode}")
    assert "  http://127.0.0.1:9180/ledger  for  https://ledger.example.com/api\n" in text
    assert text.endswith(log)


def test_notes_tell_how_a_deployment_gets_the_sidecar(telling: Path) -> None:
    """By a label if the cluster injects, by a command if it does not."""
    patch = (
        '{"spec":{"template":{"metadata":{"labels":{"credential-sidecar/inject":"r-credential-sidecar"}}}}}'
    )
    assert f"patch deployment NAME -p '{patch}'\n" in notes(telling, MINIMAL, "mode=inject")
    flags = "--config-map r-credential-sidecar --image credential-sidecar:0.1.0 --secret-file ledger"
    text = notes(telling, MINIMAL)
    assert f"get deployment NAME -o yaml | sidecar inject -f - {flags} | kubectl apply -f -\n" in text
    assert "does not add" not in text
    assert "does not add these values: aws.\n" in notes(telling, CHART / "ci" / "irsa-values.yaml")
    assert "does not add these values: secrets.files[2].items.\n" in notes(
        telling, CHART / "ci" / "fleet-values.yaml"
    )


@pytest.mark.parametrize(("form", "containers"), [("true", "initContainers"), ("false", "containers")])
def test_c1_notes_wait_until_the_policy_is_in_effect(telling: Path, form: str, containers: str) -> None:
    """Before the label: five pods in a row get the sidecar; the loop is the tutorial's."""
    text = notes(telling, MINIMAL, "mode=inject", f"native={form}")
    loop = text[text.index("  n=0\n") : text.index("  done\n") + len("  done\n")]
    assert text.index("label\n") < text.index(loop) < text.index("patch deployment")
    subprocess.run(["sh", "-n"], input=loop, check=True, text=True)
    words = shlex.split(loop)
    assert words[words.index("-l") + 1] == "credential-sidecar/inject=r-credential-sidecar"
    assert f"jsonpath={{.spec.{containers}[*].name}}" in words
    [override] = [word.partition("=")[2] for word in words if word.startswith("--overrides=")]
    assert list(unrestricted(yaml.safe_load(override)["spec"])) == []
    if form == "true":
        tutorial = (CHART.parent / "docs/tutorial/kubernetes.md").read_text()
        there = loop.replace(" prod ", " shop ").replace("r-credential-sidecar", "credential-sidecar")
        assert dedent(there) in tutorial


def test_notes_know_a_socket(telling: Path) -> None:
    """Where the application does not connect by TCP."""
    text = notes(telling, CHART / "ci" / "unix-socket-values.yaml")
    assert "  / on the socket /run/sidecar/http.sock  for  https://public.example.org\n" in text


@pytest.mark.parametrize("form", ["native=true", "native=false"])
@pytest.mark.parametrize("setup", SETUPS, ids=lambda path: path.stem.removesuffix("-values"))
def test_the_command_in_the_notes_makes_the_same_container(telling: Path, setup: Path, form: str) -> None:
    """`sidecar inject` as the notes write it, unless they mention that something is left out."""
    text = notes(telling, setup, form)
    if "does not add" in text:
        return
    [command] = re.findall(r"\| (sidecar inject .*) \| kubectl", text)
    pod = "{kind: Pod, spec: {containers: [{name: app, image: example/app:1}]}}"
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], input=pod, check=True, capture_output=True, text=True
    )
    injected = yaml.safe_load(done.stdout)["spec"]
    wanted = with_sidecar(render(setup, "mode=app", form))
    assert sidecar_of(injected) == sidecar_of(wanted)
    assert injected["volumes"] == [each for each in wanted["volumes"] if each["name"] != "scratch"]


def test_s4_notes_warn_of_a_shared_process_namespace(telling: Path) -> None:
    """Only where there is one."""
    shared = "app.podSpec.shareProcessNamespace=true"
    warning = "Warning: with app.podSpec.shareProcessNamespace, containers of the pod with CAP_SYS_PTRACE"
    assert warning in notes(telling, MINIMAL, "mode=app", shared)
    assert "Warning" not in notes(telling, MINIMAL, "mode=app")
