"""Add the sidecar to Kubernetes YAML: every other byte stays, and the original can be restored.

The text is never rewritten. It is parsed into a tree with the position of each node, and the additions are inserted;
removing takes out only these. Adding twice equals adding once, because an earlier addition is removed first.
"""

from collections.abc import Callable, Iterator

import yaml

from sidecar.core.errors import ManifestRefused
from sidecar.kubernetes.container import DRAIN_TIMEOUT, SECRET_VOLUME, Blanks, Sidecar, definition, fill
from sidecar.kubernetes.edits import Edit, Writer, applied
from sidecar.kubernetes.pods import (
    KINDS,
    KNATIVE,
    LISTS,
    Pod,
    Refused,
    check_sharing,
    entry,
    is_true,
    pods,
    skipped,
    text,
)
from sidecar.kubernetes.yaml_tree import Node, documents

_DIGITS = 20
"""Digits of a number that are read: more than Kubernetes accepts."""

_SKIPPED = "skipped, it gets no sidecar: `sidecar inject` does not know where this kind has its pods"
_Change = Callable[[Pod, Writer], Iterator[tuple[Node, Edit]]]


def inject(manifest: str, blanks: Blanks) -> str:
    """Return the manifest with the sidecar, as `blanks` defines it, in each of its pods; an existing one is replaced.

    Raises ManifestRefused, and ValueError for an address in `blanks` that is none.
    """
    sidecar = fill(blanks)
    return _changed(remove(manifest), lambda pod, writer: _add(pod, writer, sidecar, native=blanks.native))


def remove(manifest: str) -> str:
    """Return the manifest as it was before the sidecar was added. Raises ManifestRefused."""
    return _changed(manifest, _take)


def warnings(manifest: str) -> list[str]:
    """Return warnings: what was skipped, and what weakens the sidecar or hinders it. Raises ManifestRefused."""
    found = list[str]()
    for number, root in enumerate(_roots(manifest), start=1):
        if root is None:
            continue
        found += (f"document {number}: {words}: {_SKIPPED}" for words in skipped(root))
        here = list(pods(root))
        found += (
            f"document {number}{_named(root)}: {pod.path}.{warning}"
            for pod in here
            for warning in _weaknesses(pod)
        )
        found += (
            f"document {number}{_named(root)}: Knative permits init containers only with its feature"
            " kubernetes.podspec-init-containers; enable it"
            for pod in here
            if pod.group == KNATIVE
        )
    return found


def _weaknesses(pod: Pod) -> Iterator[str]:
    if is_true(pod.spec, "shareProcessNamespace"):
        yield (
            "shareProcessNamespace: containers of the pod with CAP_SYS_PTRACE can read the sidecar's memory;"
            " remove shareProcessNamespace"
        )
    grace = text(pod.spec, "terminationGracePeriodSeconds")
    if grace.isdecimal() and int(grace[:_DIGITS]) <= DRAIN_TIMEOUT:
        yield (
            f"terminationGracePeriodSeconds: Kubernetes kills the sidecar after {int(grace[:_DIGITS])} s, but it may"
            f" serve requests in flight for {DRAIN_TIMEOUT} s after SIGTERM; set more than {DRAIN_TIMEOUT} s plus the"
            " time that the application takes to stop, or lower drain_timeout in the configuration"
        )


def _changed(manifest: str, change: _Change) -> str:
    writer = Writer(manifest)
    edits, faults, others, found = list[Edit](), list[str](), list[str](), False
    for number, root in enumerate(_roots(manifest), start=1):
        if root is None:
            continue
        try:
            here = list(pods(root))
            found = found or bool(here)
            others += (f"; document {number}: {words} is skipped" for words in skipped(root))
            edits += _edits(here, change, writer)
        except Refused as refused:
            faults.append(f"document {number}{_named(root)}: {refused}")
        except RecursionError:
            faults.append(f"document {number}: nested too deeply, or an alias contains itself")
    if faults:
        raise ManifestRefused("\n".join(faults))
    if not found:
        raise ManifestRefused(
            f"cannot find a pod in the manifest: it contains none of {', '.join(KINDS)}{''.join(others)}"
        )
    return applied(manifest, edits)


def _roots(manifest: str) -> list[Node | None]:
    try:
        return documents(manifest)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ManifestRefused(f"{line}not YAML: {error.problem}; a template must be rendered first") from None
    except yaml.YAMLError:
        raise ManifestRefused("not YAML: it holds characters that YAML does not allow") from None
    except (ValueError, RecursionError) as error:
        raise ManifestRefused(f"not usable YAML: {error}") from None


def _edits(pods: list[Pod], change: _Change, writer: Writer) -> list[Edit]:
    """Return the changes of a document's pods. Raises Refused."""
    changes = [changed for pod in pods for changed in change(pod, writer)]
    check_sharing(pods, [node for node, _ in changes])
    return [edit for _, edit in changes]


def _named(root: Node) -> str:
    try:
        metadata = entry(root.meant, "metadata")
        name = text(metadata.meant, "name") if metadata else ""
        words = f"{text(root.meant, 'kind')} {name}".strip()
    except Refused:  # it has a key twice, which is reported next
        words = ""
    return f" ({words})" if words else ""


def _add(pod: Pod, writer: Writer, sidecar: Sidecar, *, native: bool) -> Iterator[tuple[Node, Edit]]:
    _check(pod, sidecar, native=native)
    if native:
        items = {"initContainers": [sidecar.container], "volumes": sidecar.volumes}
        return writer.add(pod, items, last="")
    return writer.add(pod, {"containers": [sidecar.container], "volumes": sidecar.volumes}, last="containers")


def _check(pod: Pod, sidecar: Sidecar, *, native: bool) -> None:
    """Raise Refused if the sidecar cannot be in this pod."""
    if not native and (
        pod.kind in {"Job", "CronJob"} or text(pod.spec, "restartPolicy") not in {"", "Always"}
    ):
        raise Refused(
            f"{pod.path}.restartPolicy: with a classic container the pod would never complete; remove --classic"
        )
    if _is_for_windows(pod):
        raise Refused(f"{pod.path}: the sidecar's image is for Linux, and the pod is for Windows")
    if sidecar.on_network and is_true(pod.spec, "hostNetwork"):
        raise Refused(
            f"{pod.path}.hostNetwork: every process of the node could use the tokens; listen on unix: (--listen)"
        )
    if is_true(pod.spec, "hostPID"):
        raise Refused(
            f"{pod.path}.hostPID: privileged containers of other pods could read the sidecar's memory; remove hostPID"
        )
    if not pod.items("containers"):
        raise Refused(f"{pod.path}.containers: the pod has none")
    for path, container in pod.containers():
        _check_name(path, container, "container", {sidecar.container["name"]})
        _check_ports(path, container, sidecar)
    names = {volume["name"] for volume in sidecar.volumes}
    for number, volume in enumerate(pod.items("volumes")):
        _check_name(f"{pod.path}.volumes[{number}]", volume, "volume", names)


def _is_for_windows(pod: Pod) -> bool:
    given = (("os", "name"), ("nodeSelector", "kubernetes.io/os"))
    found = ((entry(pod.spec, name), key) for name, key in given)
    return any(each is not None and text(each.meant, key) == "windows" for each, key in found)


def _check_name(path: str, item: Node, kind: str, ours: set[str]) -> None:
    if text(item, "name") in ours:
        raise Refused(f"{path}: a {kind} of that name exists, and is not the sidecar's: rename it")


def _check_ports(path: str, container: Node, sidecar: Sidecar) -> None:
    ports = entry(container, "ports")
    for number, port in enumerate(ports.meant.children if ports else ()):
        taken = text(port.meant, "containerPort")
        if taken.isdecimal() and int(taken) in sidecar.ports:
            raise Refused(f"{path}.ports[{number}]: {taken} is {sidecar.ports[int(taken)]}")


def _take(pod: Pod, writer: Writer) -> Iterator[tuple[Node, Edit]]:
    ours = [container for _, container in pod.containers() if _is_ours(container)]
    if not ours:
        return
    mounted = {text(mount, "name") for container in ours for mount in _mounts(container)}
    volumes = [volume for volume in pod.items("volumes") if _is_our_volume(text(volume, "name"), mounted)]
    for name in LISTS:
        taken = [item for item in pod.items(name) if item in (volumes if name == "volumes" else ours)]
        if taken:
            yield from writer.take(pod, name, taken)


def _is_ours(container: Node) -> bool:
    """Return whether a container is ours, by its name and by the configuration that it mounts."""
    ours = definition()["container"]
    mount = ours["volumeMounts"][0]
    return text(container, "name") == ours["name"] and any(
        text(mounted, "name") == mount["name"] and text(mounted, "mountPath") == mount["mountPath"]
        for mounted in _mounts(container)
    )


def _is_our_volume(name: str, mounted: set[str]) -> bool:
    return name in mounted and (name == definition()["volumes"][0]["name"] or name.startswith(SECRET_VOLUME))


def _mounts(container: Node) -> list[Node]:
    found = entry(container, "volumeMounts")
    return [mount.meant for mount in found.meant.children] if found else []
