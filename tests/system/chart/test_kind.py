"""What `make test-kind` gives to a cluster: what the cluster takes, and what answers there."""

import asyncio
import os
import re
import sys
from pathlib import Path

import yaml

from sidecar.kubernetes.container import Blanks
from sidecar.kubernetes.inject import inject
from tests import ROOT
from tests.support.environment import bare
from tests.support.processes import PIPE, File, serving, watching
from tests.support.redis_server import free_port
from tests.system.chart.helm import Manifest, of_kind, pod_specs, render
from tests.system.chart.kubernetes import VERSIONS, faults, unrestricted

KIND = ROOT / "tests/system/kind"
VALUES = KIND / "values.yaml"
RELEASE = "r-credential-sidecar"


def given_to_kind() -> list[Manifest]:
    """The chart's objects and the manifests as they are applied."""
    blanks = Blanks(RELEASE, "credential-sidecar:kind", secret_files=(("app", "/var/run/secrets/app"),))
    injected = yaml.safe_load_all(inject((KIND / "manifests.yaml").read_text(), blanks))
    return [*render(VALUES, "mode=app"), *injected]


def test_a_cluster_takes_what_kind_is_given() -> None:
    """Strict schemas, and the profile that the namespace enforces."""
    manifests = given_to_kind()
    assert {each["kind"] for each in manifests} >= {"ConfigMap", "Deployment", "Job"}
    assert [fault for each in manifests for version in VERSIONS for fault in faults(each, version)] == []
    job = of_kind("Job", manifests)["spec"]["template"]["spec"]
    assert [fault for spec in (*pod_specs(manifests), job) for fault in unrestricted(spec)] == []


def test_every_pod_of_kind_has_the_same_sidecar() -> None:
    """The chart's own Deployment and the injected manifests, but for the pull policy that only the chart sets."""
    manifests = given_to_kind()
    specs = [*pod_specs(manifests), of_kind("Job", manifests)["spec"]["template"]["spec"]]
    sidecars = [{**spec["initContainers"][0], "imagePullPolicy": "Never"} for spec in specs]
    assert len(sidecars) == 3
    assert [sidecar == sidecars[0] for sidecar in sidecars] == [True] * 3


async def test_the_application_of_kind_is_answered_and_heals(tmp_path: Path, file: File) -> None:
    """Its server, the rendered configuration and its question, on this machine; the first token is refused."""
    port = free_port()
    secret = tmp_path / "client-secret"
    secret.write_text("change-me")
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, KIND / "server.py"), env={"PORT": str(port)}, stderr=asyncio.subprocess.DEVNULL
    )
    text = str(of_kind("ConfigMap", render(VALUES, "mode=app"))["data"]["config.yaml"])
    text = text.replace(":8080", f":{port}").replace("/var/run/secrets/app/client-secret", str(secret))
    file.put(f"{text}\nlisten: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:0}}\n".encode())
    async with watching(server):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "run", "-c", str(file.path)),
            cwd=ROOT,
            env=bare(),
            stdout=PIPE,
            stderr=PIPE,
        )
        async with serving(child) as process:
            ask = await asyncio.create_subprocess_exec(
                *(sys.executable, KIND / "ask.py"),
                env={"SIDECAR_URL": f"http://{process.address}/hello", "PATH": os.defpath},
                stdout=PIPE,
            )
            told, _ = await ask.communicate()
            child.terminate()
            await process.ends()
    assert (ask.returncode, told) == (0, b"the sidecar answered: hello\n")
    looked_for = re.findall(r"grep '(.*?)'", (KIND / "run.sh").read_text())
    assert looked_for == ['"event":"resent"', '"outcome":"healed"']
    assert any(all(part.encode() in line for part in looked_for) for line in process.stdout.splitlines())
