"""Another chart has this one as a dependency and puts the sidecar into pods of its own."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.system.chart.generate import CHART, README
from tests.system.chart.helm import MINIMAL, HelmError, helm, of_kind, pod_specs, render, rendered, sidecar_of
from tests.system.chart.kubernetes import VERSIONS, faults

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata:
      labels:
        app: orders
        {{- include "credential-sidecar.podLabels" (index .Subcharts "credential-sidecar") | nindent 8 }}
    spec:
      initContainers:
        - {{- include "credential-sidecar.container" (index .Subcharts "credential-sidecar") | nindent 10 }}
      containers:
        - {name: orders, image: example/orders:1}
      volumes:
        {{- include "credential-sidecar.volumes" (index .Subcharts "credential-sidecar") | nindent 8 }}
"""


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A chart with a Deployment of its own."""
    values = yaml.safe_load(MINIMAL.read_text())
    shutil.copytree(CHART, tmp_path / "charts" / "credential-sidecar")
    metadata = {"apiVersion": "v2", "name": "orders", "version": "1.0.0"}
    dependency = {"name": "credential-sidecar", "version": "0.1.0", "condition": "credential-sidecar.enabled"}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump({**metadata, "dependencies": [dependency]}))
    ours = {"credential-sidecar": {"enabled": True, **values}, "global": {"environment": "production"}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(ours))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "deployment.yaml").write_text(DEPLOYMENT)
    return tmp_path


def test_another_chart_includes_the_container(parent: Path) -> None:
    """It gets the same container as `mode: app`, with the configuration it gave; all is valid."""
    helm("lint", "--strict", str(parent))
    manifests = render(None, chart=parent)
    [theirs] = pod_specs(manifests)
    [ours] = pod_specs(render(MINIMAL, "mode=app"))
    assert sidecar_of(theirs) == sidecar_of(ours)
    assert theirs["initContainers"] == [sidecar_of(ours)]
    assert of_kind("ConfigMap", manifests)["metadata"]["name"] == theirs["volumes"][0]["configMap"]["name"]
    assert [fault for each in manifests for fault in faults(each, VERSIONS[0])] == []


def test_c6_the_sidecar_may_mount_a_volume_of_the_other_charts_pod(parent: Path) -> None:
    """The values need not name it; with the other modes they must."""
    deployment = parent / "templates" / "deployment.yaml"
    deployment.write_text(f"{deployment.read_text()}        - {{name: shared, emptyDir: {{}}}}\n")
    mount = "volumeMounts[0].name=shared,credential-sidecar.volumeMounts[0].mountPath=/shared"
    [spec] = pod_specs(render(None, f"credential-sidecar.{mount}", chart=parent))
    assert {"name": "shared", "mountPath": "/shared"} in sidecar_of(spec)["volumeMounts"]
    assert [each["name"] for each in spec["volumes"]].count("shared") == 1
    for mode in ("inject", "app"):
        with pytest.raises(HelmError, match=r"volumeMounts\[0\]\.name: there is no volume shared"):
            render(None, f"credential-sidecar.mode={mode},credential-sidecar.{mount}", chart=parent)


def test_the_condition_turns_it_off(parent: Path) -> None:
    """A parent may have a switch for it."""
    (parent / "templates" / "deployment.yaml").unlink()
    assert rendered(None, "credential-sidecar.enabled=false", chart=parent).strip() == ""


def test_the_charts_page_shows_how() -> None:
    """What it shows is what was tested."""
    block = next(block for block in README.read_text().split("```yaml\n") if ".Subcharts" in block)
    lines = [line.strip() for line in block.split("```")[0].splitlines()]
    assert [line for line in lines if "Subcharts" in line] == [
        line.strip() for line in DEPLOYMENT.splitlines() if "Subcharts" in line
    ]
