"""The application beside the sidecar: it sends requests without any credential, and expects answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientError, ClientWebSocketResponse, WSServerHandshakeError

from sidecar.demo.errors import Unexpected
from sidecar.demo.screen import Line, Screen
from sidecar.demo.servers import Seen
from sidecar.demo.sidecars import Sidecar
from sidecar.demo.stage import Stage


async def send(
    stage: Stage,
    screen: Screen,
    *expected: Seen,
    through: Sidecar | None = None,
    told: tuple[str, ...] = ("request",),
) -> list[Line]:
    """Send a request, by default through the stage's sidecar, and show it; return the log lines about it, up to the
    events `told`.

    Raises Unexpected, also when the upstream saw anything else than what was expected.
    """
    sidecar = through or stage.sidecar
    url = f"{sidecar.url}/hello"
    stage.upstream.seen.clear()
    screen.did(f"curl {url}", await answer(stage, url))
    lines = await sidecar.log.until(*told)
    expect_seen(stage, *expected)
    return lines


async def answer(stage: Stage, url: str) -> str:
    """Send a request and return the answer, which is a 200. Raises Unexpected."""
    try:
        async with stage.application.get(url) as response:
            text = await response.text()
    except TimeoutError:
        raise Unexpected(f"no answer within {stage.pace.patience:g} s") from None
    except ClientError as error:
        raise Unexpected(f"the sidecar did not answer: {error}") from None
    if response.status != 200:
        raise Unexpected(f"the application must receive 200, not {response.status}")
    return f"{response.status} {response.reason}: {text.strip()}"


@asynccontextmanager
async def web_socket(stage: Stage, url: str) -> AsyncIterator[ClientWebSocketResponse]:
    """Open a WebSocket, and close it at the end. Raises Unexpected."""
    try:
        async with stage.application.ws_connect(url) as socket:
            yield socket
    except TimeoutError:
        raise Unexpected(f"the WebSocket was silent for {stage.pace.patience:g} s") from None
    except WSServerHandshakeError as error:
        raise Unexpected(f"the WebSocket must open (101), but the answer was {error.status}") from None
    except ClientError as error:
        raise Unexpected(f"the WebSocket broke: {error}") from None


async def echo(stage: Stage, socket: ClientWebSocketResponse, text: str) -> str:
    """Send a message and print that it came back. Raises Unexpected."""
    await socket.send_str(text)
    message = await socket.receive(stage.pace.patience)
    if message.data != text:
        raise Unexpected(f'"{text}" must come back through the WebSocket, but it was closed')
    return f'"{text}" was sent and came back'


def expect_seen(stage: Stage, *expected: Seen) -> None:
    """Compare what the upstream saw. Raises Unexpected."""
    wanted, seen = (", ".join(map(str, calls)) for calls in (expected, stage.upstream.seen))
    if seen != wanted:
        raise Unexpected(f"the upstream must receive ({wanted}), but received ({seen})")


def expect_issued(stage: Stage, wanted: int) -> None:
    """Compare how many tokens there were so far. Raises Unexpected."""
    if stage.tokens.issued != wanted:
        raise Unexpected(f"{wanted} tokens must be issued by now, not {stage.tokens.issued}")


def of(lines: list[Line], event: str) -> Line:
    """Return the first of these lines about the event. Raises Unexpected."""
    for line in lines:
        if line["event"] == event:
            return line
    raise Unexpected(f"the log must contain `{event}`, but it does not")
