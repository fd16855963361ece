"""The three scenes: a token is injected, it is kept, and when it is revoked the next request heals."""

import asyncio

from aiohttp import ClientError

from sidecar.demo.screen import Line, Screen
from sidecar.demo.servers import Seen
from sidecar.demo.stage import Stage

_PATIENCE = 10.0
"""Seconds one request, and then its log lines, may take."""


class Unexpected(Exception):
    """What the demo was to show did not happen."""


async def perform(stage: Stage, screen: Screen) -> None:
    """Play all scenes. Raises Unexpected at the first thing that does not go as announced."""
    screen.title("Everything runs on this machine")
    screen.say(
        f"authorization server  {stage.authorization_url}  issues tokens, and can revoke them",
        f"upstream              {stage.upstream_url}  answers only to a valid token",
        f"sidecar               {stage.sidecar_url}  puts the token on every request",
        "Log lines are the sidecar's own, shortened; fp is the fingerprint of a token.",
    )
    first = await _injected(stage, screen)
    await _cached(stage, screen)
    await _healed(stage, screen, first)
    _invite(stage, screen)


async def watch(stage: Stage, screen: Screen, until: asyncio.Event) -> None:
    """Show the log of whatever is tried by hand, until the event. Raises Unexpected if the sidecar stops."""
    screen.title("It stays up; Ctrl-C ends it. Its log follows")
    showing = asyncio.create_task(_show(stage, screen))
    ending = asyncio.create_task(until.wait())
    try:
        await asyncio.wait((showing, ending), return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            showing.result()
    finally:
        showing.cancel()
        ending.cancel()


async def _injected(stage: Stage, screen: Screen) -> str:
    """Return the fingerprint of the first token."""
    screen.title("1. An application sends a request without any credential")
    lines = await _send(stage, screen, Seen(1, 200))
    request = _of(lines, "request")
    screen.say("The upstream saw one request, with a token the application knows nothing of.")
    screen.log(_of(lines, "token_fetched"), "the sidecar asked the authorization server for it")
    screen.log(request, "and put it on the request: fp is the same")
    return str(request["fp"])


async def _cached(stage: Stage, screen: Screen) -> None:
    screen.title("2. It sends another one")
    lines = await _send(stage, screen, Seen(1, 200))
    if stage.tokens.issued != 1:
        raise Unexpected(f"one token was to be issued, but there were {stage.tokens.issued}")
    screen.say("The upstream saw the same token; the authorization server was not asked again.")
    screen.log(_of(lines, "request"), 'token "memory": nothing was fetched')


async def _healed(stage: Stage, screen: Screen, first: str) -> None:
    screen.title("3. The authorization server revokes the token, and the application sends one more")
    stage.tokens.revoke_all()
    lines = await _send(stage, screen, Seen(1, 401), Seen(2, 200))
    refused, fetched, request = (_of(lines, name) for name in ("refused", "token_fetched", "request"))
    if request["attempts"] != 2 or refused["fp"] != first or request["fp"] in ("", first):
        raise Unexpected("the log was to tell of two attempts with two tokens, but it does not")
    screen.say("The upstream saw two requests: it refused the first (401) and answered the second.")
    screen.say("The application saw only the answer.")
    screen.log(refused, "the upstream said invalid_token: renew, do not bother the application")
    screen.log(fetched, "so a new one was fetched: fp differs")
    screen.log(_of(lines, "resent"), "the same request, sent once more with the new token")
    screen.log(request, "for the application: one request, 200; attempts 2")


def _invite(stage: Stage, screen: Screen) -> None:
    screen.title("Try it (on a terminal the demo stays up for that)")
    screen.say(
        f"curl -i {stage.sidecar_url}/hello",
        f"curl -i {stage.upstream_url}/hello             # without the sidecar: 401",
        f"curl -X POST {stage.authorization_url}/revoke-all   # then the first one again",
        f"curl {stage.admin_url}/status",
        f"curl -s {stage.admin_url}/metrics | grep m2m_",
    )


async def _send(stage: Stage, screen: Screen, *expected: Seen) -> list[Line]:
    """Send a request without any credential; return its log lines. Raises Unexpected."""
    url = f"{stage.sidecar_url}/hello"
    stage.upstream.seen.clear()
    try:
        async with asyncio.timeout(_PATIENCE):
            async with stage.application.get(url) as response:
                text = await response.text()
            screen.request(url, f"{response.status} {response.reason}: {text.strip()}")
            if response.status != 200:
                raise Unexpected(f"the application was to be answered 200, not {response.status}")
            lines = await _lines_of_a_request(stage)
    except TimeoutError:
        raise Unexpected(f"no answer, or no log line, within {_PATIENCE:.0f} s") from None
    except ClientError as error:
        raise Unexpected(f"the sidecar gave no answer: {error}") from None
    wanted, seen = (", ".join(map(str, calls)) for calls in (expected, stage.upstream.seen))
    if seen != wanted:
        raise Unexpected(f"the upstream was to see ({wanted}), but saw ({seen})")
    return lines


async def _lines_of_a_request(stage: Stage) -> list[Line]:
    lines: list[Line] = []
    while not lines or lines[-1]["event"] != "request":
        line = await stage.log.line()
        if line is None:
            raise Unexpected("the sidecar stopped")
        lines.append(line)
    return lines


async def _show(stage: Stage, screen: Screen) -> None:
    while (line := await stage.log.line()) is not None:
        screen.log(line)
    raise Unexpected("the sidecar stopped")


def _of(lines: list[Line], event: str) -> Line:
    for line in lines:
        if line["event"] == event:
            return line
    raise Unexpected(f"the log was to tell of `{event}`, but it does not")
