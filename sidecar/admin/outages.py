"""Meaning of a neighbour's outage: a finding's gravity, effect and action, by kind as in `/status`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sidecar.telemetry.words import NeighbourKind

Gravity = Literal["failing", "warning"]
"""Whether requests fail, or may soon."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Texts about one kind of neighbour that is down; its name is in the glossary."""

    gravity: Gravity
    action: str
    """What to do."""
    effect: str = ""
    """What the sidecar does meanwhile."""


OUTAGES: Mapping[NeighbourKind, Outage] = {
    "authorization_server": Outage(
        "failing",
        "check the server, its name and the network path from this pod; `sidecar check` tries each step",
        "tokens in memory stay in use until they expire",
    ),
    "upstream": Outage(
        "failing",
        "check the upstream, its name and the network path from this pod; `sidecar check` tries each step",
    ),
    "secret_store": Outage(
        "warning",
        "check the network path from this pod and the AWS region; `sidecar check` reads each secret",
        "credentials in memory stay in use",
    ),
    "store": Outage(
        "warning",
        "check Redis and the network path from this pod; `sidecar check` tries each step",
        "requests go on; each pod keeps its tokens and fetches its own",
    ),
    "bus": Outage(
        "warning",
        "check Redis and the channels that its user may use; `sidecar check` names each missing permission",
        "the sidecar catches up on the busts that it misses before it receives new ones",
    ),
}
