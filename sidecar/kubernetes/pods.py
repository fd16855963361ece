"""The pod specs of a Kubernetes document, and their parts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.kubernetes.yaml_tree import Node

_TEMPLATE = ("spec", "template", "spec")
_PATHS = {
    "Pod": ("spec",),
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
}
KINDS = (*_PATHS, "List")
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
    root = root.meant
    if text(root, "kind").endswith("List"):
        items = entry(root, "items")
        for number, item in enumerate(items.meant.children if items else ()):
            yield from _pod(item.meant, f"items[{number}].")
    else:
        yield from _pod(root, "")


def _pod(root: Node, place: str) -> Iterator[Pod]:
    kind = text(root, "kind")
    if kind not in _PATHS:
        return
    node, path = root, place
    for name in _PATHS[kind]:
        found = entry(node, name)
        path += name
        if found is None or found.meant.kind != "mapping":
            raise Refused(f"{path}: the {kind} has none, so it has no pods")
        node, path = found.meant, f"{path}."
    lists = {name: found for name in LISTS if (found := entry(node, name))}
    if "containers" not in lists:
        raise Refused(f"{path}containers: the pod has none")
    metadata = entry(root, "metadata")
    yield Pod(kind, text(metadata.meant, "name") if metadata else "", path.rstrip("."), node, lists)


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
