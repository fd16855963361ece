"""Scenes with two sidecars that share a Redis. They need a stage with a fleet; otherwise as the other scenes."""

import asyncio
import json
from collections.abc import Mapping

from aiohttp import ClientError

from sidecar.demo.application import expect_issued, of, send
from sidecar.demo.errors import Unexpected
from sidecar.demo.scenes import Scene
from sidecar.demo.screen import Screen
from sidecar.demo.servers import Seen
from sidecar.demo.sidecars import Sidecar
from sidecar.demo.stage import Stage

_LOOK_EVERY = 0.02
"""Seconds between two reads of a sidecar's page."""


async def _joined(stage: Stage, screen: Screen) -> None:
    assert stage.fleet is not None
    number = stage.tokens.issued + 1
    screen.say("Sidecars A and B share a Redis, as the pods of a fleet do. A starts.")
    first = await stage.fleet.another()
    await _until(stage, first, "/readyz", degraded=False)
    lines = await send(stage, screen, Seen(number, 200), through=first)
    screen.log(of(lines, "token_fetched"), "A fetched a token and stored it in Redis, encrypted", first.name)
    screen.say("B starts, with nothing in memory.")
    second = await stage.fleet.another()
    await _until(stage, second, "/readyz", degraded=False)
    lines = await send(stage, screen, Seen(number, 200), through=second)
    expect_issued(stage, number)
    look_at = "the same fp: the token came from Redis, not from the authorization server"
    screen.log(of(lines, "request"), look_at, second.name)
    await _until(stage, second, "/startupz", started=True)  # else it may fetch a token by itself


async def _told(stage: Stage, screen: Screen) -> None:
    assert stage.fleet is not None
    first, second = stage.fleet.sidecars
    number = stage.tokens.issued
    stage.tokens.revoke_all()
    screen.say("The token of both is revoked. A is the first to send a request.")
    lines = await send(stage, screen, Seen(number, 401), Seen(number + 1, 200), through=first)
    refused, fetched = of(lines, "refused"), of(lines, "token_fetched")
    screen.log(refused, "A received the 401, and published a bust to the fleet", first.name)
    screen.log(fetched, "A fetched a new token for all pods", first.name)
    heard = of(await second.log.until("bust_applied"), "bust_applied")
    if heard["fp"] != refused["fp"]:
        raise Unexpected("sidecar B must drop the refused token, but it dropped another")
    screen.log(heard, "B received the bust through Redis and dropped the token", second.name)
    lines = await send(stage, screen, Seen(number + 1, 200), through=second)
    expect_issued(stage, number + 1)
    request = of(lines, "request")
    if (request["token"], request["fp"]) != ("store", fetched["fp"]):
        raise Unexpected("sidecar B must take A's new token from Redis, but it did not")
    look_at = "attempts=1: no 401 for B; token=store: A's new token, from Redis"
    screen.log(request, look_at, second.name)


async def _until(stage: Stage, sidecar: Sidecar, page: str, **says: bool) -> None:
    """Wait until this page of the sidecar's admin server has the text. Raises Unexpected."""
    try:
        async with asyncio.timeout(stage.pace.patience):
            while True:
                if says.items() <= (await _page(stage, f"{sidecar.admin_url}{page}")).items():
                    return
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        waited = f"but within {stage.pace.patience:g} s it did not"
        raise Unexpected(
            f"{page} of sidecar {sidecar.name} must return {json.dumps(says)}, {waited}"
        ) from None


async def _page(stage: Stage, url: str) -> Mapping[str, object]:
    try:
        async with stage.application.get(url) as response:
            page: Mapping[str, object] = await response.json()
    except ClientError as error:
        raise Unexpected(f"the admin server did not answer: {error}") from None
    return page


FLEET_SCENES: tuple[tuple[str, Scene], ...] = (
    ("A second pod takes the token from Redis", _joined),
    ("A token is revoked: one pod heals, the other never sees it", _told),
)
"""In their order, after all others, each under its title."""
