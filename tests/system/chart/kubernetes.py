"""What a Kubernetes API server checks and adds: strict schemas, the restricted Pod Security profile, the API token."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from kubernetes_validate.utils import latest_version, major_minor
from referencing import Registry, Resource

from tests.system.chart.helm import Manifest, every_container

VERSIONS = ("1.29", "1.33", major_minor(latest_version()))
_SCHEMAS = files("kubernetes_validate") / "kubernetes-json-schema"
_POLICIES = "admissionregistration.k8s.io/v1"
_SINCE = {
    ("MutatingAdmissionPolicy", _POLICIES): (1, 36),
    ("MutatingAdmissionPolicyBinding", _POLICIES): (1, 36),
    ("ValidatingAdmissionPolicy", _POLICIES): (1, 30),
    ("ValidatingAdmissionPolicyBinding", _POLICIES): (1, 30),
}
"""Kinds that older versions do not know; the chart does not render them for those."""

_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
_OPERATOR = "monitoring.coreos.com/v1"


def _strict(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


_ENDPOINT = _strict(
    {"port": {"type": "string", "maxLength": 15}, "path": {"type": "string", "pattern": "^/"}}
)
_ENDPOINT["properties"]["interval"] = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}  # type: ignore[index]
_RULE: dict[str, object] = {
    **_strict({"expr": {"type": "string"}}),
    "properties": {
        "alert": {"type": "string"},
        "record": {"type": "string"},
        "expr": {"type": "string"},
        "for": {"type": "string", "pattern": "^[0-9]+(s|m|h)$"},
        "labels": _LABELS,
        "annotations": _LABELS,
    },
}
_CUSTOM = {
    ("PodMonitor", _OPERATOR): _strict(
        {
            "selector": _strict({"matchLabels": _LABELS}),
            "podMetricsEndpoints": {"type": "array", "minItems": 1, "items": _ENDPOINT},
        }
    ),
    ("PrometheusRule", _OPERATOR): _strict(
        {
            "groups": {
                "type": "array",
                "minItems": 1,
                "items": _strict({"name": {"type": "string"}, "rules": {"type": "array", "items": _RULE}}),
            }
        }
    ),
}
"""Prometheus Operator's kinds: the part that the chart uses, written after their definitions, for lack of a package."""


def faults(manifest: Manifest, version: str) -> list[str]:
    """Everything a strict API server of that version has against the manifest."""
    kind = (manifest["kind"], manifest["apiVersion"])
    if kind in _CUSTOM:
        found = Draft202012Validator(_CUSTOM[kind]).iter_errors(manifest["spec"])
    elif tuple(map(int, version.split("."))) < _SINCE.get(kind, (0,)):
        return []
    else:
        found = _validator(*kind, version).iter_errors(manifest)
    return [f"{each.json_path}: {each.message}" for each in found]


@cache
def _validator(kind: str, api_version: str, version: str) -> Draft202012Validator:
    group, _, number = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], number)))
    schema = json.loads((_schemas(version) / f"{name}.json").read_text())
    return Draft202012Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    text = (_schemas(version) / "_definitions.json").read_text()
    definitions: Resource[Any] = Resource.from_contents(json.loads(text))
    return definitions @ Registry()


def _schemas(version: str) -> Any:
    return _SCHEMAS / f"v{version}.0-local-strict"


API_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


def with_api_token(container: Manifest) -> bool:
    """Whether the ServiceAccount admission mounts the API token: in each container that has no mount of that path."""
    return all(mount["mountPath"] != API_TOKEN for mount in container.get("volumeMounts", []))


# The restricted profile of the Pod Security Standards, its controls one by one


def unrestricted(spec: Manifest) -> Iterator[str]:
    """What the profile forbids about a pod, in its own words."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    for volume in spec.get("volumes", []):
        allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
        if not set(volume) - {"name"} <= allowed | {"projected", "secret"}:
            yield f"restricted volume types: {volume['name']}"
    whole = spec.get("securityContext", {})
    for container in every_container(spec):
        for fault in _unrestricted(container.get("securityContext", {}), whole):
            yield f"{fault}: {container['name']}"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"hostPort: {container['name']}"


def _unrestricted(own: Manifest, whole: Manifest) -> Iterator[str]:
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation != false"
    if "ALL" not in own.get("capabilities", {}).get("drop", []):
        yield "unrestricted capabilities"
    if own.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot != true"
    if own.get("runAsUser", whole.get("runAsUser", 1)) == 0:
        yield "runAsUser=0"
    profile = (own.get("seccompProfile") or whole.get("seccompProfile") or {}).get("type")
    if profile not in {"RuntimeDefault", "Localhost"}:
        yield "seccompProfile"
