"""The scenes: act, check the effect, show it and the log lines about it.

Scenes follow each other on one stage. Each raises Unexpected when something does not go as announced.
"""

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.demo.application import answer, echo, expect_issued, expect_seen, of, send, web_socket
from sidecar.demo.errors import Unexpected
from sidecar.demo.screen import Line, Screen
from sidecar.demo.servers import Seen
from sidecar.demo.stage import Stage

AT_ONCE = 200
"""Number of requests in the scene about many."""
_PAST_HALF = 0.55
"""Fraction of a short token's life after which it is due for renewal, with a margin."""
_AGAIN, _TRIES = 0.2, 25
"""Seconds between two requests, and their number, until the next token request."""


async def _injected(stage: Stage, screen: Screen) -> None:
    lines = await send(stage, screen, Seen(1, 200))
    screen.log(of(lines, "token_fetched"), "the sidecar fetched a token from the authorization server ...")
    screen.log(of(lines, "request"), "... and put it on the request: fp, its fingerprint, is the same")


async def _remembered(stage: Stage, screen: Screen) -> None:
    lines = await send(stage, screen, Seen(1, 200))
    expect_issued(stage, 1)
    screen.log(of(lines, "request"), "token=memory: no request to the authorization server")


async def _healed(stage: Stage, screen: Screen) -> None:
    stage.tokens.life = stage.pace.short_life  # for the next scene
    stage.tokens.revoke_all()
    lines = await send(stage, screen, Seen(1, 401), Seen(2, 200))
    refused, fetched, resent, request = (
        of(lines, name) for name in ("refused", "token_fetched", "resent", "request")
    )
    if request["attempts"] != 2 or request["fp"] in ("", refused["fp"]):
        raise Unexpected("the log shows no two attempts with two tokens")
    screen.say("The upstream saw two requests: it refused the first and answered the second.")
    screen.log(refused, "the upstream answered 401; the application does not see it")
    screen.log(fetched, "a new token was fetched: fp differs")
    screen.log(resent, "the same request, sent once more with the new token")
    screen.log(request, "the application sent a single request and received 200")


async def _outlasted(stage: Stage, screen: Screen) -> None:
    life = stage.pace.short_life
    screen.say(
        f"The token of step 3 is valid for {life:g} s only: the sidecar renews it after {life / 2:g} s.",
        "Just then (wait for it) the authorization server is stopped.",
    )
    await asyncio.sleep(life * _PAST_HALF)
    await stage.authorization.down()
    lines = await send(stage, screen, Seen(2, 200), told=("request", "token_fetch_failed"))
    screen.log(of(lines, "token_fetch_failed"), "the renewal, in the background: the server is unreachable")
    screen.log(of(lines, "request"), "the request succeeds: its token has not expired")
    screen.say("The authorization server is started again.")
    stage.tokens.life = 3600.0
    await stage.authorization.up()
    fetched = await _renewal(stage)
    screen.did(f"curl {stage.sidecar.url}/hello   # until the token is renewed", "each time 200 OK")
    screen.log(fetched, "the sidecar retried by itself, in the background")


async def _renewal(stage: Stage) -> Line:
    """Send requests until the log has a new token."""
    lines: list[Line] = []
    for _ in range(_TRIES):
        await answer(stage, f"{stage.sidecar.url}/hello")
        lines += await stage.sidecar.log.until("request")
        if any(line["event"] == "token_fetched" for line in lines):
            break
        await asyncio.sleep(_AGAIN)
    return of(lines, "token_fetched")


async def _shared(stage: Stage, screen: Screen) -> None:
    delay = stage.pace.delay
    screen.say(f"A second sidecar starts, with no token yet; fetching one takes {delay:g} s.")
    issued = stage.tokens.issued
    stage.tokens.delay = delay
    async with stage.another_sidecar() as sidecar:
        url = f"{sidecar.url}/hello"
        await asyncio.gather(*(answer(stage, url) for _ in range(AT_ONCE)))
        stage.tokens.delay = 0.0
        lines = await sidecar.log.until("token_fetched", *["request"] * AT_ONCE)
        expect_issued(stage, issued + 1)
        fetched = of(lines, "token_fetched")
        requests = [line for line in lines if line["event"] == "request"]
        if {line["fp"] for line in requests} != {fetched["fp"]}:
            raise Unexpected(f"all {AT_ONCE} requests must carry the same token, but they did not")
        screen.did(f"curl {url}   # {AT_ONCE} times at once", f"{AT_ONCE} times 200 OK")
        screen.log(fetched, "the only fetch: every request waited for it")
        waited = max(requests, key=lambda line: line["token"] == "fetch")  # on a busy machine some come later
        screen.log(waited, f"{AT_ONCE} lines like this one, with the same fp")


async def _tunnelled(stage: Stage, screen: Screen) -> None:
    url = f"{stage.sidecar.url}/echo".replace("http", "ws")
    stage.upstream.seen.clear()
    async with web_socket(stage, url) as first:
        screen.did(f"websocat {url}", await echo(stage, first, "hello"))
        stage.tokens.revoke_all()
        screen.say(f"The token is revoked. On the open socket {await echo(stage, first, 'still there')}.")
        async with web_socket(stage, url) as second:
            screen.did(f"websocat {url}   # a second WebSocket", await echo(stage, second, "me too"))
    lines = await stage.sidecar.log.until("request", "request")
    expect_seen(stage, Seen(3, 101), Seen(3, 401), Seen(stage.tokens.issued, 101))
    requests = {line["attempts"]: line for line in lines if line["event"] == "request"}
    if requests.keys() != {1, 2}:
        raise Unexpected("the log does not show that one WebSocket opened at once and another was healed")
    screen.log(of(lines, "refused"), "only the second handshake came with a revoked token ...")
    screen.log(of(lines, "resent"), "... and was sent once more with a new token")
    screen.log(requests[2], "so the second socket opened too; the application saw no error")
    screen.log(requests[1], "the first, logged when it closes: it stayed open with its first token")


Scene = Callable[[Stage, Screen], Awaitable[None]]

SCENES: tuple[tuple[str, Scene], ...] = (
    ("A request without credentials arrives authorised", _injected),
    ("The next request finds the token in memory", _remembered),
    ("The token is revoked: the next request still succeeds", _healed),
    ("The authorization server stops: requests still succeed", _outlasted),
    (f"{AT_ONCE} requests at once need a token: it is fetched once", _shared),
    ("A WebSocket survives a revoked token", _tunnelled),
)
"""In their order, each under its title."""
