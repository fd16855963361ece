"""Answers to a select over a real Redis: the pod that was asked to bust learns what the others dropped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from sidecar.cache.refused_tokens import Bust
from sidecar.core.labels import parse_selector
from sidecar.fleet.answers import MAX_SIZE, Answer, Dropped, SelectOutcome, encode
from sidecar.fleet.messages import Revocation
from sidecar.fleet.messages import encode as message
from sidecar.fleet.redis.answers import (
    ANSWERS,
    IN_VAIN,
    LIFE,
    MOST,
    MOST_COLLECTED,
    MOST_LOOKS,
    PAGE,
    SelectAnswers,
)
from sidecar.fleet.redis.bus import FewTasks
from sidecar.fleet.redis.connect import connect
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.permissions import rules
from sidecar.fleet.seal import NoSeal
from sidecar.fleet.settings import RedisSettings, SentinelSettings
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.fleet_events import SelectSent, StoreDenied
from tests.support.fleet_of_members import MemberFleet, request
from tests.support.journal import RecordingJournal
from tests.support.redis_server import PASSWORD, USER, Cluster, RedisServer, Sentinels
from tests.support.waiting import AT_LEISURE, PATIENCE, until

LEDGER = request("ledger", tenant="acme")
PAYMENTS = request("payments", tenant="acme")
OLD_COMMANDS = (
    "+asking +client|setname +cluster|slots +del +eval +evalsha +get +hget +hmget +hset +pexpire +ping +pttl +publish"
    " +pubsub|numsub +select +set +subscribe +time +type +zadd +zcard +zrange +zremrangebyrank +zremrangebyscore"
    " +zrevrangebyscore"
)
"""What the documents allowed before pods answered."""


@pytest.fixture
async def fleet(each_redis: RedisServer) -> AsyncIterator[MemberFleet]:
    async with MemberFleet(each_redis) as fleet:
        yield fleet


async def answers_kept(fleet: MemberFleet) -> list[bytes]:
    """The keys of answers in Redis."""
    return [key async for key in fleet.client.scan_iter(f"{fleet.prefix}m2m:dropped:*")]


async def test_o8_a_bust_says_how_many_tokens_each_pod_dropped(fleet: MemberFleet) -> None:
    """This pod and the others, also those that held none; what they wrote down expires."""
    pods = [await fleet.pod() for _ in range(4)]
    for pod in pods[:2]:
        await pod.token(LEDGER)
    await pods[1].token(PAYMENTS)
    await pods[3].token(request("other", tenant="globex"))
    done = await pods[0].select(tenant="acme")
    assert done == SelectOutcome(4, {"pod-0": 1, "pod-1": 2, "pod-2": 0, "pod-3": 0})
    assert [event.pods for event in pods[0].told(SelectSent)] == [4]
    [key] = await answers_kept(fleet)
    assert 0 < await fleet.client.pttl(key) <= 1000 * LIFE
    assert [pod.rejected for pod in pods] == [[]] * 4
    assert await pods[2].select(tenant="acme") == SelectOutcome(4, dict.fromkeys(done.dropped, 0))


async def test_o8_pods_that_do_not_answer_are_counted(fleet: MemberFleet) -> None:
    """A pod of an older version subscribes and writes nothing: it is not waited for longer than a moment."""
    pod = await fleet.pod()
    await pod.token(LEDGER)
    async with fleet.messages() as older:
        done = await pod.select(tenant="acme")
        await until(lambda: len(older) == 1)
    assert done == SelectOutcome(2, {"pod-0": 1})
    assert await answers_kept(fleet) == []


async def test_o8_a_pod_that_hears_nobody_counts_itself(fleet: MemberFleet) -> None:
    """Its own subscription is not there yet, or lost; the others' answers are all the same."""
    other = await fleet.pod(name="other")
    await other.token(LEDGER)
    deaf = await fleet.pod(name="deaf")
    deaf.stop_hearing()
    await until(lambda: not deaf.hears)
    assert await deaf.select(tenant="acme") == SelectOutcome(2, {"deaf": 0, "other": 1})


async def test_o8_only_a_select_that_counts_is_answered(fleet: MemberFleet) -> None:
    """No bust of a token, and nothing that is forged, old or repeated."""
    pod = await fleet.pod()
    now = round(pod.clock.now() * 1000)

    def select(number: str, at: int, sign: Callable[[bytes], bytes] = fleet.seal.sign) -> bytes:
        what = Revocation(parse_selector({"tenant": "acme"}), at, number)
        return message(what, channel=fleet.channel, sender="other", at=at, sign=sign)

    bust = message(
        Bust(LEDGER.key, "fp", 7), channel=fleet.channel, sender="other", at=now, sign=fleet.seal.sign
    )
    for payload in (bust, select("forged", now, NoSeal().sign), select("old", now - 3_600_000)):
        await fleet.publish(fleet.channel, payload)
    await fleet.heard()
    assert await answers_kept(fleet) == []
    for _ in range(3):
        await fleet.publish(fleet.channel, select("good", now))
    await fleet.heard()
    [key] = await until_answered(fleet)
    assert await fleet.client.zcard(key) == 1


async def until_answered(fleet: MemberFleet) -> list[bytes]:
    async def answered() -> bool:
        return len(await answers_kept(fleet)) > 0

    await until(answered)
    return await answers_kept(fleet)


async def test_o8_many_busts_at_once_are_all_answered(fleet: MemberFleet) -> None:
    """Sent by one pod or by several: each answer has every pod."""
    pods = [await fleet.pod() for _ in range(3)]
    everyone = SelectOutcome(3, {"pod-0": 0, "pod-1": 0, "pod-2": 0})
    busts = [pods[number % 2].select(user=f"u{number}") for number in range(24)]
    assert await asyncio.gather(*busts) == [everyone] * len(busts)


async def test_o8_a_flood_of_selects_starts_few_answers() -> None:
    """A few at a time; further ones wait for their turn, in order. What is beyond that limit too is left undone."""
    few, gate = FewTasks(4, waiting=10), asyncio.Event()
    started: list[int] = []
    under_way: set[int] = set()
    most = 0

    async def answer(number: int) -> None:
        nonlocal most
        started.append(number)
        under_way.add(number)
        most = max(most, len(under_way))
        await gate.wait()
        await asyncio.sleep(0)
        under_way.remove(number)
        if number % 3 == 0:
            raise OSError

    for number in range(100):
        few.start(partial(answer, number))
    await asyncio.sleep(0)
    assert started == [0, 1, 2, 3]
    gate.set()
    await until(lambda: len(started) == 14 and not under_way)
    few.start(partial(answer, 100))
    await few.finish()
    assert (started, most) == ([*range(14), 100], 4)


async def test_o8_what_waits_at_the_end_is_not_started() -> None:
    """A pod that stops waits only for what is under way."""
    few, started = FewTasks(1, waiting=10), []

    async def answer(number: int) -> None:
        started.append(number)

    for number in range(5):
        few.start(partial(answer, number))
    await few.finish()
    await asyncio.sleep(0)
    assert started == [0]


async def test_o8_in_a_cluster_every_pod_answers(cluster: Cluster) -> None:
    """Whichever node it listens at."""
    async with MemberFleet(cluster.nodes[0], cluster=True) as fleet:
        pods = [await fleet.pod() for _ in range(4)]
        for pod in pods:
            await pod.token(LEDGER)
        assert await pods[0].select(service="ledger") == SelectOutcome(4, {f"pod-{n}": 1 for n in range(4)})


async def test_o8_behind_sentinels_every_pod_answers(sentinels: Sentinels) -> None:
    """They write at the primary, wherever they read."""
    async with MemberFleet(sentinels.first) as fleet:
        found = RedisSettings(
            key_prefix=fleet.prefix, hosts=sentinels.hosts, sentinel=SentinelSettings(Sentinels.MASTER)
        )
        pods = [await fleet.pod(settings=found) for _ in range(2)]
        await pods[1].token(LEDGER)
        assert await pods[0].select(service="ledger") == SelectOutcome(2, {"pod-0": 0, "pod-1": 1})


# What Redis may deny


def test_o8_the_permissions_of_older_versions_suffice() -> None:
    """An upgrade needs no change in Redis."""
    commands = [rule for rule in rules() if rule.startswith("+")]
    assert " ".join(commands) == OLD_COMMANDS


async def test_o8_where_redis_denies_the_answers_the_bust_holds(each_own_redis: RedisServer) -> None:
    """Only the answers are missing, and the log has what was denied."""
    async with MemberFleet(each_own_redis) as fleet:
        one, other = await fleet.pod(), await fleet.pod()
        await other.token(LEDGER)
        prefix = fleet.prefix
        keys = (f"~{prefix}tenant:*", f"~{{{prefix}tenant:*", f"~{prefix}m2m:revoked", f"~{prefix}m2m:probe")
        rest = [rule for rule in rules(prefix) if not rule.startswith("~")]
        with each_own_redis.client() as client:
            client.execute_command("ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", *rest, *keys)
        assert await one.select(tenant="acme") == SelectOutcome(2, {"pod-0": 0})
        await until(lambda: not other.holds(LEDGER))
        await until(lambda: len(other.told(StoreDenied)) > 0)
        assert {event.operation for event in one.told(StoreDenied)} == {"answers"}
        assert {event.operation for event in other.told(StoreDenied)} == {"answer"}
        await fleet.expect_denials()


# What lies in Redis, and how long it is looked for


class Rig:
    """One pod's answers, and whatever happens while it waits for the others'."""

    def __init__(self, fleet: MemberFleet) -> None:
        self.fleet = fleet
        self.key = f"{fleet.prefix}m2m:dropped:s1"
        self.meanwhile: Callable[[], Awaitable[object]] = self._nothing
        self.link = GuardedClient(
            lambda: connect(fleet.redis.settings(fleet.prefix), timeout=AT_LEISURE),
            key_prefix=fleet.prefix,
            operation_timeout=AT_LEISURE,
            clock=SystemClock(),
            randomness=SystemRandomness(),
            journal=RecordingJournal(),
        )
        self.answers = self.of("me")

    def of(self, pod: str) -> SelectAnswers:
        """What that pod has of them."""
        prefix, seal = self.fleet.prefix, self.fleet.seal
        return SelectAnswers(self.link, key_prefix=prefix, pod=pod, name=f"name-{pod}", seal=seal, clock=self)

    async def answer(self, *pods: str) -> None:
        for pod in pods:
            await self.of(pod).write(Dropped("s1", 1))

    async def read(self, others: int) -> list[str]:
        answers = await self.answers.read("s1", others)
        assert answers is not None
        return [answer.sender for answer in answers]

    @property
    def looks(self) -> int:
        return self.link.operations["answers", "ok"]

    async def _nothing(self) -> None:
        pass

    # The clock

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await self.meanwhile()


@pytest.fixture
async def rig(fleet: MemberFleet) -> AsyncIterator[Rig]:
    rig = Rig(fleet)
    yield rig
    await rig.link.close()


async def test_o8_answers_are_looked_for_until_all_are_there(rig: Rig) -> None:
    """At once where they are; nowhere where there is no other pod."""
    await rig.answer("a", "b")
    assert await rig.read(2) == ["a", "b"]
    assert rig.looks == 1
    assert await rig.read(0) == []
    assert rig.looks == 1


async def test_o8_what_does_not_come_is_looked_for_a_bounded_number_of_times(rig: Rig) -> None:
    """From the last answer on."""
    assert await rig.read(1) == []
    assert rig.looks == IN_VAIN
    coming = iter("abc")

    async def one_more() -> None:
        await rig.answer(*list(coming)[:1])

    rig.meanwhile = one_more
    assert await rig.read(9) == ["a"]
    assert rig.looks == 2 * IN_VAIN + 2


async def test_o8_answers_that_trickle_in_are_not_awaited_for_ever(rig: Rig) -> None:
    """Each one is worth another wait, up to a number of looks in all."""
    pods = iter(range(1000))

    async def one_more() -> None:
        await rig.answer(f"p{next(pods)}")

    rig.meanwhile = one_more
    assert len(await rig.read(1000)) == MOST_LOOKS - 1
    assert rig.looks == MOST_LOOKS


async def test_o8_many_answers_are_read_page_by_page(rig: Rig) -> None:
    """Each once, without a pause between full pages."""
    pods = [f"p{number}" for number in range(2 * PAGE + 7)]
    await asyncio.gather(*(rig.answer(pod) for pod in pods))
    assert sorted(await rig.read(len(pods))) == sorted(pods)
    assert rig.looks == 3


@pytest.mark.parametrize("others", [1, 2, PAGE - 1])
async def test_o8_no_more_answers_count_than_pods_received_the_bust(rig: Rig, others: int) -> None:
    """A holder of the fleet's key can write many: a page has more than there are pods."""
    await rig.answer(*(f"p{number}" for number in range(others + 5)))
    assert await rig.read(others) == [f"p{number}" for number in range(others)]


async def test_o8_of_too_many_selects_at_once_no_answers_are_collected(rig: Rig) -> None:
    """Up to the limit they are; one that no other pod received is not affected; later ones are collected again."""
    gate = asyncio.Event()
    rig.meanwhile = gate.wait
    reads = [asyncio.create_task(rig.answers.read("s1", 1)) for _ in range(MOST_COLLECTED)]
    await until(lambda: rig.looks == MOST_COLLECTED)
    async with asyncio.timeout(PATIENCE):
        assert await rig.answers.read("s1", 1) is None
        assert await rig.answers.read("s1", 0) == []
    await rig.answer("a")
    gate.set()
    assert [[answer.sender for answer in await read or ()] for read in reads] == [["a"]] * MOST_COLLECTED
    assert await rig.read(1) == ["a"]


async def test_o8_strangers_add_no_answer_and_hide_none(rig: Rig) -> None:
    """Junk, what is far too long, answers to another select, this pod's own, and several of one pod."""
    client, seal = rig.fleet.client, rig.fleet.seal
    for number, junk in enumerate((b"", b"junk", b"x" * 100_000, b"{" * (MAX_SIZE + 1))):
        await client.zadd(rig.key, {junk: -10 + number})
    other = encode(Answer("b", "b", 1), key=f"{rig.key}x", sign=seal.sign)
    mine = encode(Answer("me", "me", 1), key=rig.key, sign=seal.sign)
    twice = encode(Answer("a", "a", 99), key=rig.key, sign=seal.sign)
    for payload in (other, mine, twice):
        await client.zadd(rig.key, {payload: -1})
    await rig.answer("a", "c")
    assert sorted(await rig.read(3)) == ["a", "c"]


async def test_o8_a_key_of_another_type_and_one_that_is_full(rig: Rig) -> None:
    """The first is replaced; in the other there is no room for more."""
    await rig.fleet.client.set(rig.key, "junk")
    assert await rig.read(1) == []
    await rig.answer("a")
    assert await rig.read(1) == ["a"]
    await rig.fleet.client.zadd(rig.key, {f"junk-{number}": number for number in range(MOST)})
    await rig.answer("b")
    assert await rig.fleet.client.zcard(rig.key) == MOST + 1


async def test_o8_an_answer_that_is_written_twice_keeps_its_place(rig: Rig) -> None:
    """A command that is sent again moves no answer to where it was looked for already."""
    await rig.answer("a", "b", "a")
    by_score = [await rig.fleet.client.zcount(rig.key, score, score) for score in (0, 1)]
    assert (by_score, await rig.fleet.client.zcard(rig.key)) == ([1, 1], 2)


async def test_o8_what_is_too_long_to_be_an_answer_stays_in_redis(rig: Rig) -> None:
    """It counts as read, and is not sent to the pod."""
    await rig.fleet.client.zadd(rig.key, {b"x" * 1_000_000: -1, b"y" * MAX_SIZE: -2})
    assert await rig.link.run(ANSWERS, [rig.key], 0, PAGE, MAX_SIZE) == [2, [b"y" * MAX_SIZE]]
