"""Pods of a fleet without their servers, on a real Redis: what a sidecar is made of around its cache.

Their token server gives tokens any labels that a test requires, which no real one does.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Self, TypeVar
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as NotConnected

from sidecar.cache.refused_tokens import BustFailure
from sidecar.cache.settings import CacheSettings
from sidecar.cache.tokens import TokenCache
from sidecar.core.labels import Labels, parse_selector
from sidecar.core.secret import Secret, fingerprint
from sidecar.fleet.answers import SelectOutcome
from sidecar.fleet.member import Member
from sidecar.fleet.ports import Seal
from sidecar.fleet.seal import AesSeal, NoSeal
from sidecar.fleet.settings import BustSettings, EncryptionKey, ForeignChannel, RedisSettings
from sidecar.oauth.token import FetchReason, Token, TokenRequest, bearer
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.events import Event
from sidecar.telemetry.fleet_events import BustApplied
from tests.support.journal import RecordingJournal
from tests.support.redis_server import RedisServer
from tests.support.waiting import AT_LEISURE, PATIENCE, until

E = TypeVar("E", bound=Event)

KEY = bytes(range(32))


def request(name: str = "ledger", tenant: str = "") -> TokenRequest:
    """A token request whose service has its name."""
    return TokenRequest(
        name=name, token_endpoint="https://auth.test/token", credentials=name, service=name, tenant=tenant
    )


class TokenServer:
    """What every pod's fetches end at: counts them, and gives tokens the labels they are to carry."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.fetched: list[str] = []
        """Names of the requests, in order."""
        self.labels: dict[str, Labels] = {}
        """More labels, by the request's name."""
        self.open = asyncio.Event()
        self.open.set()

    def labelled(self, **labels: str) -> TokenRequest:
        """A request whose tokens carry these labels."""
        made = request(f"r{len(self.labels)}")
        self.labels[made.name] = frozenset(labels.items())
        return made


class _Fetches:
    """The source at the end of one pod's chain."""

    def __init__(self, server: TokenServer, clock: SystemClock, fingerprint_key: bytes) -> None:
        self._server = server
        self._clock = clock
        self._fingerprint_key = fingerprint_key

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        server, began = self._server, self._clock.now()
        server.fetched.append(request.name)
        await server.open.wait()
        value = f"canary-token-{next(server.numbers)}"
        secret = Secret(value, fingerprint(self._fingerprint_key, value))
        labels = request.labels | server.labels.get(request.name, frozenset())
        return bearer(secret, fetch_began=began, life=3600, leeway=60, labels=labels)


class Cable:
    """The link between one pod and Redis: it can be cut, fall silent, and be repaired."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = asyncio.Event()
        self._open.set()
        self._whole = True
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.ports: set[int] = set()
        """Local ports of the connections to Redis so far, by which Redis names its client."""

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> "Cable":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()

    def cut(self) -> None:
        """End every connection and let none come about."""
        self._whole = False
        for end in tuple(self._ends):
            end.transport.abort()

    def hush(self) -> None:
        """Carry no more bytes, but close nothing."""
        self._open.clear()

    def mend(self) -> None:
        self._whole = True
        self._open.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        to_read, to_write = await asyncio.open_connection("127.0.0.1", self._port)
        self.ports.add(to_write.get_extra_info("sockname")[1])
        await asyncio.gather(self._copy(reader, to_write), self._copy(to_read, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._ends.discard(writer)
            writer.transport.abort()


class MemberPod:
    """One member of the fleet around a cache."""

    def __init__(
        self,
        server: "TokenServer",
        settings: RedisSettings,
        listen: Sequence[ForeignChannel],
        name: str,
    ) -> None:
        self.clock = clock = SystemClock()
        self.journal = RecordingJournal()
        randomness = SystemRandomness()
        self.member = Member(
            settings,
            BustSettings(tuple(listen)),
            CacheSettings(),
            clock=clock,
            randomness=randomness,
            journal=self.journal,
        )
        self.revocations = self.member.revocations
        self.fetches = _Fetches(server, clock, self.member.fingerprint_key)
        self.cache = TokenCache(
            source=self.member.source(self.fetches),
            fleet=self.member.fleet,
            revocations=self.revocations,
            clock=clock,
            randomness=randomness,
            journal=self.journal,
        )
        self.member.join(self.cache, name)
        self._running = asyncio.create_task(self.member.run())

    @property
    def up(self) -> bool:
        """Return whether both the store and the other pods can be reached."""
        return self.stores and self.hears

    @property
    def stores(self) -> bool:
        return self.member.readings().store_up

    @property
    def hears(self) -> bool:
        return self.member.readings().bus_up

    def unanswered(self, operation: str) -> int:
        """Return how many such requests Redis left unanswered."""
        return self.member.readings().store_operations.get((operation, "failed"), 0)

    async def select(self, **labels: object) -> SelectOutcome | BustFailure:
        """What `sidecar bust` and `POST /bust` do."""
        return await self.member.bust(parse_selector(labels))

    async def bust(self, **labels: object) -> int | BustFailure:
        """Bust; return how many pods received it, or what went wrong."""
        done = await self.select(**labels)
        return done if isinstance(done, BustFailure) else done.pods

    async def token(self, request: TokenRequest) -> str:
        return (await self.cache.token(request)).secret.reveal()

    def holds(self, request: TokenRequest) -> bool:
        """Whether memory has a usable token; never suspends."""
        return self.cache.peek(request, self.clock.now()) is not None

    async def refuse(self, request: TokenRequest) -> Token:
        """The upstream refuses what this pod holds; returns the successor."""
        token = self.cache.peek(request, self.clock.now())
        assert token is not None
        return await self.cache.renew(request, token, self.clock.now())

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.journal.events if isinstance(event, kind)]

    @property
    def rejected(self) -> list[str]:
        """Why, of each message; the log has them by the minute."""
        return [reason for reason, count in self.member.readings().rejected.items() for _ in range(count)]

    @property
    def evicted(self) -> int:
        return sum(event.evicted for event in self.told(BustApplied))

    def stop_hearing(self) -> None:
        """End the subscription, and nothing else."""
        self._running.cancel()

    async def close(self) -> None:
        self.stop_hearing()
        with suppress(asyncio.CancelledError):
            await self._running
        await self.cache.close()
        await self.member.close()


class MemberFleet:
    """Pods with one Redis, one prefix and one token server."""

    def __init__(self, redis: RedisServer, *, sealed: bool = True, cluster: bool = False) -> None:
        """`redis` is one of its nodes where it is a Cluster."""
        self.redis = redis
        self._cluster = cluster
        self.seal: Seal = AesSeal([("k1", KEY)], SystemRandomness()) if sealed else NoSeal()
        self._keys = (EncryptionKey("k1", Secret(base64.b64encode(KEY).decode())),) if sealed else ()
        self.server = TokenServer()
        self.prefix = f"{uuid4().hex[:8]}:"
        self.channel = f"{self.prefix}m2m:bust"
        self.client = Redis(host="127.0.0.1", port=redis.port)
        self._pods: list[MemberPod] = []

    async def pod(
        self,
        *listen: ForeignChannel,
        port: int = 0,
        up: bool = True,
        operation_timeout: float = AT_LEISURE,
        name: str = "",
        settings: RedisSettings | None = None,
    ) -> MemberPod:
        """Start one, on another port than the server's own if it is given, and wait until it receives the others'
        messages.

        `settings` are for those that reach the server by another way.
        """
        settings = replace(
            settings or self.redis.settings(self.prefix),
            cluster=self._cluster,
            encryption_keys=self._keys,
            operation_timeout=operation_timeout,
        )
        if port:
            settings = replace(settings, hosts=(("127.0.0.1", port),))
        pod = MemberPod(self.server, settings, listen, name or f"pod-{len(self._pods)}")
        self._pods.append(pod)
        if up:
            await until(lambda: pod.up)
        return pod

    async def publish(self, channel: str, payload: bytes) -> None:
        assert await self.client.publish(channel, payload) > 0

    async def heard(self) -> None:
        """Wait until every pod has received all earlier messages: a message without effect follows them."""
        mark = f"mark-{uuid4().hex}".encode()
        before = [len(pod.rejected) for pod in self._pods]
        await self.publish(f"{self.prefix}m2m:fill", mark)
        await until(
            lambda: all(len(pod.rejected) > count for pod, count in zip(self._pods, before, strict=True))
        )

    @asynccontextmanager
    async def messages(self) -> AsyncIterator[list[bytes]]:
        """Collect what is published on the bust channel, as any other subscriber sees it."""
        collected: list[bytes] = []
        async with self.client.pubsub() as pubsub:
            await pubsub.subscribe(self.channel)
            await pubsub.get_message(timeout=PATIENCE)

            collecting = asyncio.create_task(_collect(pubsub, collected))
            try:
                yield collected
            finally:
                collecting.cancel()

    async def expect_denials(self) -> None:
        """Close the pods, and forget what Redis denied: also what a pod still wrote while it closed."""
        await self._close_pods()
        with suppress(NotConnected):  # a test may have killed it
            self.redis.denied()

    async def _close_pods(self) -> None:
        pods, self._pods = self._pods, []
        await asyncio.gather(*(pod.close() for pod in pods))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_pods()
        await self.client.aclose()
        with suppress(NotConnected):  # a test may have killed it
            assert self.redis.denied() == []


async def _collect(pubsub: PubSub, into: list[bytes]) -> None:
    async for message in pubsub.listen():
        into.append(message["data"])  # noqa: PERF401  one by one, as they come
