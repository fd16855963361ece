"""A fleet on one clock, for a model of it: pods with clocks of their own, and everything between them unreliable.

A pod's parts are real, from the cache to the receiver of messages. Its store, its bus, its token endpoint and its
upstream are fakes that delay answers, lose them and recover. `ModelFleet.wrong` collects what must never happen.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import inf
from random import Random
from typing import TypeVar

from sidecar.cache.lease import Claim
from sidecar.cache.leased_source import LeasedSource
from sidecar.cache.refused_tokens import Bust, Busted
from sidecar.cache.revocations import Revocations
from sidecar.cache.tokens import TokenCache
from sidecar.core.backoff import Setback
from sidecar.core.errors import SidecarError, TokenUnavailable
from sidecar.core.labels import Labels
from sidecar.core.secret import Secret
from sidecar.fleet.breaker import SETTLING
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.member import REVOKED_FOR
from sidecar.fleet.messages import Revocation, encode
from sidecar.fleet.receiver import MessageReceiver
from sidecar.fleet.seal import NoSeal
from sidecar.oauth.token import FetchReason, Token, TokenRequest, bearer
from sidecar.telemetry.events import Failed
from tests.support.clock import FakeClock, settle
from tests.support.fleet_fakes import FakeServer, FakeStore
from tests.support.journal import RecordingJournal

T = TypeVar("T")

CHANNEL = "m2m:bust"
LIFE = 600.0
"""Seconds a token lives."""
TRIPS = ((0.0002, 0.02), (0.0002, 0.02), (0.02, 0.1))
"""Seconds one way, to the store or the upstream."""
UNSURE = 0.001
"""Seconds by which a pod may be wrong about the server's clock."""
REQUESTS = {
    name: TokenRequest(
        name=name, token_endpoint="https://auth.test/token", credentials=name, service=name, tenant="acme"
    )
    for name in ("a", "b")
}


@dataclass(frozen=True)
class Minted:
    """What is true of a token, on the fleet's clock."""

    request: TokenRequest
    began: float
    labels: Labels
    busts: int
    """How many there had been of this kind when its fetch began."""


@dataclass(frozen=True, eq=False)
class Fetch:
    """One under way."""

    pod: "ModelPod"
    key: str
    leased_in: tuple[int, int] | None
    """The lives of the server and of the pod's link to it that the lease belongs to."""


class SkewedClock:
    """A pod's: it goes right, but shows another time."""

    def __init__(self, clock: FakeClock, skew: float) -> None:
        self._clock = clock
        self._skew = skew

    def now(self) -> float:
        return self._clock.now() + self._skew

    def wall(self) -> float:
        return self._clock.wall() + self._skew

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class Dice:
    """Jitter and bytes that are reproducible."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class Line(FakeStore):
    """A pod's way to the server, there and back. What is under way when it is cut never arrives."""

    def __init__(self, fleet: "ModelFleet", pod: "ModelPod", skew: float) -> None:
        super().__init__(fleet.clock, fleet.server)
        self.offset = ClockOffset(-skew, UNSURE, 0.0)
        self.life = 0
        self.lost_at = -inf
        self._fleet = fleet
        self._pod = pod
        self.reachable = fleet.up

    @property
    def settled(self) -> bool:
        return self.reachable and self._clock.now() - self.lost_at >= SETTLING

    def cut(self) -> None:
        self.reachable = False
        self.life += 1

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        ask = super().claim

        async def work() -> Claim:
            return _here(await ask(request, owner, passing_over), self.offset)

        return await self._trip(work, Claim())

    async def extend(self, request: TokenRequest, owner: str) -> bool:
        ask = super().extend
        return await self._trip(lambda: ask(request, owner), lost=True)

    async def fill(self, request: TokenRequest, token: Token, owner: str) -> bool:
        ask = super().fill

        async def work() -> bool:
            filled = await ask(request, _moved(token, self.offset.earliest_there), owner)
            if filled:
                self._fleet.filled(token.fingerprint)
            return filled

        return await self._trip(work, lost=True)

    async def give_up(self, request: TokenRequest, owner: str, setback: Setback) -> None:
        ask = super().give_up
        there = replace(setback, until=self.offset.earliest_there(setback.until))
        await self._trip(lambda: ask(request, owner, there), None)

    async def release(self, request: TokenRequest, owner: str) -> None:
        ask = super().release
        await self._trip(lambda: ask(request, owner), None)

    async def generations(self, keys: Sequence[str]) -> Mapping[str, int] | None:
        ask = super().generations
        return await self._trip(lambda: ask(keys), None)

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        ask = super().bust

        async def work() -> Busted:
            self._fleet.speaker = self._pod.name
            held = self.server.tokens.get(request.key)
            busted = await ask(request, refused, self.offset.latest_there(sent_at))
            gone = held is not None and request.key not in self.server.tokens
            if gone and held is not None and held.fingerprint != refused.fingerprint:
                self._fleet.wrong.append(f"a bust of {refused.fingerprint} deleted {held.fingerprint}")
            floor = sent_at if busted.news else min(sent_at, self.offset.latest_here(busted.floor))
            return Busted(busted.news, floor, busted.cooling, busted.probing)

        return await self._trip(work, Busted(news=True, floor=sent_at))

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        ask = super().cool_down
        return await self._trip(lambda: ask(request, token, jitter), 0.0)

    async def healed(self, request: TokenRequest) -> None:
        ask = super().healed
        await self._trip(lambda: ask(request), None)

    async def _trip(self, work: Callable[[], Awaitable[T]], lost: T) -> T:
        life = self.life
        if self.reachable:
            await self._pod.trip()
            if self._whole_since(life):
                reply = await work()
                await self._pod.trip()
                if self._whole_since(life):
                    return reply
        self.lost_at = self._clock.now()
        return lost

    def _whole_since(self, life: int) -> bool:
        return self.reachable and self.life == life


def _moved(token: Token, move: Callable[[float], float]) -> Token:
    return replace(
        token,
        expires_at=move(token.expires_at),
        fresh_until=move(token.fresh_until),
        fetch_began=move(token.fetch_began),
    )


def _here(claim: Claim, offset: ClockOffset) -> Claim:
    token = _moved(claim.token, offset.earliest_here) if claim.token is not None else None
    there = claim.setback
    setback = replace(there, until=offset.earliest_here(there.until)) if there is not None else None
    return replace(claim, token=token, setback=setback)


class Watched:
    """What the bus hands a pod's cache: it notes what the pod then knows, and looks at what is dropped."""

    def __init__(self, pod: "ModelPod") -> None:
        self._pod = pod
        self._cache = pod.cache
        self.evict_revoked = pod.cache.evict_revoked
        self.held = pod.cache.held
        self.evict_behind = pod.cache.evict_behind

    def evict(self, bust: Bust) -> bool:
        held = {token.fingerprint for token in self._pod.held()}
        self._pod.know(bust.fingerprint)
        evicted = self._cache.evict(bust)
        gone = held - {token.fingerprint for token in self._pod.held()}
        if gone - {bust.fingerprint}:
            self._pod.fleet.wrong.append(f"{self._pod.name}: a bust of {bust.fingerprint} dropped {gone}")
        return evicted

    def evict_selected(self, selector: Labels, at: float) -> int:
        self._pod.revoked.append((selector, at - self._pod.skew, self._pod.fleet.clock.now()))
        return self._cache.evict_selected(selector, at)


class ModelPod:
    """One sidecar: it takes clients' requests, and keeps a record of the tokens that it knows to be refused."""

    def __init__(self, fleet: "ModelFleet", name: str, skew: float) -> None:
        self.fleet = fleet
        self.name = name
        self.skew = skew
        self.clock = SkewedClock(fleet.clock, skew)
        self.journal = RecordingJournal()
        self.known: dict[str, float] = {}
        """Fingerprints of tokens that this pod knows to be refused, and since when."""
        self.revoked: list[tuple[Labels, float, float]] = []
        """Selects that this pod knows, the moment of each, and since when it knows."""
        self.outcomes: list[int] = []
        self.line = Line(fleet, self, skew)
        self.random = Random(f"{name} {fleet.random.random()}")
        self._dice = Dice(self.random)
        self._revocations = Revocations()
        self.shared = LeasedSource(
            source=Fetches(self),
            store=self.line,
            revocations=self._revocations,
            clock=self.clock,
            randomness=self._dice,
            spare=self._spare,
        )
        self.cache = TokenCache(
            source=self.shared,
            fleet=self.line,
            revocations=self._revocations,
            clock=self.clock,
            randomness=self._dice,
            journal=self.journal,
        )
        self.hearing = MessageReceiver(
            key_prefix="",
            pod=name,
            store_ttl=LIFE,
            listen=(),
            seal=NoSeal(),
            evictions=Watched(self),
            fills=self.shared,
            revocations=self._revocations,
            clock=self.clock,
            journal=self.journal,
        )
        self.ear = Ear(self)
        self.tasks: dict[asyncio.Task[None], None] = {}
        self.do(self.ear.run())

    def do(self, what: Awaitable[object]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await what
            except Exception as bug:  # noqa: BLE001  a task's error would be lost
                self.fleet.wrong.append(f"{self.name}: {bug!r}")

        task = asyncio.get_running_loop().create_task(guarded())
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)
        return task

    def _spare(self, request: TokenRequest) -> Token | None:
        return self.cache.spare(request)

    async def trip(self) -> None:
        await self.clock.sleep(self.random.uniform(*self.random.choice(TRIPS)))

    def held(self) -> list[Token]:
        found = [self.cache.spare(request) for request in REQUESTS.values()]
        return [token for token in found if token is not None]

    def know(self, fp: str) -> None:
        self.known.setdefault(fp, self.fleet.clock.now())

    def knows_dead(self, fp: str, by: float) -> bool:
        """Whether it knew before that moment."""
        minted = self.fleet.minted[fp]
        selected = (
            chosen <= minted.labels and minted.began < at - 2 * UNSURE and since < by
            for chosen, at, since in self.revoked
        )
        return self.known.get(fp, inf) < by or any(selected)

    async def ask(self, wanted: TokenRequest) -> int:
        """Send one client's request, from the proxy's point of view; return the status of its answer."""
        status = await self._story(wanted)
        self.outcomes.append(status)
        return status

    async def _story(self, wanted: TokenRequest) -> int:
        begun = self.fleet.clock.now()
        try:
            token = self.cache.peek(wanted, self.clock.now()) or await self.cache.token(wanted)
        except SidecarError:
            return 503
        sent_at = self.clock.now()
        status = await self._send(token, begun)
        if status == 200 or self.cache.cooling(wanted, self.clock.now()):
            return status
        self.know(token.fingerprint)
        begun = self.fleet.clock.now()
        since = self.fleet.refused(token.fingerprint, sent_at - self.skew)
        try:
            successor = await self.cache.renew(wanted, token, sent_at)
        except TokenUnavailable as error:
            if "the fleet waits" in str(error):  # the refusal was taken back
                self.known.pop(token.fingerprint, None)
            return status
        except SidecarError:
            return status
        if self.fleet.minted[successor.fingerprint].began < since - 2 * UNSURE:
            self.fleet.wrong.append(f"{self.name}: {successor.fingerprint} is no successor: it is older")
        status = await self._send(successor, begun)
        if status == 200:
            self.cache.healed(wanted)
        else:
            self.cache.cool_down(wanted, successor)
        return status

    async def _send(self, token: Token, begun: float) -> int:
        fp = token.fingerprint
        if self.knows_dead(fp, begun):
            self.fleet.wrong.append(f"{self.name} sent {fp}, known dead when the request came")
        if self.fleet.clock.now() >= self.fleet.minted[fp].began + LIFE:
            self.fleet.wrong.append(f"{self.name} sent {fp} after its end")
        await self.trip()
        status = 401 if fp in self.fleet.dead else 200
        await self.trip()
        return status

    def look(self) -> None:
        """Assert that no bust or select that the pod published or received rules out a token in memory."""
        for token in self.held():
            if self.knows_dead(token.fingerprint, inf):
                self.fleet.wrong.append(f"{self.name} holds {token.fingerprint}, which it knows dead")
        for event in self.journal.named(Failed.name):
            self.fleet.wrong.append(f"{self.name}: {event}")


class Fetches:
    """The token endpoint as one pod sees it."""

    def __init__(self, pod: ModelPod) -> None:
        self._pod = pod

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        pod, fleet = self._pod, self._pod.fleet
        alone = not pod.line.reachable or pod.line.lost_at == fleet.clock.now()
        fetch = Fetch(pod, request.key, None if alone else (fleet.life, pod.line.life))
        rivals = [other.pod.name for other in fleet.fetching if fleet.rivals(other, fetch)]
        if rivals:
            fleet.wrong.append(f"{pod.name} fetches beside {rivals}")
        fleet.fetching[fetch] = None
        fleet.fetches += 1
        try:
            return await self._fetch(request, pod.clock.now())
        finally:
            del fleet.fetching[fetch]

    async def _fetch(self, request: TokenRequest, began: float) -> Token:
        fleet = self._pod.fleet
        at, busts = fleet.clock.now(), fleet.busts[request.key]
        await fleet.clock.sleep(fleet.slowness / 2)
        if fleet.out:
            raise TokenUnavailable("out", 0.0)
        fp = f"t{next(fleet.numbers)}"
        fleet.minted[fp] = Minted(request, at, request.labels, busts)
        await fleet.clock.sleep(fleet.slowness / 2)
        return bearer(Secret(fp, fp), fetch_began=began, life=LIFE, leeway=60, labels=request.labels)


class Ear:
    """The link by which a pod receives from the others: it recovers missed messages before it counts as up again."""

    def __init__(self, pod: ModelPod) -> None:
        self._pod = pod
        self.whole = asyncio.Event()
        self.whole.set()
        self.life = 0
        self.listening = False
        self.up = False
        self._heard_until = -inf

    def cut(self) -> None:
        if self.up:
            self._heard_until = self._pod.clock.now()
        self.whole.clear()
        self.life += 1
        self.listening = self.up = False

    async def run(self) -> None:
        fleet = self._pod.fleet
        while True:
            await self.whole.wait()
            await fleet.clock.sleep(self._pod.random.uniform(0.05, 0.3))
            life = self.life
            if self._pod.line.reachable and self.whole.is_set():
                self.listening = True
                if await self._catch_up() and self.life == life:
                    self.up = True
                    while self.up:
                        await asyncio.shield(fleet.changed)
                    continue
                self.listening = False
            if not self._pod.line.reachable:
                await asyncio.shield(fleet.changed)

    async def _catch_up(self) -> bool:
        pod, fleet = self._pod, self._pod.fleet
        told = tuple(fleet.buried)
        now = pod.clock.now()
        since = now - pod.hearing.memory if self._heard_until == -inf else self._heard_until
        complete_since = now - REVOKED_FOR
        oldest = max(since, complete_since) - pod.skew
        revoked = [each for each in fleet.revoked if each[0] >= oldest]
        for _, _, payload in revoked:
            pod.hearing.recall(payload, pod.line.offset)
        generations = await pod.line.generations(list(pod.cache.held()))
        if generations is None:
            return False
        pod.hearing.drop_missed(generations, complete_since if since < complete_since else -inf)
        for fp in told:
            pod.know(fp)
        pod.revoked += [(chosen, at, fleet.clock.now()) for at, chosen, _ in revoked]
        return True


class ModelFleet:
    """All of it, and what is true."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = FakeClock()
        self.server = FakeServer()
        self.server.listeners.append(self._publish)
        self.up = True
        self.life = 0
        self.slowness = 0.05
        """Seconds a fetch takes."""
        self.out = False
        """Whether the token endpoint fails."""
        self.lossy = True
        self.pods: list[ModelPod] = []
        self.wrong: list[str] = []
        self.numbers = count(1)
        self._names = count(1)
        self.minted: dict[str, Minted] = {}
        self.dead: set[str] = set()
        """Fingerprints of what the upstream refuses."""
        self.buried: set[str] = set()
        """Fingerprints of what was bust, as far as the server remembers."""
        self.busts: Counter[str] = Counter()
        """Of each key, ever."""
        self._sent: dict[str, float] = {}
        self._stored: set[str] = set()
        """What was stored before, and may be stored again."""
        self._forgot_at = -inf
        """When Redis last lost what it knew: also which busts came during the fetches that had begun by then."""
        self.revoked: list[tuple[float, Labels, bytes]] = []
        self.fetching: dict[Fetch, None] = {}
        self.fetches = 0
        self.speaker = ""
        self.said: list[bytes] = []
        self.changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._posting: set[asyncio.Task[None]] = set()

    def rivals(self, one: Fetch, other: Fetch) -> bool:
        """Whether two fetches are under way of which the lease should have prevented one."""
        leased = one.leased_in == (self.life, one.pod.line.life) and other.leased_in is not None
        return leased and one.key == other.key and one.pod in self.pods

    def refused(self, fp: str, sent_at: float) -> float:
        """A request with it, sent then, was refused; when was the first such sent?"""
        self._sent[fp] = min(sent_at, self._sent.get(fp, inf))
        return self._sent[fp]

    def filled(self, fp: str) -> None:
        """It was put in the store: no bust may have overtaken it, and it must not have been bust."""
        minted = self.minted[fp]
        overtaken = minted.began > self._forgot_at and minted.busts != self.busts[minted.request.key]
        if fp not in self._stored and overtaken:
            self.wrong.append(f"{fp} is in the store, and a bust came during its fetch")
        if fp in self.buried:
            self.wrong.append(f"{fp} was bust, and is back in the store")
        self._stored.add(fp)

    # What happens to it

    def start(self, skew: float) -> None:
        self.pods.append(ModelPod(self, f"pod{next(self._names)}", skew))

    def kill(self, pod: ModelPod) -> None:
        """End the process without a message."""
        self.pods.remove(pod)
        pod.line.cut()
        pod.ear.cut()
        for task in tuple(pod.tasks):
            task.cancel()
        self._post(pod.cache.close())

    def stop(self) -> None:
        """End the server, and every link with it."""
        self.up = False
        self.life += 1
        for pod in self.pods:
            pod.line.cut()
            pod.ear.cut()
        self._change()

    def restart(self, *, empty: bool) -> None:
        self.up = True
        if empty:
            self.flush()
        for pod in self.pods:
            pod.line.reachable = True
            pod.ear.whole.set()
        self._change()

    def flush(self) -> None:
        """Everything it knew is lost."""
        self.life += 1
        server = self.server
        for table in (server.tokens, server.generations, server.leases, server.setbacks, server.dead):
            table.clear()
        server.windows.clear()
        server.cool_downs = FakeServer().cool_downs
        self.buried.clear()
        self.revoked.clear()
        self._forgot_at = self.clock.now()

    def cut(self, pod: ModelPod) -> None:
        pod.ear.cut()
        self._change()

    def mend(self, pod: ModelPod) -> None:
        pod.ear.whole.set()
        self._change()

    def revoke(self, request: TokenRequest) -> None:
        """At the authorization server: every token of this kind minted by now is refused."""
        self.dead |= {fp for fp, minted in self.minted.items() if minted.request is request}

    def bust(self, pod: ModelPod, chosen: Labels) -> None:
        """What an operator does at this pod."""
        pod.hearing.revoke(chosen, pod.clock.now())
        if not pod.line.reachable:
            return
        now = self.clock.now()
        at = -(-int(pod.line.offset.latest_there(pod.clock.now()) * 1e6) // 1000)
        revocation = Revocation(chosen, at, self.random.randbytes(8).hex())
        payload = encode(revocation, channel=CHANNEL, sender=pod.name, at=at, sign=NoSeal().sign)
        self.revoked.append((now, chosen, payload))
        self._broadcast(CHANNEL, payload)

    def repeat(self, pod: ModelPod, number: int) -> None:
        """An old message arrives once more."""
        if self.said:
            pod.hearing.hear(CHANNEL, self.said[number % len(self.said)], pod.line.offset)

    async def close(self) -> None:
        for pod in tuple(self.pods):
            self.kill(pod)
        await settle(50)
        here = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks() if task is not here]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    # The bus

    def _publish(self, message: Bust | str) -> None:
        if isinstance(message, str):
            self._broadcast("m2m:fill", message.encode())
            return
        self.buried.add(message.fingerprint)
        self.busts[message.key] += 1
        at = int(self.clock.now() * 1000)
        self._broadcast(
            CHANNEL, encode(message, channel=CHANNEL, sender=self.speaker, at=at, sign=NoSeal().sign)
        )

    def _broadcast(self, channel: str, payload: bytes) -> None:
        if channel == CHANNEL:
            self.said.append(payload)
        for pod in self.pods:
            if pod.ear.listening:
                copies = self.random.choice((0, 1, 1, 1, 1, 2)) if self.lossy else 1
                for _ in range(copies):
                    self._post(self._deliver(pod, pod.ear.life, channel, payload))

    async def _deliver(self, pod: ModelPod, life: int, channel: str, payload: bytes) -> None:
        await self.clock.sleep(self.random.choice((0.001, 0.01, 0.3)) * self.random.random())
        if pod.ear.listening and pod.ear.life == life:
            pod.hearing.hear(channel, payload, pod.line.offset)

    def _post(self, what: Awaitable[None]) -> None:
        task = asyncio.ensure_future(what)
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    def _change(self) -> None:
        self.changed.set_result(None)
        self.changed = asyncio.get_running_loop().create_future()
