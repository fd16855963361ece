"""What follows from the chart's values.yaml and the program.

That is values.schema.json, files/defaults.yaml and the tables in helm/README.md. `make chart` writes them, and a test
holds them in step.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from sidecar.config.load import json_schema
from sidecar.kubernetes.quantities import QUANTITY
from tests import ROOT
from tests.system.chart.kubernetes_types import definitions, reference

CHART = ROOT / "helm"
SCHEMA = CHART / "values.schema.json"
README = CHART / "README.md"
DEFAULTS = CHART / "files" / "defaults.yaml"
RULES = CHART / "rules" / "credential-sidecar.yaml"
Schema = dict[str, object]

_NAME = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_SECRET: Schema = {"type": "string", "pattern": _NAME, "maxLength": 253}
_QUANTITIES: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number"], "pattern": f"^({QUANTITY})$", "minimum": 0},
    "propertyNames": {
        "pattern": "^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i|[a-z0-9.-]+/[A-Za-z0-9._-]+)$"
    },
}
_KINDS: Mapping[type, str] = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
_FINER: Mapping[str, Schema] = {
    "app.replicas": {"minimum": 0},
    "app.servicePort": {"minimum": 0, "maximum": 65535},
    "aws.roleArn": {"pattern": "^(arn:[a-z-]+:iam::[0-9]{12}:role/.+)?$"},
    "config": {"$ref": "#/definitions/File"},
    "env": {
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "pattern": "^[-._a-zA-Z][-._a-zA-Z0-9]*$"},
                "value": {"type": "string"},
                "valueFrom": reference("EnvVarSource"),
            },
            "required": ["name"],
            "maxProperties": 2,
            "additionalProperties": False,
        }
    },
    "fullnameOverride": {"pattern": "^([a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?)?$"},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.repository": {"pattern": r"^\S+$"},
    "image.tag": {"pattern": r"^(\w[\w.-]{0,127})?$"},
    "resources": {
        "properties": {
            "requests": _QUANTITIES,
            "limits": _QUANTITIES,
            "claims": {"type": "array", "items": reference("ResourceClaim")},
        },
        "additionalProperties": False,
    },
    "secrets.files": {
        "items": {
            "type": "object",
            "properties": {
                "secret": _SECRET,
                "mountPath": {"type": "string", "pattern": "^/[^:]*$"},
                "items": {"type": "array", "items": reference("KeyToPath")},
            },
            "required": ["secret"],
            "additionalProperties": False,
        }
    },
    "secrets.env": {
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
                "secret": _SECRET,
                "key": {"type": "string", "minLength": 1},
            },
            "required": ["name", "secret", "key"],
            "additionalProperties": False,
        }
    },
    "securityContext": reference("SecurityContext"),
    "volumes": {"items": reference("Volume")},
    "volumeMounts": {"items": reference("VolumeMount")},
}
"""What the kind of the default does not say."""

_PARENTS: Schema = {"enabled": {"type": "boolean"}, "global": {"type": "object"}}
"""A parent chart's entries among our values: its condition for us, and its global values."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the chart: its path, what values.yaml says above it, and its default."""

    path: str
    text: str
    default: object

    @property
    def options(self) -> list[str]:
        found = re.search(r"^One of: (.*)$", self.text, re.MULTILINE)
        return found[1].split(", ") if found else []

    @property
    def kinds(self) -> list[str]:
        found = re.search(r"^Type: (.*)$", self.text, re.MULTILINE)
        return found[1].split(" or ") if found else [_KINDS[type(self.default)]]

    @property
    def meaning(self) -> str:
        """The description, as one line."""
        return " ".join(re.sub(r"^(One of|Type): .*$", "", self.text, flags=re.MULTILINE).split())


def values() -> Iterator[Value]:
    """Every documented value. A mapping of which a key has a comment is a section, any other one is a value."""
    text = (CHART / "values.yaml").read_text()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    yield from _section(node, "", text.splitlines())


def _section(node: yaml.MappingNode, path: str, lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        name = f"{path}{key.value}"
        below = [inner for inner, _ in value.value] if isinstance(value, yaml.MappingNode) else []
        if any(_above(inner, lines) for inner in below if inner.start_mark.line > key.start_mark.line):
            yield from _section(value, f"{name}.", lines)
        else:
            yield Value(name, _above(key, lines), yaml.safe_load(yaml.serialize(value)))


def _above(key: yaml.Node, lines: list[str]) -> str:
    """The comment right above a key."""
    end = begin = key.start_mark.line
    while begin > 0 and lines[begin - 1].lstrip().startswith("#"):
        begin -= 1
    return "\n".join(line.strip().removeprefix("#").strip() for line in lines[begin:end])


def schema() -> str:
    """The schema of the values, as text."""
    text = json.dumps(json_schema()["$defs"]).replace("#/$defs/", "#/definitions/")
    program = json.loads(
        re.sub(r"\(\?![^)]*\)", "", text)
    )  # Helm's patterns cannot look ahead; the sidecar's can
    del program["File"]["required"]  # an existing ConfigMap may have them; templates/_check.tpl says so
    root: Schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart",
        **_object({}),
        "definitions": program | definitions(),
    }
    for value in values():
        *sections, name = value.path.split(".")
        place = root
        for section in sections:
            place = place["properties"].setdefault(section, _object({}))  # type: ignore[attr-defined]
        place["properties"][name] = _leaf(value)  # type: ignore[index]
    root["properties"].update(_PARENTS)  # type: ignore[attr-defined]
    return json.dumps(root, indent=1, sort_keys=True) + "\n"


def defaults() -> str:
    """The defaults, as text: the path of each value, and its default."""
    found = [{"path": value.path.split("."), "default": value.default} for value in values()]
    entries = (f"- {json.dumps(each)}\n" for each in found)
    return "# `make chart` writes this file from values.yaml.\n" + "".join(entries)


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _leaf(value: Value) -> Schema:
    leaf: Schema = {"type": value.kinds[0] if len(value.kinds) == 1 else value.kinds}
    if value.options:
        leaf = {"enum": sorted({str(value.default), *value.options})}
    finer = _FINER.get(value.path, {})
    return dict(finer) if "$ref" in finer else leaf | dict(finer)


def table() -> str:
    """The table of the values, in Markdown."""
    rows = ["| Value | Default | Meaning |", "| --- | --- | --- |"]
    for value in values():
        options = ", ".join(f"`{option}`" for option in value.options)
        meaning = f"{value.meaning} One of {options}." if options else value.meaning
        rows.append(f"| `{value.path}` | `{json.dumps(value.default)}` | {meaning} |")
    return "\n".join(rows) + "\n"


def alerts() -> str:
    """The table of the alerts, in Markdown."""
    rows = ["| Alert | Severity | Consequence without action |", "| --- | --- | --- |"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            consequence = rule["annotations"]["consequence"]
            rows.append(f"| `{rule['alert']}` | {rule['labels']['severity']} | {consequence} |")
    return "\n".join(rows) + "\n"


def readme() -> str:
    """The chart's page with its tables as they must be."""
    page = README.read_text()
    for name, content in (("values", table()), ("alerts", alerts())):
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- /{name} -->\n")
        page = f"{before}<!-- {name} -->\n{content}<!-- /{name} -->\n{after}"
    return page
