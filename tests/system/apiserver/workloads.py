"""Every kind of object that Kubernetes makes pods of, with and without the sidecar."""

from copy import deepcopy

from tests.support.waiting import block_until
from tests.system.apiserver.cluster import LABEL, RELEASE, Namespace
from tests.system.chart.helm import Manifest, sidecar_of
from tests.system.chart.kubernetes import API_TOKEN

RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
APP = {"name": "app", "image": "example/app:1", "securityContext": RESTRICTED}
SPEC: Manifest = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "initContainers": [{**APP, "name": "migrate"}],
    "containers": [APP, {**APP, "name": "proxy"}],
}
API_VERSIONS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Pod": "v1",
    "ReplicationController": "v1",
    "PodTemplate": "v1",
}
ENDING = ("Job", "CronJob")
"""Kinds whose pods complete, so that no classic container can be in them."""
NODE: Manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}}
"""For the DaemonSet, which tolerates the taint that a node without a kubelet soon gets. Its pod stays pending."""


def pod(**spec: object) -> Manifest:
    """A pod with the label of the release; these fields replace those of SPEC."""
    metadata = {"name": "pod", "labels": {LABEL: RELEASE}}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**SPEC, **spec}}
    return deepcopy(whole)


def workload(kind: str, **labels: str) -> Manifest:
    """An object of that kind, named after it, whose pods have the label `app` with that name, and these labels."""
    name = kind.lower()
    metadata = {"labels": {"app": name, **labels}}
    spec = deepcopy(SPEC)
    if kind in ENDING:
        spec["restartPolicy"] = "Never"
    if kind == "DaemonSet":
        spec["tolerations"] = [{"operator": "Exists"}]
    template = {"metadata": metadata, "spec": spec}
    selector = {"matchLabels": {"app": name}}
    parts: dict[str, Manifest] = {
        "Job": {"spec": {"template": template}},
        "CronJob": {"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}},
        "Pod": {"spec": spec},
        "PodTemplate": {"template": template},
        "ReplicationController": {"spec": {"selector": {"app": name}, "template": template}},
        "StatefulSet": {"spec": {"serviceName": name, "selector": selector, "template": template}},
    }
    part = parts.get(kind, {"spec": {"selector": selector, "template": template}})
    own = {"name": name, **(metadata if kind == "Pod" else {})}
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": own, **part}


def await_pods(namespace: Namespace, kinds: list[str]) -> list[Manifest]:
    """Return the pods, once each of these workloads has one. The CronJob gets its Job as by hand."""
    if "CronJob" in kinds:
        namespace.kubectl("create", "job", "by-hand", "--from=cronjob/cronjob")
    wanted = {kind.lower() for kind in kinds} - {"podtemplate"}
    block_until(lambda: {each["metadata"]["labels"].get("app") for each in namespace.pods()} >= wanted)
    return namespace.pods()


def check(pod: Manifest, *, native: bool = True) -> None:
    """The sidecar is in its place, the application as it was, and only the application gets the API token."""
    spec = pod["spec"]
    sidecar = sidecar_of(spec)
    inits, containers = ([each["name"] for each in spec[name]] for name in ("initContainers", "containers"))
    if native:
        assert (inits, containers) == (["sidecar", "migrate"], ["app", "proxy"])
        assert sidecar["restartPolicy"] == "Always"
    else:
        assert (inits, containers) == (["migrate"], ["app", "proxy", "sidecar"])
    mounted = {
        each["name"]: mount["name"]
        for each in (*spec["initContainers"], *spec["containers"])
        for mount in each["volumeMounts"]
        if mount["mountPath"] == API_TOKEN
    }
    assert mounted.pop("sidecar") == "sidecar-config"
    assert set(mounted) == {"migrate", "app", "proxy"}
    assert all(name.startswith("kube-api-access-") for name in mounted.values())


def has_sidecar(pod: Manifest) -> bool:
    containers = (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])
    return any(each["name"] == "sidecar" for each in containers)
