"""The pod specs of a Kubernetes document, and their parts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.kubernetes.yaml_tree import Node

_TEMPLATE = ("spec", "template", "spec")
_OF_KUBERNETES = {
    ("", "Pod"): ("spec",),
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("", "ReplicationController"): _TEMPLATE,
    ("", "PodTemplate"): ("template", "spec"),
}
"""The way to the pod's spec, by API group and kind."""
KNATIVE = "serving.knative.dev"
_OF_OTHERS = {
    ("argoproj.io", "Rollout"): _TEMPLATE,
    (KNATIVE, "Service"): _TEMPLATE,
    (KNATIVE, "Configuration"): _TEMPLATE,
    ("apps.openshift.io", "DeploymentConfig"): _TEMPLATE,
}
"""The same for extensions of Kubernetes. Their pods may also be defined elsewhere."""
_PATHS: dict[tuple[str, str], tuple[str, ...]] = _OF_KUBERNETES | _OF_OTHERS
_WITHOUT_GROUP = {kind: path for (_, kind), path in _OF_KUBERNETES.items()}
"""For manifests without `apiVersion`."""
KINDS = (*dict.fromkeys(kind for _, kind in _PATHS), "List")
LISTS = ("initContainers", "containers", "volumes")
"""Lists of a pod that the sidecar is added to."""


class Refused(Exception):
    """Part of a document does not allow adding or removing the sidecar; the text names the place and the reason."""


@dataclass(frozen=True)
class Entry:
    """A key of a mapping, and its value."""

    key: Node
    value: Node

    @property
    def meant(self) -> Node:
        """Return the value, or the target of its alias."""
        return self.value.meant


@dataclass(frozen=True)
class Pod:
    """The spec of a pod, at any place in its document."""

    group: str
    """Its API group, "" for the core group."""
    kind: str
    name: str
    path: str
    spec: Node
    lists: dict[str, Entry]
    """Its keys of LISTS, even if null."""

    def items(self, name: str) -> list[Node]:
        """Return a list's entries. Raises Refused if it is something else."""
        entry = self.lists.get(name)
        if entry is None or entry.meant.null:
            return []
        if entry.meant.kind != "sequence":
            raise Refused(f"{self.path}.{name}: this is not a list")
        return [item.meant for item in entry.meant.children]

    def containers(self) -> Iterator[tuple[str, Node]]:
        """Return every container with its path."""
        for name in LISTS[:2]:
            for number, item in enumerate(self.items(name)):
                yield f"{self.path}.{name}[{number}]", item


def pods(root: Node) -> Iterator[Pod]:
    """Find the pods of one document. Raises Refused if a workload has none."""
    for item, place in _items(root.meant, ""):
        yield from _pod(item, place)


def skipped(root: Node) -> Iterator[str]:
    """Return what in a document seems to have pods and is not changed: path, kind, name and API group of each."""
    for item, place in _items(root.meant, ""):
        group, kind = _group(item), text(item, "kind")
        if _found_path(item) is None and (
            kind in _WITHOUT_GROUP or (group, kind) in _PATHS or _has_pods(item)
        ):
            metadata = entry(item, "metadata")
            name = text(metadata.meant, "name") if metadata else ""
            words = " ".join(filter(None, (kind, name)))
            yield f"{place}{words} of API group {group}" if group else f"{place}{words}"


def _items(root: Node, place: str) -> Iterator[tuple[Node, str]]:
    """Return a document, or instead of a list its items, with their paths."""
    items = entry(root, "items") if text(root, "kind").endswith("List") else None
    if items is None:
        yield root, place
        return
    if place and root.places > 1:
        raise Refused(f"{place}items: an alias repeats this list: write it out")
    for number, item in enumerate(items.meant.children):
        yield from _items(item.meant, f"{place}items[{number}].")


def _group(root: Node) -> str:
    """Return the API group, "" for the core group or if there is none."""
    group, slash, _ = text(root, "apiVersion").partition("/")
    return group if slash else ""


def _found_path(root: Node) -> tuple[str, ...] | None:
    """Return the way to the pod's spec, or None if the document is no workload that we know, or has no template."""
    group, kind = _group(root), text(root, "kind")
    if not text(root, "apiVersion"):
        return _WITHOUT_GROUP.get(kind)
    path = _PATHS.get((group, kind))
    if path is not None and (group, kind) in _OF_OTHERS and not _leads_to_a_pod(root, path):
        return None
    return path


def _leads_to_a_pod(root: Node, path: tuple[str, ...]) -> bool:
    node = root
    for name in (*path, "containers"):
        found = entry(node, name)
        if found is None:
            return False
        node = found.meant
    return True


def _has_pods(root: Node) -> bool:
    """Return whether a list of containers is anywhere in it."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        node = waiting.pop()
        if node.kind == "mapping" and _has_containers(node):
            return True
        for child in (child.meant for child in node.children):
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    return False


def _has_containers(mapping: Node) -> bool:
    return any(
        key.meant.value == "containers"
        and value.meant.kind == "sequence"
        and any(text(item.meant, "image") for item in value.meant.children)
        for key, value in mapping.pairs()
    )


def _pod(root: Node, place: str) -> Iterator[Pod]:
    names = _found_path(root)
    if names is None:
        return
    group, kind = _group(root), text(root, "kind")
    node, path = root, place
    for name in names:
        found = entry(node, name)
        path += name
        if found is None or found.meant.kind != "mapping":
            raise Refused(f"{path}: the {kind} has none, so it has no pods")
        node, path = found.meant, f"{path}."
    lists = {name: found for name in LISTS if (found := entry(node, name))}
    if "containers" not in lists:
        raise Refused(f"{path}containers: the pod has none")
    metadata = entry(root, "metadata")
    name = text(metadata.meant, "name") if metadata else ""
    yield Pod(group, kind, name, path.rstrip("."), node, lists)


def check_sharing(found: list[Pod], edited: list[Node]) -> None:
    """Raise Refused if a change would also affect a place that is none of these pods, because aliases share text."""
    seen: Counter[tuple[str, int]] = Counter()
    for pod in found:
        seen["spec", id(pod.spec)] += 1
        for name, each in pod.lists.items():
            seen[name, id(each.meant)] += 1
    for node in edited:
        if node.places not in (seen[name, id(node)] for name in ("spec", *LISTS)):
            raise Refused(
                "an alias or a merge (<<) shares what would be changed with another place: write it out in the pod"
            )


def entry(mapping: Node, name: str) -> Entry | None:
    """Return a key with its value, its own before merged ones (<<). Raises Refused for a key that comes twice.

    A mapping that is merged in many places is searched once: else the time would double with each level of merges.
    """
    searched: set[int] = set()
    waiting = [mapping]
    while waiting:
        node = waiting.pop()
        if node.kind != "mapping" or id(node) in searched:
            continue
        searched.add(id(node))
        own = [Entry(key, value) for key, value in node.pairs() if key.meant.value == name]
        if len(own) > 1:
            raise Refused(f"{name}: the same mapping has it twice: keep one")
        if own:
            return own[0]
        waiting += reversed([parent.meant for parent in _merged(node)])
    return None


def _merged(mapping: Node) -> Iterator[Node]:
    """Return what is merged into a mapping, the first to be searched first."""
    for key, value in mapping.pairs():
        if key.value == "<<":
            yield from value.meant.children if value.meant.kind == "sequence" else [value]


def is_true(mapping: Node, name: str) -> bool:
    """Return whether a key's scalar is what Kubernetes reads as true."""
    return text(mapping, name).lower() in {"true", "yes", "on", "y"}


def text(mapping: Node, name: str) -> str:
    """Return a key's scalar, "" if there is none."""
    pair = entry(mapping, name)
    return pair.meant.value if pair else ""
