"""The commands of README.md and of the tutorial, each page's as one script, as often as a race may show."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.support.pages import blocks
from tests.support.waiting import block_until
from tests.system.apiserver.cluster import INJECTS, LABEL, RELEASE, CommandFailed, Namespace, run
from tests.system.apiserver.workloads import has_sidecar, pod, workload

TIMES = 20
REPLICAS = 10
SLOW = pytest.mark.timeout(60 * TIMES)
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs/tutorial/kubernetes.md"
UPGRADE = ROOT / "docs/how-to/upgrade.md"
ON_NEW_VERSIONS = pytest.mark.skipif(not INJECTS, reason="mode: inject requires Kubernetes 1.36")


def kubernetes_commands(page: Path) -> list[str]:
    """The page's blocks that change a cluster, without those that build the image or look at running pods."""
    found = [block for block in blocks(page, "sh") if "helm install" in block or "kubectl" in block]
    return [
        "".join(line for line in block.splitlines(keepends=True) if not re.match("make |docker ", line))
        for block in found
        if "rollout status" not in block and " exec " not in block
    ]


def orders() -> str:
    """The Deployment of the pages. Its new pods are all created at once, because none becomes ready."""
    made = workload("Deployment")
    made["metadata"]["name"] = "orders"
    made["spec"] |= {"replicas": REPLICAS, "strategy": {"rollingUpdate": {"maxSurge": "100%"}}}
    return yaml.safe_dump(made)


@pytest.fixture(scope="module")
def shop() -> Iterator[Namespace]:
    """The namespace of the pages."""
    with Namespace("shop") as made:
        yield made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a user has the chart."""
    (tmp_path / "helm").symlink_to(ROOT / "helm")
    return tmp_path


def install(shop: Namespace, script: str, directory: Path) -> None:
    """Apply the Deployment, wait until its roll-out has created its pods, then run the commands in one go."""
    shop.apply(orders())
    block_until(lambda: shop.get("deployments")[0].get("status", {}).get("updatedReplicas") == REPLICAS)
    run("sh", "-eu", given=script, at=directory)


def remove(shop: Namespace) -> None:
    shop.uninstall()
    shop.kubectl("delete", "deployment/orders", "secret/ledger")
    block_until(lambda: not shop.pods())


def page_with_file(directory: Path) -> str:
    """README's commands; its file, of another section, is under `config` in the values."""
    [file] = blocks(README, "yaml")
    (directory / "values.yaml").write_text(yaml.safe_dump({"config": yaml.safe_load(file)}))
    [script] = kubernetes_commands(README)
    return script


def page_with_values(*parts: str) -> str:
    """The tutorial's commands for the values, and those with these words, in the order of the page."""
    found = kubernetes_commands(TUTORIAL)
    return "".join(block for block in found if any(part in block for part in ("cat > values.yaml", *parts)))


@SLOW
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/kubernetes.md"])
def test_c1_the_commands_with_sidecar_inject_leave_no_pod_without(
    shop: Namespace, directory: Path, page: str
) -> None:
    """Every new pod of the Deployment has the sidecar, in each of the installations."""
    tutorial = page_with_values("sidecar inject")
    script = page_with_file(directory) if page == "README.md" else tutorial
    for _ in range(TIMES):
        install(shop, script, directory)
        block_until(lambda: len(newest(shop)) == REPLICAS)
        assert all(map(has_sidecar, newest(shop)))
        remove(shop)


def newest(shop: Namespace) -> list[dict[str, object]]:
    """The pods of the Deployment's second revision."""
    found = [
        each["metadata"]["labels"]["pod-template-hash"]
        for each in shop.get("replicasets")
        if each["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    ]
    return shop.pods(**{"pod-template-hash": found[0]}) if found else []


def page_with_label() -> str:
    """The tutorial's commands with which the API server adds the sidecar."""
    return page_with_values("mode: inject", "kubectl -n shop patch")


@SLOW
@ON_NEW_VERSIONS
def test_c1_the_commands_with_a_label_leave_no_pod_without(shop: Namespace, directory: Path) -> None:
    """No pod with the label is without the sidecar, although the policies take effect later than the installation."""
    script = page_with_label()
    assert script.index("mode: inject") < script.index("until [") < script.index("patch deployment")
    for _ in range(TIMES):
        install(shop, script, directory)
        block_until(lambda: len(shop.pods(**{LABEL: RELEASE})) == REPLICAS)
        assert all(map(has_sidecar, shop.pods(**{LABEL: RELEASE})))
        remove(shop)
        block_until(lambda: forgotten(shop))


@ON_NEW_VERSIONS
def test_c1_an_upgrade_by_the_commands_keeps_the_policies(shop: Namespace, directory: Path) -> None:
    """After the tutorial, `helm upgrade` and the way back leave both policies, and new pods have the sidecar."""
    install(shop, page_with_label(), directory)
    for action in ("helm upgrade", "rollback"):
        [script] = [block for block in blocks(UPGRADE, "sh") if action in block]
        run("sh", "-eu", given=script, at=directory)
        for kind in ("mutatingadmissionpolicies", "validatingadmissionpolicies"):
            assert len(shop.get(kind, "-l", f"app.kubernetes.io/instance={RELEASE}")) == 1
    assert has_sidecar(shop.created(pod()))
    remove(shop)


def forgotten(shop: Namespace) -> bool:
    """Return whether the API server no longer applies the policies, which it does for a while."""
    try:
        return not has_sidecar(shop.created(pod()))
    except CommandFailed:
        return False
