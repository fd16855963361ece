"""Which documents have pods: by API group and kind. Others are skipped, and named."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from sidecar.core.errors import ManifestRefused
from sidecar.kubernetes.container import Blanks
from sidecar.kubernetes.inject import inject, remove, warnings

BLANKS = Blanks("config")
POD = "{containers: [{name: a, image: x}]}"
DEPLOYMENT = (
    f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: real}}\nspec: {{template: {{spec: {POD}}}}}\n"
)


def document(api_version: str, kind: str, body: str) -> str:
    return f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: it}}\n{body}\n"


def sidecars(part: Any) -> Iterator[str]:
    """The names of all init containers, at any place."""
    if isinstance(part, dict):
        yield from (each["name"] for each in part.get("initContainers", []))
        for value in part.values():
            yield from sidecars(value)
    elif isinstance(part, list):
        for value in part:
            yield from sidecars(value)


TEMPLATE = f"spec: {{template: {{spec: {POD}}}}}"
FOREIGN = [
    ("batch.volcano.sh/v1alpha1", "Job", f"spec: {{tasks: [{{template: {{spec: {POD}}}}}]}}"),
    ("batch.volcano.sh/v1alpha1", "Job", TEMPLATE),
    ("example.com/v1", "Deployment", TEMPLATE),
    ("example.com/v1", "Deployment", "spec: {image: x}"),
    ("example.com/v1", "Pod", f"spec: {POD}"),
    ("apps.kruise.io/v1beta1", "StatefulSet", TEMPLATE),
    ("apps.kruise.io/v1alpha1", "CloneSet", TEMPLATE),
    ("v1", "Deployment", TEMPLATE),
    ("batch/v1", "Deployment", TEMPLATE),
    ("kubeflow.org/v1", "PyTorchJob", f"spec: {{replicas: {{Master: {{template: {{spec: {POD}}}}}}}}}"),
    ("argoproj.io/v1alpha1", "Rollout", "spec: {workloadRef: {kind: Deployment, name: real}}"),
    ("argoproj.io/v1alpha1", "Workflow", "spec: {templates: [{containers: [{name: a, image: x}]}]}"),
]


@pytest.mark.parametrize(("api_version", "kind", "body"), FOREIGN)
def test_k1_a_kind_of_another_group_is_skipped_and_named(api_version: str, kind: str, body: str) -> None:
    """Beside a real one, in a list too; and where it is all there is, the refusal names it."""
    foreign = document(api_version, kind, body)
    after = inject(f"{foreign}---\n{DEPLOYMENT}", BLANKS)
    assert after.startswith(foreign)
    assert list(sidecars(list(yaml.safe_load_all(after)))) == ["sidecar"]
    named = (
        f"{kind} it of API group {api_version.split('/', maxsplit=1)[0]}"
        if "/" in api_version
        else f"{kind} it"
    )
    [warning] = warnings(after)
    assert warning.startswith(f"document 1: {named}: skipped, it gets no sidecar")
    assert remove(after) == f"{foreign}---\n{DEPLOYMENT}"
    with pytest.raises(ManifestRefused) as refused:
        inject(foreign, BLANKS)
    assert str(refused.value).endswith(f"; document 1: {named} is skipped")
    listed = yaml.safe_dump({"kind": "List", "items": [*yaml.safe_load_all(f"{foreign}---\n{DEPLOYMENT}")]})
    [warning] = warnings(inject(listed, BLANKS))
    assert warning.startswith(f"document 1: items[0].{named}: skipped")


@pytest.mark.parametrize(
    ("api_version", "kind", "body"),
    [
        ("argoproj.io/v1alpha1", "Rollout", TEMPLATE),
        ("serving.knative.dev/v1", "Service", TEMPLATE),
        ("serving.knative.dev/v1", "Configuration", TEMPLATE),
        ("v1", "ReplicationController", TEMPLATE),
        ("v1", "PodTemplate", f"template: {{spec: {POD}}}"),
        ("apps.openshift.io/v1", "DeploymentConfig", TEMPLATE),
        ("apps/v1beta2", "Deployment", TEMPLATE),
        ("v1", "Pod", f"spec: {POD}"),
        ("v1", "List", f"items: [{{apiVersion: v1, kind: Pod, spec: {POD}}}]"),
        ("v1", "List", f"items: [{{kind: List, items: [{{apiVersion: v1, kind: Pod, spec: {POD}}}]}}]"),
    ],
)
def test_k2_what_carries_a_pod_template_gets_the_sidecar(api_version: str, kind: str, body: str) -> None:
    """Beside a Deployment, and alone; the only words about it are Knative's condition."""
    other = document(api_version, kind, body)
    for text, count in ((other, 1), (f"{other}---\n{DEPLOYMENT}", 2)):
        after = inject(text, BLANKS)
        assert list(sidecars(list(yaml.safe_load_all(after)))) == ["sidecar"] * count
        assert inject(after, BLANKS) == after
        assert remove(after) == text
        knative = ["kubernetes.podspec-init-containers"] if "knative" in api_version else []
        assert [word for line in warnings(after) for word in line.split() if "podspec" in word] == [
            f"{word};" for word in knative
        ]
        assert len(warnings(after)) == len(knative)


@pytest.mark.parametrize(
    "other",
    [
        document("v1", "Service", "spec: {ports: [{port: 80}]}"),
        document("v1", "ConfigMap", "data: {containers: a}"),
        document("example.com/v1", "Thing", "spec: {containers: {a: b}, template: {spec: {containers: []}}}"),
        document("v1", "List", "items: []"),
        document("v1", "List", "items:"),
        "a: b\n",
    ],
)
def test_k2_what_has_no_pods_is_not_mentioned(other: str) -> None:
    """A warning for each Service and ConfigMap would hide the others."""
    assert warnings(inject(f"{other}---\n{DEPLOYMENT}", BLANKS)) == []


def test_k2_lists_within_lists_that_an_alias_repeats_end() -> None:
    """Each level would double the work."""
    levels = "".join(f"- &l{n} {{kind: List, items: [*l{n - 1}, *l{n - 1}]}}\n" for n in range(1, 60))
    text = f"kind: List\nitems:\n- &l0 {{kind: List, items: [{{kind: Pod, spec: {POD}}}]}}\n{levels}"
    with pytest.raises(ManifestRefused, match="an alias repeats this list"):
        inject(text, BLANKS)
