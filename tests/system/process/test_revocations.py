"""Tokens revoked one after another under 200 gRPC calls a second: real sidecars, and gRPC's own client and server.

These runs are short; `make revocations` takes a minute for each case, and checks the rate too.
"""

import asyncio
import os
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from itertools import cycle
from operator import ge
from pathlib import Path

import grpc
import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.grpc_server import GrpcClient, GrpcServer
from tests.support.processes import File, Process, serving, spawn
from tests.support.redis_server import RedisServer, own_redis  # noqa: F401  a fixture
from tests.support.upstream import Exchange, Upstream
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.unmeasured

REVOCATIONS = int(os.environ.get("REVOCATIONS", "2"))
"""One a second."""
AT_FULL_LENGTH = REVOCATIONS >= 30
PODS = (1, 2) if AT_FULL_LENGTH else (2,)
MOST_EACH = 1.05 if AT_FULL_LENGTH else 2
"""Token calls for each revocation. On a busy machine a pod may miss a refusal of its own, and renew once more later."""
RATE = 200
"""Calls a second, of all callers: at each tick all of them call at the same time."""
CALLERS = 20
HOLDERS = 6
"""Callers beside them that keep a stream open for longer than its token is accepted."""
HELD = 1.3
FETCH = 0.4
"""Seconds of a token request."""
CONNECTIONS = 4
"""Of the callers to each pod."""
KEY = "A" * 43 + "="
MESSAGE = bytes(105)
SHARE_OF_RATE = 0.9
"""Least share of the rate that an otherwise idle machine reaches."""

Call = Callable[[GrpcClient], None]


def _unary(client: GrpcClient) -> None:
    client.unary("Echo")(MESSAGE, timeout=PATIENCE)


def _upload(client: GrpcClient) -> None:
    client.upload("Sum")(iter([MESSAGE] * 3), timeout=PATIENCE)


def _download(client: GrpcClient) -> None:
    _read(client.download("Count")(b"105 105 105", timeout=PATIENCE))


def _chat(client: GrpcClient) -> None:
    _read(client.both("Chat")(iter([MESSAGE] * 3), timeout=PATIENCE))


def _read(replies: Iterator[bytes]) -> None:
    """Read all replies. Raise `LateError` if the call fails after the first of them."""
    next(replies)
    _finish(replies)


def _finish(replies: Iterator[bytes]) -> None:
    """Read the rest of them."""
    try:
        for _ in replies:
            pass
    except grpc.RpcError as error:
        raise LateError(str(error.code().name)) from error


KINDS: Mapping[str, Sequence[Call]] = {"unary": [_unary], "streaming": [_upload, _download, _chat]}


class LateError(Exception):
    """A call ended with a status that is not OK, after a message had arrived."""


class Calls:
    """A steady load, in threads: gRPC's client does not use the event loop."""

    def __init__(self, addresses: Sequence[str], calls: Sequence[Call]) -> None:
        self._addresses = addresses
        self._calls = calls
        self._stop = threading.Event()
        everyone = CALLERS + HOLDERS
        self._begun, self._ended = [0] * everyone, [0] * everyone
        """By caller: calls begun, and calls whose first message or end has arrived."""
        self.outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()

    async def reach_each(self) -> None:
        """Wait until each caller has begun one more call and got its answer; then until all calls under way have.

        So each pod has sent calls since, and each call that is under way afterwards began after one of those had ended.
        """
        aim = [begun + 1 for begun in self._begun[:CALLERS]]
        await until(lambda: all(map(ge, self._ended, aim)))
        under_way = list(self._begun)
        await until(lambda: all(map(ge, self._ended, under_way)))

    async def __aenter__(self) -> "Calls":
        self._open = ExitStack()
        self._pool = self._open.enter_context(ThreadPoolExecutor(CALLERS + HOLDERS))
        channels = cycle(
            self._open.enter_context(GrpcClient(address))
            for _ in range(CONNECTIONS)
            for address in self._addresses
        )
        began = time.monotonic()
        works = [partial(self._call, began)] * CALLERS + [self._hold] * HOLDERS
        run = asyncio.get_running_loop().run_in_executor
        self._working = [run(self._pool, work, number, next(channels)) for number, work in enumerate(works)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._working)
        self._open.close()

    def _call(self, began: float, caller: int, client: GrpcClient) -> None:
        """Make one call after the other, each at its tick."""
        period = CALLERS / RATE
        for number, call in enumerate(cycle(self._calls)):
            if self._stop.wait(max(0.0, began + number * period - time.monotonic())):
                return
            self._begun[caller] += 1
            try:
                call(client)
            except grpc.RpcError as error:
                self._count(error.code().name)
            except LateError as error:
                self._count(f"{error} after a message")
            else:
                self._count("OK")
            self._ended[caller] += 1

    def _hold(self, caller: int, client: GrpcClient) -> None:
        """Open one stream after the other; each stays open for a while after its first message."""
        while not self._stop.is_set():
            following: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            following.put(MESSAGE)
            self._begun[caller] += 1
            replies = client.both("Chat")(iter(following.get, None), timeout=PATIENCE)
            try:
                next(replies)
                self._ended[caller] += 1
                self._stop.wait(HELD)
                following.put(None)
                _finish(replies)
            except LateError as error:
                self._count(f"{error} after a message")
            except grpc.RpcError as error:
                self._ended[caller] += 1
                following.put(None)
                self._count(error.code().name)
            else:
                self._count("OK")

    def _count(self, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1


Start = Callable[[int], AbstractAsyncContextManager[list[Process]]]


class SlowAuthorizationServer(AuthorizationServer):
    """Delays its answers, so that streams with earlier tokens are refused while another token is fetched."""

    async def default(self, exchange: Exchange) -> None:
        await asyncio.sleep(FETCH)
        await super().default(exchange)


@pytest.fixture
async def authorization_server(upstream: Upstream) -> AsyncIterator[AuthorizationServer]:
    async with SlowAuthorizationServer(upstream) as server:
        yield server
        assert server.malformed == []


@pytest.fixture
def far(upstream: Upstream) -> Iterator[GrpcServer]:
    """The upstream, which checks tokens at the beginning and the end of a call: it refuses those revoked meanwhile."""
    with GrpcServer(lambda: upstream.accepts) as server:
        server.refuses_late = lambda token: upstream.accepts is not None and token not in upstream.accepts
        yield server


@pytest.fixture
def start(
    tmp_path: Path,
    secret_file: Path,
    far: GrpcServer,
    authorization_server: AuthorizationServer,
    own_redis: RedisServer,  # noqa: F811
) -> Start:
    """Start so many pods; if there are several, they share a Redis."""
    endpoint = authorization_server.token_endpoint
    route = {"name": "far", "upstream": far.url, "protocol": "http2", "token": "api"}
    alone: Mapping[str, object] = {
        "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret_file)}}},
        "tokens": {"api": {"token_endpoint": endpoint, "credentials": "app"}},
        "routes": [route],
    }
    keys = [{"id": "k1", "key": {"env": "FLEET_KEY"}}]
    shared = {"redis": {"url": own_redis.url, "encryption_keys": keys}}

    @asynccontextmanager
    async def start(pods: int) -> AsyncIterator[list[Process]]:
        async with AsyncExitStack() as stack:
            document = {**alone, **(shared if pods > 1 else {})}
            children = [
                await spawn(File(tmp_path / f"pod{number}.yaml"), document, environ={"FLEET_KEY": KEY})
                for number in range(pods)
            ]
            yield [await stack.enter_async_context(serving(child)) for child in children]

    return start


@pytest.mark.timeout(300 + 3 * REVOCATIONS)
@pytest.mark.parametrize("pods", PODS)
@pytest.mark.parametrize("kind", KINDS)
async def test_b94_a_token_is_revoked_every_second(
    start: Start,
    authorization_server: AuthorizationServer,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    pods: int,
) -> None:
    """No call ends with UNAUTHENTICATED before its first message; one token call serves all pods.

    Each revocation waits until the calls that began before the previous revocation are answered. So a call meets at
    most one revoked token, however slow the machine is.
    """
    async with start(pods) as processes:
        async with Calls([process.address for process in processes], KINDS[kind]) as calls:
            await calls.reach_each()
            now = asyncio.get_running_loop().time
            began = now()
            for number in range(REVOCATIONS):
                await asyncio.sleep(began + number - now())
                authorization_server.revoke(authorization_server.issued[-1])
                await calls.reach_each()
            took = now() - began
        resent = Counter(str(line["outcome"]) for process in processes for line in process.events("resent"))
    token_calls = len(authorization_server.issued)
    if AT_FULL_LENGTH:
        with capsys.disabled():
            sys.stdout.write(
                f"{kind}, pods: {pods}: {REVOCATIONS} revocations in {took:.1f} s, {token_calls} token calls, "
                f"{resent.total()} second streams; calls: {dict(calls.outcomes)}\n"
            )
        assert calls.outcomes.total() >= SHARE_OF_RATE * RATE * took
    assert set(calls.outcomes) <= {"OK", "UNAUTHENTICATED after a message"}
    assert set(resent) == {"healed"}
    assert REVOCATIONS + 1 <= token_calls <= MOST_EACH * REVOCATIONS + 1
