"""What people read about those that the sidecar depends on, by the kind that `/status` gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Gravity = Literal["failing", "warning"]
"""Whether requests fail, or may soon."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What to say about one kind of neighbour."""

    name: str
    gravity: Gravity
    """What it means that one of them is down."""
    action: str
    """What to do then."""
    effect: str = ""
    """What the sidecar does meanwhile."""
    down: str = "{name} {which} is unavailable"


NEIGHBOURS: Mapping[str, Neighbour] = {
    "authorization_server": Neighbour(
        "Authorization server",
        "failing",
        "check the server, its name and the network path from this pod; `sidecar check` tries each step",
        "tokens in memory stay in use until they expire",
    ),
    "upstream": Neighbour(
        "Upstream",
        "failing",
        "check the upstream, its name and the network path from this pod; `sidecar check` tries each step",
    ),
    "secret_store": Neighbour(
        "Secret store",
        "warning",
        "check the network path from this pod and the AWS region; `sidecar check` reads each secret",
        "credentials in memory stay in use",
    ),
    "store": Neighbour(
        "Redis",
        "warning",
        "check Redis and the network path from this pod; `sidecar check` tries each step",
        "requests go on; each pod keeps its tokens and fetches its own",
    ),
    "bus": Neighbour(
        "Busts of other pods",
        "warning",
        "check Redis and the channels that its user may use; `sidecar check` names each missing permission",
        "the sidecar catches up on the busts that it misses before it receives new ones",
        "{name} do not arrive",
    ),
}


def name(kind: str) -> str:
    """Return the name of a kind, which may be a newer sidecar's."""
    known = NEIGHBOURS.get(kind)
    return known.name if known is not None else kind.replace("_", " ")
