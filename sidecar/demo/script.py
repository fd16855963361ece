"""The order of things: who is there, the scenes, and then whatever is tried by hand."""

from sidecar.demo.scenes import SCENES
from sidecar.demo.screen import Screen
from sidecar.demo.stage import Stage


async def perform(stage: Stage, screen: Screen) -> None:
    """Play all scenes. Raises Unexpected at the first thing that does not go as announced."""
    screen.title("Everything runs on this machine")
    screen.say(
        f"authorization server  {stage.authorization.url}  issues tokens, can revoke them",
        f"upstream              {stage.upstream_url}  answers only to a valid token",
        f"sidecar               {stage.sidecar.url}  puts the token on every request",
        "Behind `log` stand the sidecar's own log lines, shortened from JSON.",
    )
    for number, (title, scene) in enumerate(SCENES, 1):
        screen.title(f"{number}. {title}")
        await scene(stage, screen)
    screen.title("Try it (on a terminal the demo stays up for that)")
    screen.commands(
        f"curl -i {stage.sidecar.url}/hello",
        f"curl -i {stage.upstream_url}/hello             # without the sidecar: 401",
        f"curl -X POST {stage.authorization.url}/revoke-all   # then the first one again",
        f"curl {stage.sidecar.admin_url}/status",
        f"curl -s {stage.sidecar.admin_url}/metrics | grep m2m_",
    )


async def watch(stage: Stage, screen: Screen) -> None:
    """Show the log of whatever is tried by hand, for ever. Raises Unexpected if the sidecar stops."""
    screen.title("It stays up; Ctrl-C ends it. Its log follows")
    while True:
        screen.log(await stage.sidecar.log.line())
