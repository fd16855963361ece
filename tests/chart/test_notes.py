"""What `helm install` says in the end: where the application finds its upstreams, and where the log is."""

import shutil
from pathlib import Path

import pytest

from tests.chart.generate import CHART
from tests.chart.helm import MINIMAL, render


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with its notes as a manifest, for Helm shows them only to whoever has a cluster."""
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
            "kubectl -n prod logs -f -c sidecar --prefix -l credential-sidecar/inject=r-credential-sidecar\n",
        ),
        ("none", "kubectl -n prod logs -f -c sidecar deployment/NAME\n"),
    ],
)
def test_notes_tell_the_base_url_and_the_log(telling: Path, mode: str, log: str) -> None:
    """Both as they are to be typed."""
    text = notes(telling, MINIMAL, f"mode={mode}")
    assert "  http://127.0.0.1:9180/ledger  for  https://ledger.example.com/api\n" in text
    assert text.endswith(log)


def test_notes_tell_how_a_deployment_gets_the_sidecar(telling: Path) -> None:
    """By a label where the cluster injects, by a command where nobody does."""
    patch = (
        '{"spec":{"template":{"metadata":{"labels":{"credential-sidecar/inject":"r-credential-sidecar"}}}}}'
    )
    assert f"patch deployment NAME -p '{patch}'\n" in notes(telling, MINIMAL, "mode=inject")
    flags = "--config-map r-credential-sidecar --image credential-sidecar:0.1.0 --secret-file ledger"
    text = notes(telling, MINIMAL)
    assert f"get deployment NAME -o yaml | sidecar inject -f - {flags} | kubectl apply -f -\n" in text
    assert "leaves out" not in text
    assert "leaves out" in notes(telling, CHART / "ci" / "irsa-values.yaml")


def test_notes_know_a_socket(telling: Path) -> None:
    """Where the application does not connect by TCP."""
    text = notes(telling, CHART / "ci" / "unix-socket-values.yaml")
    assert "  / on the socket /run/sidecar/http.sock  for  https://public.example.org\n" in text
