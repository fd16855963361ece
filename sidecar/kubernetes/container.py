"""The container that is added to a pod: the chart's definition, which lies beside this package, and its blanks."""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from posixpath import normpath
from typing import Any

import yaml

from sidecar import __version__
from sidecar.core import addresses
from sidecar.kubernetes.quantities import faults

IMAGE = f"credential-sidecar:{__version__}"
DATA_LISTEN = "127.0.0.1:9180"
"""The program's default listen address."""

DRAIN_TIMEOUT = 25
"""The program's default drain_timeout, in seconds."""

SECRET_VOLUME = "sidecar-secret-"
"""Prefix of a number."""

SECURITY_FIELDS = (
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
    "windowsOptions",
)
"""Fields of a container's security context."""

Tree = dict[str, Any]
"""YAML as loaded."""


@dataclass(frozen=True)
class Blanks:
    """Values for the blanks."""

    config_map: str
    image: str = IMAGE
    native: bool = True
    listen: str = ""
    """The address for the application, "" for the program's own default."""
    admin_listen: str = ""
    """The same for probes and metrics, "" for the definition's own."""
    secret_env: tuple[tuple[str, str, str], ...] = ()
    """Variable, Secret and key."""
    secret_files: tuple[tuple[str, str], ...] = ()
    """Secret and its mount path."""
    pull_policy: str = ""
    """When the kubelet pulls the image, "" for the cluster's default."""
    resources: Tree = field(default_factory=dict)
    """Requests and limits in place of the definition's, if there are any."""
    security_context: Tree = field(default_factory=dict)
    """Fields in place of the definition's; None removes one."""


@dataclass(frozen=True)
class Sidecar:
    """The container and the volumes of its pod."""

    container: Tree
    volumes: list[Tree]
    ports: Mapping[int, str]
    """Ports that no other container of the pod can have, with a description."""
    on_network: bool
    """Whether the application reaches it over TCP."""


@cache
def definition() -> Tree:
    """Return the one definition, which must not be changed."""
    tree: Tree = yaml.safe_load(
        files("sidecar.kubernetes").joinpath("container.yaml").read_text(encoding="utf-8")
    )
    return tree


def fill(blanks: Blanks) -> Sidecar:
    """Fill in the blanks of the definition.

    Raises ValueError for an address that the sidecar would not listen on, and for what Kubernetes would refuse.
    """
    tree = deepcopy(definition())
    container, volumes = tree["container"], tree["volumes"]
    listen = addresses.listen_loopback(blanks.listen or DATA_LISTEN)
    container["env"][0]["value"] = blanks.admin_listen or container["env"][0]["value"]
    port = container["ports"][0]["containerPort"] = _port(container["env"][0]["value"])
    container["env"] += ([] if blanks.native else tree["classic"]["env"]) + _env(blanks)
    volumes[0]["configMap"]["name"] = blanks.config_map
    _mount(blanks, container, volumes)
    _check_unique(container)
    policy = {"imagePullPolicy": blanks.pull_policy} if blanks.pull_policy else {}
    container["resources"] = blanks.resources or container["resources"]
    _check_fields(blanks)
    context = container["securityContext"] | blanks.security_context
    container["securityContext"] = {name: value for name, value in context.items() if value is not None}
    head = {"name": container.pop("name"), "image": blanks.image, **policy}
    taken = {port: "the sidecar's admin server; move it with --admin-listen"}
    if isinstance(listen, addresses.TcpAddress):
        taken[listen.port] = "where the sidecar listens for the application; move it with --listen"
    form = tree["native"] if blanks.native else {}
    return Sidecar({**head, **container, **form}, volumes, taken, on_network=len(taken) > 1)


def _mount(blanks: Blanks, container: Tree, volumes: list[Tree]) -> None:
    """Mount the Secrets. One at the API token's place replaces the mount that keeps the token out."""
    first, *others = container["volumeMounts"]
    taken = {normpath(path) for _, path in blanks.secret_files}
    container["volumeMounts"] = [first, *(each for each in others if each["mountPath"] not in taken)]
    for number, (secret, path) in enumerate(blanks.secret_files):
        name = f"{SECRET_VOLUME}{number}"
        container["volumeMounts"].append({"name": name, "mountPath": path, "readOnly": True})
        volumes.append({"name": name, "secret": {"secretName": secret}})


def _check_unique(container: Tree) -> None:
    """Raise ValueError for a variable or a mount path that comes twice: Kubernetes refuses a pod with it."""
    for name, count in Counter(each["name"] for each in container["env"]).items():
        if count > 1:
            raise ValueError(
                f"the variable {name} is set twice: give --secret-env once for each, and no address twice"
            )
    paths = Counter(normpath(each["mountPath"]) for each in container["volumeMounts"])
    for path, count in paths.items():
        if count > 1:
            raise ValueError(
                f"two volumes are mounted at {path}: give each its own --secret-file SECRET=/PATH"
            )


def _check_fields(blanks: Blanks) -> None:
    """Raise ValueError for requests, limits or fields with which Kubernetes refuses a pod."""
    found = list(faults(blanks.resources))
    found += (
        f"security context: containers have no field {name}; correct its name"
        for name in blanks.security_context
        if name not in SECURITY_FIELDS
    )
    if found:
        raise ValueError("\n".join(found))


def _env(blanks: Blanks) -> list[Tree]:
    listen = [{"name": "SIDECAR_LISTEN", "value": blanks.listen}] if blanks.listen else []
    secrets = (
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, secret, key in blanks.secret_env
    )
    return [*listen, *secrets]


def _port(address: str) -> int:
    """Return the port. Raises ValueError for an address that probes cannot reach."""
    bound = addresses.listen(address)
    if not isinstance(bound, addresses.TcpAddress) or addresses.is_loopback(bound.host) or not bound.port:
        raise ValueError(f"the kubelet's probes do not reach {address}: write one such as 0.0.0.0:9181")
    return bound.port
