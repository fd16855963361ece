"""The chart in each mode: strict validation of every setup, pods, upgrade and removal."""

import pytest
import yaml

from tests.support.quantities import REFUSED, TAKEN
from tests.support.waiting import block_until
from tests.system.apiserver.cluster import INJECTS, RELEASE, VERSION, CommandFailed, Namespace
from tests.system.apiserver.workloads import APP, has_sidecar, pod
from tests.system.chart.helm import MODES, SETUPS, Manifest, rendered, sidecar_of
from tests.system.chart.kubernetes import API_TOKEN

OPERATOR = "monitoring.coreos.com/v1"
"""The kinds of Prometheus Operator, which this API server does not have."""
INSTANCE = f"app.kubernetes.io/instance={RELEASE}"
FORMS = ("native=true", "native=false")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "inject" or INJECTS])
def test_every_setup_is_valid(namespace: Namespace, mode: str, form: str) -> None:
    """No field is unknown, none has a wrong value, and the pods satisfy the restricted profile."""
    for setup in SETUPS:
        text = rendered(setup, f"mode={mode}", form, cluster=VERSION)
        manifests = [each for each in yaml.safe_load_all(text) if each and each["apiVersion"] != OPERATOR]
        for each in manifests:
            if each["metadata"].get("namespace"):
                each["metadata"]["namespace"] = namespace.name
        assert len(namespace.apply(manifests, "--dry-run=server")) == len(manifests), setup.stem
        for each in manifests:
            if each["kind"] == "Deployment":
                template = each["spec"]["template"]
                template["metadata"]["name"] = "pod"
                template["spec"].pop("serviceAccountName", None)  # it was not created
                namespace.created({"apiVersion": "v1", "kind": "Pod", **template})


def sidecars(namespace: Namespace) -> list[Manifest]:
    return [sidecar_of(each["spec"]) for each in namespace.pods() if has_sidecar(each)]


@pytest.mark.parametrize("form", FORMS)
def test_a_deployment_of_the_chart_has_it(namespace: Namespace, form: str) -> None:
    """`mode: app`: the pod is created, an upgrade replaces it where a restart is needed, and all is removed again."""
    namespace.helm("install", "mode=app", form)
    block_until(lambda: len(sidecars(namespace)) == 1)
    [old] = namespace.pods()
    [sidecar] = sidecars(namespace)
    assert [each["name"] for each in sidecar["volumeMounts"] if each["mountPath"] == API_TOKEN] == [
        "sidecar-config"
    ]
    namespace.helm("upgrade", "mode=app", form, "config.log.level=debug")
    [config] = namespace.get("configmap", "-l", INSTANCE)
    assert "level: debug" in config["data"]["config.yaml"]
    assert namespace.get("deployment")[0]["metadata"]["generation"] == 1
    namespace.helm("upgrade", "mode=app", form, "config.log.format=console")
    block_until(lambda: len(namespace.pods()) == 2)
    assert old["metadata"]["name"] in {each["metadata"]["name"] for each in namespace.pods()}
    namespace.uninstall()
    block_until(lambda: not namespace.get("all,configmaps,serviceaccounts", "-l", INSTANCE))
    block_until(lambda: not namespace.pods())


def test_the_configuration_is_there_for_pods_of_others(namespace: Namespace) -> None:
    """`mode: none`: an upgrade changes it in place."""
    for action, level in (("install", "info"), ("upgrade", "debug")):
        namespace.helm(action, f"config.log.level={level}")
        [config] = namespace.get("configmap", "-l", INSTANCE)
        assert config["metadata"]["name"] == RELEASE
        assert f"level: {level}" in config["data"]["config.yaml"]
    namespace.uninstall()
    assert namespace.get("configmap", "-l", INSTANCE) == []


def amounts(requests: dict[str, str], limits: dict[str, str]) -> Manifest:
    """A pod with these requests and limits."""
    return pod(containers=[{**APP, "resources": {"requests": requests, "limits": limits}}])


def test_c6_the_api_server_agrees_about_requests_and_limits(namespace: Namespace) -> None:
    """Chart and `sidecar inject` refuse those that it refuses, and no others."""
    for requests, limits in TAKEN:
        assert namespace.created(amounts(requests, limits))
    for requests, limits, _ in REFUSED:
        with pytest.raises(CommandFailed):
            namespace.created(amounts(requests, limits))
