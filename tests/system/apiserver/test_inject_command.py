"""`sidecar inject` for every kind of workload, and what the API server makes of it."""

import sys

import pytest
import yaml

from tests.support.waiting import block_until
from tests.system.apiserver.cluster import CommandFailed, Namespace, run
from tests.system.apiserver.workloads import (
    API_VERSIONS,
    ENDING,
    NODE,
    await_pods,
    check,
    has_sidecar,
    workload,
)
from tests.system.chart.helm import sidecar_of


def injected(text: str, *flags: str) -> str:
    return run(sys.executable, "-m", "sidecar", "inject", "-f", "-", *flags, given=text)


@pytest.mark.parametrize("form", ["native", "classic"])
def test_every_kind_of_workload_gets_the_sidecar(namespace: Namespace, form: str) -> None:
    """As the manifests are applied, in a namespace with the restricted profile; no container else changes."""
    kinds = [kind for kind in API_VERSIONS if form == "native" or kind not in ENDING]
    flags = [
        "--config-map",
        "config",
        "--secret-file",
        "ledger",
        *(["--classic"] if form == "classic" else []),
    ]
    namespace.apply([NODE])
    namespace.apply(injected(yaml.safe_dump_all(map(workload, kinds)), *flags))
    for pod in await_pods(namespace, kinds):
        check(pod, native=form == "native")
    [template] = namespace.get("podtemplates")
    assert has_sidecar(template["template"])


def images(namespace: Namespace) -> list[str]:
    """The image of each pod's sidecar, or nothing."""
    return [
        sidecar_of(each["spec"])["image"] if has_sidecar(each) else ""
        for each in namespace.pods(app="deployment")
    ]


def test_it_is_replaced_and_removed_again(namespace: Namespace) -> None:
    """In what the API server returns of a Deployment, too: each change replaces the pod."""
    deployment = workload("Deployment")
    deployment["spec"]["strategy"] = {
        "type": "Recreate"
    }  # others wait until pods are ready, which none becomes
    namespace.apply([deployment])
    block_until(lambda: images(namespace) == [""])

    def change(image: str, *flags: str) -> None:
        text = namespace.kubectl("get", "deployment", "deployment", "-o", "yaml")
        namespace.apply(injected(text, *flags))
        block_until(lambda: images(namespace) == [image])

    change("example/sidecar:1", "--config-map", "config", "--image", "example/sidecar:1")
    change("example/sidecar:2", "--config-map", "config", "--image", "example/sidecar:2")
    change("", "--remove")


def test_a_deployment_that_changed_meanwhile_is_left_alone(namespace: Namespace) -> None:
    """kubectl reports a conflict, as the tutorial says, so no change is lost."""
    namespace.apply([workload("Deployment")])
    text = namespace.kubectl("get", "deployment", "deployment", "-o", "yaml")
    namespace.kubectl("scale", "deployment", "deployment", "--replicas", "3")
    with pytest.raises(CommandFailed, match="the object has been modified"):
        namespace.apply(injected(text, "--config-map", "config"))
    [left] = namespace.get("deployments")
    assert left["spec"]["replicas"] == 3
    assert not has_sidecar(left["spec"]["template"])


def test_a_misspelled_field_would_be_refused(namespace: Namespace) -> None:
    """Which shows that the validation of these tests is strict."""
    text = injected(yaml.safe_dump(workload("Pod")), "--config-map", "config")
    with pytest.raises(CommandFailed, match="unknown field"):
        namespace.apply(text.replace("failureThreshold:", "failureTreshold:"))
