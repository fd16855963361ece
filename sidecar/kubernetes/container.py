"""What is added to a pod: the chart's definition of the container, which lies beside this package, and its blanks."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sidecar import __version__
from sidecar.core import addresses

IMAGE = f"credential-sidecar:{__version__}"
DATA_LISTEN = "127.0.0.1:9180"
"""Where the program listens if nobody says otherwise."""

SECRET_VOLUME = "sidecar-secret-"
"""With a number behind it."""

Tree = dict[str, Any]
"""YAML as it is loaded."""


@dataclass(frozen=True)
class Blanks:
    """What is filled in."""

    config_map: str
    image: str = IMAGE
    native: bool = True
    listen: str = ""
    """The address for the application, "" for the program's own default."""
    admin_listen: str = ""
    """The same for probes and metrics, "" for the definition's."""
    secret_env: tuple[tuple[str, str, str], ...] = ()
    """Variable, Secret and key."""
    secret_files: tuple[tuple[str, str], ...] = ()
    """Secret and where it is mounted."""


@dataclass(frozen=True)
class Sidecar:
    """The container and the volumes of its pod."""

    container: Tree
    volumes: list[Tree]
    ports: Mapping[int, str]
    """Those no other container of the pod can have, and what they are."""
    on_network: bool
    """Whether the application reaches it over TCP."""


@cache
def definition() -> Tree:
    """Return the one definition; not to be changed."""
    tree: Tree = yaml.safe_load(
        files("sidecar.kubernetes").joinpath("container.yaml").read_text(encoding="utf-8")
    )
    return tree


def fill(blanks: Blanks) -> Sidecar:
    """Fill the definition's blanks in. Raises ValueError for an address the sidecar would not listen on."""
    tree = deepcopy(definition())
    container, volumes = tree["container"], tree["volumes"]
    listen = addresses.listen_loopback(blanks.listen or DATA_LISTEN)
    container["env"][0]["value"] = blanks.admin_listen or container["env"][0]["value"]
    port = container["ports"][0]["containerPort"] = _port(container["env"][0]["value"])
    container["env"] += ([] if blanks.native else tree["classic"]["env"]) + _env(blanks)
    volumes[0]["configMap"]["name"] = blanks.config_map
    for number, (secret, path) in enumerate(blanks.secret_files):
        name = f"{SECRET_VOLUME}{number}"
        container["volumeMounts"].append({"name": name, "mountPath": path, "readOnly": True})
        volumes.append({"name": name, "secret": {"secretName": secret}})
    head = {"name": container.pop("name"), "image": blanks.image}
    taken = {port: "the sidecar's admin server; move it with --admin-listen"}
    if isinstance(listen, addresses.TcpAddress):
        taken[listen.port] = "where the sidecar listens for the application; move it with --listen"
    form = tree["native"] if blanks.native else {}
    return Sidecar({**head, **container, **form}, volumes, taken, on_network=len(taken) > 1)


def _env(blanks: Blanks) -> list[Tree]:
    listen = [{"name": "SIDECAR_LISTEN", "value": blanks.listen}] if blanks.listen else []
    secrets = (
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, secret, key in blanks.secret_env
    )
    return [*listen, *secrets]


def _port(address: str) -> int:
    """Raises ValueError for an address that probes cannot reach."""
    bound = addresses.listen(address)
    if not isinstance(bound, addresses.TcpAddress) or addresses.is_loopback(bound.host) or not bound.port:
        raise ValueError(f"the kubelet's probes do not reach {address}: write one such as 0.0.0.0:9181")
    return bound.port
