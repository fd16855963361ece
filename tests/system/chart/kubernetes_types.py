"""Kubernetes' own types for the values that become a part of pods, as definitions for the schema of the values.

Helm refuses what does not satisfy them. Otherwise the installation would succeed, and then the API server would refuse
each pod: with `mode: inject` it decodes the pod that the policy makes strictly.
"""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from sidecar.kubernetes.quantities import QUANTITY

Schema = dict[str, Any]

VERSION = "1.37"
"""The newest version that the chart is tested with."""
PREFIX = "io.k8s.api.core.v1."
TYPES = ("Volume", "VolumeMount", "EnvVarSource", "SecurityContext", "KeyToPath", "ResourceClaim")

LABEL = {"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
_RELATIVE = {"pattern": "^[^/]"}
_PROFILES = {"enum": ["Localhost", "RuntimeDefault", "Unconfined"]}
_USER = {"minimum": 0, "maximum": (1 << 31) - 1}
_MODE = {"minimum": 0, "maximum": 0o777}
_NAMED = {"required": ["name"]}
_RULES: Mapping[str, Schema] = {
    "Volume": {"maxProperties": 2},
    "EnvVarSource": {"minProperties": 1, "maxProperties": 1},
    "VolumeProjection": {"maxProperties": 1},
    "SecretVolumeSource": {"required": ["secretName"]},
    "ConfigMapVolumeSource": _NAMED,
    "ConfigMapProjection": _NAMED,
    "SecretProjection": _NAMED,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"pattern": f"^({QUANTITY})$", "minimum": 0},
}
"""What the API server checks of these types, and the schemas of Kubernetes do not say."""
_RULES_OF_FIELDS: Mapping[tuple[str, str], Schema] = {
    ("Volume", "name"): LABEL,
    ("VolumeMount", "mountPath"): {"pattern": "^/[^:]*$"},
    ("VolumeMount", "mountPropagation"): {"enum": ["None", "HostToContainer", "Bidirectional"]},
    ("KeyToPath", "path"): _RELATIVE,
    ("KeyToPath", "mode"): _MODE,
    ("DownwardAPIVolumeFile", "path"): _RELATIVE,
    ("DownwardAPIVolumeFile", "mode"): _MODE,
    ("ConfigMapVolumeSource", "defaultMode"): _MODE,
    ("SecretVolumeSource", "defaultMode"): _MODE,
    ("DownwardAPIVolumeSource", "defaultMode"): _MODE,
    ("ProjectedVolumeSource", "defaultMode"): _MODE,
    ("ServiceAccountTokenProjection", "path"): _RELATIVE,
    ("ServiceAccountTokenProjection", "expirationSeconds"): {"minimum": 600},
    ("EmptyDirVolumeSource", "medium"): {"pattern": "^(Memory|HugePages(-.+)?)?$"},
    ("SecurityContext", "runAsUser"): _USER,
    ("SecurityContext", "runAsGroup"): _USER,
    ("SecurityContext", "procMount"): {"enum": ["Default", "Unmasked"]},
    ("SeccompProfile", "type"): _PROFILES,
    ("AppArmorProfile", "type"): _PROFILES,
}
"""The same for fields."""


def reference(name: str) -> Schema:
    """A reference to one of TYPES."""
    return {"$ref": f"#/definitions/{PREFIX}{name}"}


def definitions() -> Schema:
    """TYPES, and all that they consist of."""
    place = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}.0-local-strict"
    everything: Schema = json.loads((place / "_definitions.json").read_text())["$defs"]
    found: Schema = {}
    waiting = [f"{PREFIX}{name}" for name in TYPES]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _refined(name.removeprefix(PREFIX), _bare(everything[name]))
            waiting += re.findall(r'"#/definitions/([^"]+)"', json.dumps(found[name]))
    return found


def _bare(part: Any) -> Any:
    """A schema without descriptions, with references as Helm resolves them."""
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", "#/definitions/") if key == "$ref" else _bare(value)
            for key, value in part.items()
            if not (key == "description" and isinstance(value, str)) and not key.startswith("x-kubernetes-")
        }
    return [_bare(each) for each in part] if isinstance(part, list) else part


def _refined(name: str, schema: Schema) -> Schema:
    schema |= _RULES.get(name, {})
    for field, rule in schema.get("properties", {}).items():
        rule |= _RULES_OF_FIELDS.get((name, field), {})  # noqa: PLW2901  # in place
    return schema
