"""`mode: inject`: the API server evaluates the policies itself."""

import json
from collections.abc import Iterator

import pytest

from tests.support.waiting import block_until
from tests.system.apiserver.cluster import INJECTS, LABEL, RELEASE, CommandFailed, Namespace, wait_as_noted
from tests.system.apiserver.workloads import (
    API_VERSIONS,
    APP,
    ENDING,
    NODE,
    await_pods,
    check,
    has_sidecar,
    pod,
    workload,
)
from tests.system.chart.helm import Manifest, sidecar_of
from tests.system.chart.kubernetes import API_TOKEN

pytestmark = pytest.mark.skipif(not INJECTS, reason="mode: inject requires Kubernetes 1.36")


@pytest.fixture
def installed(namespace: Namespace) -> Iterator[Namespace]:
    """The chart with its defaults, in effect."""
    wait_as_noted(namespace.helm("install", "mode=inject"))
    yield namespace
    namespace.uninstall()


@pytest.mark.parametrize("form", ["native", "classic"])
def test_every_kind_of_workload_gets_the_sidecar(namespace: Namespace, form: str) -> None:
    """With the label, in a namespace with the restricted profile. No sidecar gets the API token."""
    native = form == "native"
    wait_as_noted(namespace.helm("install", "mode=inject", f"native={str(native).lower()}"))
    kinds = [kind for kind in API_VERSIONS if native or kind not in ENDING]
    namespace.apply([NODE, *(workload(kind, **{LABEL: RELEASE}) for kind in kinds)])
    for each in await_pods(namespace, kinds):
        check(each, native=native)
    namespace.uninstall()


def test_only_labelled_pods_of_the_namespace_get_it(installed: Namespace) -> None:
    """Each of the others is created as it is."""
    other = pod()
    other["metadata"]["labels"] = {LABEL: "other"}
    assert not has_sidecar(installed.created(other))
    assert has_sidecar(installed.created(pod()))
    with Namespace(f"{installed.name}-other") as elsewhere:
        assert not has_sidecar(elsewhere.created(pod()))


OURS = {"name": "sidecar-config", "configMap": {"name": "mine"}}
REFUSED: list[tuple[Manifest, str]] = [
    (pod(volumes=[OURS]), "a volume with one of the names sidecar-config, sidecar-secret-0 exists"),
    (pod(containers=[{**APP, "name": "sidecar"}]), "a container `sidecar` exists, and is not the sidecar's"),
    (pod(initContainers=[{**APP, "name": "sidecar"}]), "a container `sidecar` exists"),
    (pod(containers=[{**APP, "ports": [{"containerPort": 9181}]}]), "a container has a port of the sidecar"),
    (
        pod(initContainers=[{**APP, "name": "migrate", "ports": [{"containerPort": 9180}]}]),
        "a container has a port of the sidecar",
    ),
    (pod(nodeSelector={"kubernetes.io/os": "windows"}), "the pod is for Windows"),
]


@pytest.mark.parametrize(("hindered", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_c8_a_pod_that_cannot_have_the_sidecar_is_refused(
    installed: Namespace, hindered: Manifest, message: str
) -> None:
    """With the reason."""
    with pytest.raises(CommandFailed) as refused:
        installed.created(hindered)
    assert message in str(refused.value)


@pytest.mark.parametrize("field", ["hostNetwork", "hostPID"])
def test_c8_a_pod_in_the_nodes_namespaces_is_refused(installed: Namespace, field: str) -> None:
    """Where the namespace's own profile would permit it."""
    label = "pod-security.kubernetes.io/enforce=privileged"
    installed.kubectl("label", "namespace", installed.name, "--overwrite", label)
    with pytest.raises(CommandFailed, match=f"{field}: "):
        installed.created(pod(**{field: True}))


def test_c1_a_lost_binding_refuses_labelled_pods(installed: Namespace) -> None:
    """They would run without a sidecar, unnoticed."""
    name = f"{RELEASE}.{installed.name}"
    installed.kubectl("delete", "mutatingadmissionpolicybinding", name)
    block_until(lambda: "the sidecar was not added to it" in refusal(installed))
    installed.helm("upgrade", "mode=inject")
    block_until(lambda: not refusal(installed))


def refusal(namespace: Namespace) -> str:
    try:
        namespace.created(pod())
    except CommandFailed as failed:
        return str(failed)
    return ""


def test_c2_numbers_are_exact(namespace: Namespace) -> None:
    """As the API server writes them, for those that were fractions in the values."""
    values = {
        "resources.requests.cpu": "0.5",
        "resources.limits.cpu": "1.5",
        "resources.requests.memory": "1000000",
        "resources.limits.memory": "5000000000",
    }
    wait_as_noted(
        namespace.helm("install", "mode=inject", *(f"{key}={value}" for key, value in values.items()))
    )
    resources = sidecar_of(namespace.created(pod())["spec"])["resources"]
    assert resources == {
        "requests": {"cpu": "500m", "memory": "1M"},
        "limits": {"cpu": "1500m", "memory": "5G"},
    }
    namespace.uninstall()


def test_c12_a_projected_token_is_mounted_where_the_values_say(namespace: Namespace) -> None:
    """Instead of the mount that keeps the API token out."""
    wait_as_noted(
        namespace.helm(
            "install",
            "mode=inject",
            "volumes[0].name=api",
            "volumes[0].projected.sources[0].serviceAccountToken.path=token",
            "volumeMounts[0].name=api",
            f"volumeMounts[0].mountPath={API_TOKEN}",
        )
    )
    mounts = sidecar_of(namespace.created(pod())["spec"])["volumeMounts"]
    assert [each["name"] for each in mounts if each["mountPath"] == API_TOKEN] == ["api"]
    namespace.uninstall()


def test_an_upgrade_is_in_new_pods_and_an_uninstallation_leaves_nothing(namespace: Namespace) -> None:
    """Pods that run keep their sidecar until they are replaced."""
    wait_as_noted(namespace.helm("install", "mode=inject"))
    namespace.apply([workload("Deployment", **{LABEL: RELEASE})])
    await_pods(namespace, ["Deployment"])
    wait_as_noted(namespace.helm("upgrade", "mode=inject", "image.tag=new"))
    block_until(lambda: image(namespace.created(pod())) == "credential-sidecar:new")
    namespace.kubectl("rollout", "restart", "deployment", "deployment")
    block_until(lambda: "credential-sidecar:new" in map(image, namespace.pods(app="deployment")))
    namespace.uninstall()
    kinds = ("mutatingadmissionpolicies", "validatingadmissionpolicies")
    found = [
        namespace.get(kind) + namespace.get(kind.replace("policies", "policybindings")) for kind in kinds
    ]
    assert namespace.name not in json.dumps([[each["metadata"]["name"] for each in list_] for list_ in found])
    block_until(lambda: not refusal(namespace) and not has_sidecar(namespace.created(pod())))
    assert any(map(has_sidecar, namespace.pods(app="deployment")))
    namespace.kubectl("rollout", "restart", "deployment", "deployment")
    block_until(lambda: not all(map(has_sidecar, namespace.pods(app="deployment"))))


def image(found: Manifest) -> str:
    return str(sidecar_of(found["spec"])["image"])
