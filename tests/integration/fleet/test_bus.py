"""The bus over a real Redis: which pods get what, which messages count, and their effects."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from sys import gettrace
from time import sleep, thread_time, time

import pytest
from redis.asyncio import Redis

from sidecar.cache.refused_tokens import Bust, BustFailure
from sidecar.cache.revocations import MAX_REMEMBERED
from sidecar.core.labels import parse_selector
from sidecar.fleet.messages import MAX_SIZE, Revocation, encode
from sidecar.fleet.redis.bus import IN_A_ROW
from sidecar.fleet.redis.revocation_log import SLACK
from sidecar.fleet.redis.subscription import LAST_LOOK, SILENCE
from sidecar.fleet.settings import Dialect, ForeignChannel
from sidecar.telemetry.fleet_events import BustApplied, SelectSent, StoreDown, StoreUp
from tests.support.fleet_of_members import Cable, MemberFleet, request
from tests.support.redis_server import USER, Cluster, RedisServer
from tests.support.waiting import PATIENCE, awake, until

LEDGER = request("ledger", tenant="acme")
PAYMENTS = request("payments", tenant="acme")
FLOOD = "for _ = 1, tonumber(ARGV[3]) do redis.call('PUBLISH', ARGV[1], ARGV[2]) end"
ROUNDS, A_ROUND = 10, 10_000
HASHES = 30
"""How many hashes a forged message may cost, some 12 µs; 15 are usual."""
TRACED = 4
"""How many times as much Python may take while coverage counts its lines."""


@pytest.fixture
async def fleet(each_redis: RedisServer) -> AsyncIterator[MemberFleet]:
    async with MemberFleet(each_redis) as fleet:
        yield fleet


@pytest.fixture
async def fleet_of_one_server(each_own_redis: RedisServer) -> AsyncIterator[MemberFleet]:
    """On a server the test may stop."""
    async with MemberFleet(each_own_redis) as fleet:
        yield fleet


def millis() -> int:
    return int(time() * 1000)


async def test_b40_a_bust_reaches_every_pod(fleet: MemberFleet) -> None:
    """A token refused in one pod is gone from all, and they share its one successor."""
    pods = [await fleet.pod() for _ in range(5)]
    assert {await pod.token(LEDGER) for pod in pods} == {"canary-token-1"}
    await pods[0].refuse(LEDGER)
    await until(lambda: not any(pod.holds(LEDGER) for pod in pods[1:]))
    assert {await pod.token(LEDGER) for pod in pods} == {"canary-token-2"}
    assert fleet.server.fetched == ["ledger", "ledger"]


async def test_b41_one_message_a_bust_and_nobody_answers_it(fleet: MemberFleet) -> None:
    """Five pods evict and send nothing; the sender receives its own message and does nothing."""
    pods = [await fleet.pod() for _ in range(5)]
    for pod in pods:
        await pod.token(LEDGER)
    async with fleet.messages() as messages:
        await pods[0].refuse(LEDGER)
        await fleet.heard()
        await fleet.heard()
    assert [json.loads(message)["kind"] for message in messages] == ["token"]
    assert [pod.evicted for pod in pods] == [0, 1, 1, 1, 1]
    assert pods[0].holds(LEDGER)


async def test_b41_a_bust_evicts_that_token_and_no_other(fleet: MemberFleet) -> None:
    """A pod with the successor, or with other tokens, keeps them; a second message changes nothing."""
    one, other = await fleet.pod(), await fleet.pod()
    for pod in (one, other):
        await pod.token(LEDGER)
        await pod.token(PAYMENTS)
    async with fleet.messages() as messages:
        await one.refuse(LEDGER)
        await until(lambda: not other.holds(LEDGER))
        await other.token(LEDGER)
        await until(lambda: len(messages) == 1)
    await fleet.publish(fleet.channel, messages[0])
    await fleet.heard()
    assert one.holds(LEDGER)
    assert other.holds(LEDGER)
    assert other.holds(PAYMENTS)
    assert other.evicted == 1
    assert other.rejected[0] == "replayed"


async def test_b42_messages_count_only_on_their_own_channel(fleet: MemberFleet) -> None:
    """A valid bust on the fills' channel, or on another program's, is counted and evicts nothing."""
    pod = await fleet.pod(ForeignChannel(f"{fleet.prefix}gateway", "mcp-gateway"))
    token = await pod.cache.token(LEDGER)
    bust = encode(
        Bust(LEDGER.key, token.fingerprint, millis()),
        channel=fleet.channel,
        sender="other",
        at=millis(),
        sign=fleet.seal.sign,
    )
    await fleet.publish(f"{fleet.prefix}m2m:fill", bust)
    await fleet.publish(f"{fleet.prefix}gateway", bust)
    await until(lambda: len(pod.rejected) == 2)
    assert pod.rejected == ["channel", "unknown"]
    assert pod.holds(LEDGER)
    await fleet.publish(fleet.channel, bust)
    await until(lambda: not pod.holds(LEDGER))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda message: {**message, "mac": ""}, "unsigned"),
        (lambda message: {**message, "mac": "0" * 64}, "forged"),
        (lambda message: {**message, "from": "evil"}, "forged"),
        (lambda message: {**message, "gen": 2**52}, "forged"),
        (lambda message: {**message, "kind": "select", "labels": {}}, "forged"),
    ],
)
async def test_b43_forged_and_altered_messages_are_refused(
    fleet: MemberFleet, spoil: Callable[[dict[str, object]], object], reason: str
) -> None:
    """Counted by reason; the token stays."""
    pod = await fleet.pod()
    token = await pod.cache.token(LEDGER)
    message = encode(
        Bust(LEDGER.key, token.fingerprint, millis()),
        channel=fleet.channel,
        sender="other",
        at=millis(),
        sign=fleet.seal.sign,
    )
    await fleet.publish(fleet.channel, json.dumps(spoil(json.loads(message))).encode())
    await until(lambda: bool(pod.rejected))
    assert pod.rejected == [reason]
    assert pod.holds(LEDGER)


async def test_b43_an_old_bust_does_not_evict_a_token_fetched_since(fleet: MemberFleet) -> None:
    """Recorded and sent again to a pod that never received it: the token of a later generation stays."""
    pod = await fleet.pod()
    async with fleet.messages() as messages:
        await pod.token(LEDGER)
        await pod.refuse(LEDGER)
        await until(lambda: len(messages) == 1)
    newcomer = await fleet.pod()
    await newcomer.token(LEDGER)
    await fleet.publish(fleet.channel, messages[0])
    await fleet.heard()
    assert newcomer.holds(LEDGER)
    assert newcomer.evicted == 0


async def test_b43_a_recorded_select_is_refused(fleet: MemberFleet) -> None:
    """Within five minutes as a replay, after that as old."""
    one, other = await fleet.pod(), await fleet.pod()
    async with fleet.messages() as messages:
        await one.bust(service="ledger")
        await until(lambda: len(messages) == 1)
    await other.token(LEDGER)
    await fleet.publish(fleet.channel, messages[0])
    old = Revocation(parse_selector({}), millis() - 301_000, "x")
    await fleet.publish(
        fleet.channel, encode(old, channel=fleet.channel, sender="x", at=old.at, sign=fleet.seal.sign)
    )
    await until(lambda: len(other.rejected) == 2)
    assert other.rejected == ["replayed", "old"]
    assert other.holds(LEDGER)


async def test_b44_hostile_payloads_change_nothing(fleet: MemberFleet) -> None:
    """Rubbish on every channel, a megabyte of it too: the pod counts it, keeps its tokens and receives on."""
    pod = await fleet.pod(ForeignChannel(f"{fleet.prefix}gateway", "mcp-gateway"))
    await pod.token(LEDGER)
    rubbish = [b"", b"{}", b"\xff\xfe", b"user:", b"::::", b"[" * 5000, b"null", b"x" * 2**20, b'{"v":1}']
    rubbish += [os.urandom(length) for length in range(50)]
    for payload in rubbish:
        for channel in (fleet.channel, f"{fleet.prefix}m2m:fill", f"{fleet.prefix}gateway"):
            await fleet.publish(channel, payload)
    await until(lambda: len(pod.rejected) == 3 * len(rubbish))
    assert pod.holds(LEDGER)
    assert pod.journal.named("failed") == []
    assert set(pod.rejected) <= {"malformed", "unsigned", "too_large", "unknown", "channel"}
    assert MAX_SIZE < 2**20
    other = await fleet.pod()
    await other.token(LEDGER)
    await other.refuse(LEDGER)
    await until(lambda: not pod.holds(LEDGER))


async def test_b45_remembered_revocations_are_capped_and_expire(fleet: MemberFleet) -> None:
    """In Redis at most 100,000, with an end; in memory no more, whichever way they came."""
    pod = await fleet.pod()
    key = f"{fleet.prefix}m2m:revoked"
    now = millis()
    for start in range(0, 2 * MAX_REMEMBERED, 10_000):
        members = {
            f"filler-{number}": now - 2 * MAX_REMEMBERED + number for number in range(start, start + 10_000)
        }
        await fleet.client.zadd(key, members)
    await pod.bust(user="alice")
    assert await fleet.client.zcard(key) == MAX_REMEMBERED
    assert 0 < await fleet.client.pttl(key) <= 3_600_000


async def test_b45_a_flood_keeps_nobody_waiting(fleet: MemberFleet) -> None:
    """Ten thousand revocations at once: from one turn of the loop to the next, a pod applies few of them."""
    pod = await fleet.pod(ForeignChannel(f"{fleet.prefix}gateway", "mcp-gateway"))
    pipeline = fleet.client.pipeline(transaction=False)
    for number in range(10_000):
        pipeline.publish(f"{fleet.prefix}gateway", f"revoke:{number:032x}")
    publishing = asyncio.create_task(pipeline.execute())
    applied = most = 0
    while applied < 10_000:
        await asyncio.sleep(0)
        most = max(most, len(pod.revocations) - applied)
        applied = len(pod.revocations)
    await publishing
    assert most < 2 * IN_A_ROW  # the last ones of one read, and the first ones of the next


async def test_s11_a_flood_of_forged_messages_costs_a_pod_little(fleet: MemberFleet) -> None:
    """Read from Redis, judged and counted, each costs as much CPU as a few hashes of it; all of them make one event."""
    pod = await fleet.pod()
    keep = (
        b'{"v":1,"kind":"token","key":"m2m:x:token:0f","fp":"a1b2c3d4e5f6","gen":1,"from":"x","at":1,"mac":"'
    )
    forged = keep + b"0" * 64 + b'"}'
    costs, hashes = [], []
    for number in range(1, ROUNDS + 1):
        before = thread_time()
        await fleet.client.eval(FLOOD, 0, fleet.channel, forged, A_ROUND)
        await until(lambda: pod.member.readings().rejected["forged"] == number * A_ROUND)  # noqa: B023
        costs.append(thread_time() - before)
        before = thread_time()
        for _ in range(A_ROUND):
            sha256(forged).hexdigest()
        hashes.append(thread_time() - before)
    most = HASHES * (TRACED if gettrace() is not None else 1)
    assert min(costs) < most * min(hashes), f"{min(costs) / min(hashes):.1f} hashes"
    assert len(pod.journal.named("bust_rejected")) == 1


async def test_b46_a_missed_bust_cannot_keep_a_dead_token(fleet: MemberFleet) -> None:
    """Cut off while another pod busts: after reconnecting the refused token is dropped, the others stay."""
    async with Cable(fleet.redis.port) as cable:
        one, other = await fleet.pod(), await fleet.pod(port=cable.port)
        for pod in (one, other):
            await pod.token(LEDGER)
            await pod.token(PAYMENTS)
        cable.cut()
        await until(lambda: not other.hears)
        await one.refuse(LEDGER)
        assert other.holds(LEDGER)
        cable.mend()
        await until(lambda: other.up)
        assert not other.holds(LEDGER)
        assert other.holds(PAYMENTS)
        assert await other.token(LEDGER) == "canary-token-3"
        assert fleet.server.fetched == ["ledger", "payments", "ledger"]
        assert other.told(BustApplied) == [BustApplied("gap", "", "", 1)]


async def test_b46_a_missed_revocation_cannot_keep_a_dead_token(fleet: MemberFleet) -> None:
    """What was selected while a pod was away it learns when it is back; so does one that starts later."""
    alice, bob = fleet.server.labelled(user="alice"), fleet.server.labelled(user="bob")
    async with Cable(fleet.redis.port) as cable:
        one, other = await fleet.pod(), await fleet.pod(port=cable.port)
        for wanted in (alice, bob):
            await other.token(wanted)
        cable.cut()
        await until(lambda: not other.hears)
        await one.bust(user="alice")
        cable.mend()
        await until(lambda: other.up)
        assert not other.holds(alice)
        assert other.holds(bob)
        newcomer = await fleet.pod()
        assert await newcomer.token(alice) == "canary-token-3"
        assert await newcomer.token(bob) == "canary-token-2"


async def test_b46_late_messages_do_not_hide_the_missed_ones(fleet_of_one_server: MemberFleet) -> None:
    """The last words of a connection arrive long after it was given up by Redis: what was said since is looked up."""
    fleet = fleet_of_one_server
    async with Cable(fleet.redis.port) as cable:
        one, other = await fleet.pod(), await fleet.pod(port=cable.port)
        for _ in range(5):
            alice = fleet.server.labelled(user="alice")
            await other.token(alice)
            cable.hush()
            await fleet.publish(fleet.channel, b"late")
            await fleet.client.client_kill_filter(_type="pubsub")
            await until(lambda: not one.hears)
            await one.bust(user="alice")
            await asyncio.sleep(1.5 * SLACK)
            in_time = other.hears  # else it has found the link silent, and the late message goes nowhere
            cable.mend()
            await until(lambda: not other.hears)
            await until(lambda: one.up and other.up)
            assert not other.holds(alice)
            if in_time:
                break
        assert other.rejected == ["malformed"]


async def test_b46_who_missed_more_than_is_remembered_starts_anew(fleet: MemberFleet) -> None:
    """If revocations may have been dropped for lack of room, everything fetched before them counts as revoked."""
    alice = fleet.server.labelled(user="alice")
    async with Cable(fleet.redis.port) as cable:
        one, other = await fleet.pod(), await fleet.pod(port=cable.port)
        await other.token(alice)
        cable.cut()
        await until(lambda: not other.hears)
        await one.bust(user="alice")
        later = millis() + 1000
        for start in range(0, MAX_REMEMBERED, 10_000):
            members = {f"later-{number}": later for number in range(start, start + 10_000)}
            await fleet.client.zadd(f"{fleet.prefix}m2m:revoked", members)
        await one.bust(user="bob")
        cable.mend()
        await until(lambda: other.up)
        assert not other.holds(alice)
        assert await other.token(alice) == "canary-token-2"


async def test_b46_a_flushed_redis_cannot_keep_a_dead_token(fleet_of_one_server: MemberFleet) -> None:
    """The generations are lost with everything else; any difference counts, not only a higher one."""
    fleet = fleet_of_one_server
    async with Cable(fleet.redis.port) as cable:
        one, other = await fleet.pod(), await fleet.pod(port=cable.port)
        await one.token(LEDGER)
        await one.refuse(LEDGER)
        await other.token(LEDGER)
        cable.cut()
        await until(lambda: not other.hears)
        await one.refuse(LEDGER)
        await fleet.client.flushall()
        cable.mend()
        await until(lambda: other.up)
        assert not other.holds(LEDGER)


async def test_who_stops_just_as_the_link_breaks_stops(fleet: MemberFleet) -> None:
    """In whichever turn of the event loop the two meet."""
    async with Cable(fleet.redis.port) as cable:
        for turns in range(20):
            pod = await fleet.pod(port=cable.port)
            cable.cut()
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE) as patience:
                await pod.close()
            assert not patience.expired()
            cable.mend()


async def test_who_stops_just_as_it_begins_stops(fleet: MemberFleet) -> None:
    """In whichever turn of connecting, subscribing and the first ping."""
    for turns in range(60):
        pod = await fleet.pod(up=False)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE) as patience:
            await pod.close()
        assert not patience.expired()


async def test_b47_the_subscriber_comes_back_for_ever(fleet_of_one_server: MemberFleet) -> None:
    """Redis is killed and started again, three times: each time busts cross over again."""
    fleet = fleet_of_one_server
    one, other = await fleet.pod(), await fleet.pod()
    for _ in range(3):
        fleet.redis.kill()
        await until(lambda: not one.hears and not other.hears)
        fleet.redis.start()
        await until(lambda: one.up and other.up)
        for pod in (one, other):
            await pod.token(LEDGER)
        await one.refuse(LEDGER)
        await until(lambda: not other.holds(LEDGER))


async def test_b47_redis_may_come_later(fleet_of_one_server: MemberFleet) -> None:
    """Unavailable at the start: the pod works without it, and receives from the others once there is a Redis."""
    fleet = fleet_of_one_server
    fleet.redis.kill()
    one, other = await fleet.pod(up=False), await fleet.pod(up=False)
    assert await one.token(LEDGER) == "canary-token-1"
    fleet.redis.start()
    await until(lambda: one.up and other.up)
    assert await one.bust(tenant="acme") == 2
    assert not one.holds(LEDGER)


async def test_b47_a_silent_link_is_noticed_within_four_seconds(fleet_of_one_server: MemberFleet) -> None:
    """A stopped server keeps its connections; the pod does not wait for it."""
    fleet = fleet_of_one_server
    pod = await fleet.pod()
    fleet.redis.pause()
    limit = asyncio.create_task(awake(4.0))
    try:
        await until(lambda: not pod.hears)
        assert not limit.done()
    finally:
        fleet.redis.resume()
        limit.cancel()
    await until(lambda: pod.up)


async def test_who_stood_still_does_not_take_it_for_the_servers_silence(
    fleet_of_one_server: MemberFleet,
) -> None:
    """A container may be frozen: awake again it asks first, and keeps its connection."""
    fleet = fleet_of_one_server
    pod = await fleet.pod()

    async def keeps_its_connection() -> bool:
        await until(lambda: pod.up)
        (before,) = await fleet.client.client_list(_type="pubsub")
        sleep(SILENCE + LAST_LOOK)  # noqa: ASYNC251  the whole process, as by SIGSTOP
        await awake(3 * LAST_LOOK)
        await until(lambda: pod.up)
        (after,) = await fleet.client.client_list(_type="pubsub")
        return bool(after["id"] == before["id"])

    for _ in range(5):  # a slow server answers late; a pod that does not send first never keeps it
        if await keeps_its_connection():
            return
    pytest.fail("each time it connected anew")


@pytest.mark.parametrize("outage", ["killed", "stopped"])
async def test_b49_a_pod_that_asks_nothing_tells_of_an_outage_too(
    fleet_of_one_server: MemberFleet, outage: str
) -> None:
    """Once when it begins and once when it is over, and what it says of itself agrees."""
    redis = fleet_of_one_server.redis
    pod = await fleet_of_one_server.pod(operation_timeout=0.4)
    redis.kill() if outage == "killed" else redis.pause()
    await until(lambda: bool(pod.told(StoreDown)))
    assert (pod.stores, pod.hears) == (False, False)
    await until(lambda: pod.unanswered("probe") >= 5)
    redis.start() if outage == "killed" else redis.resume()
    await until(lambda: bool(pod.told(StoreUp)))
    assert (pod.stores, pod.hears) == (True, True)
    assert (len(pod.told(StoreDown)), len(pod.told(StoreUp))) == (1, 1)


async def test_b49_a_connection_that_ends_is_no_outage(fleet_of_one_server: MemberFleet) -> None:
    """The next one is opened at once, and no event is emitted."""
    pod = await fleet_of_one_server.pod()
    for kind in ("pubsub", "normal"):
        await fleet_of_one_server.client.client_kill_filter(_type=kind)
    await until(lambda: not pod.hears)
    await until(lambda: pod.up)
    assert pod.told(StoreDown) == []


async def test_b49_to_be_deaf_is_an_outage_too(fleet_of_one_server: MemberFleet) -> None:
    """Redis answers, but no longer delivers messages: reported once, and once when it does again."""
    client = fleet_of_one_server.client
    pod = await fleet_of_one_server.pod()
    await client.acl_setuser(USER, enabled=True, reset_channels=True)
    await until(lambda: bool(pod.told(StoreDown)))
    assert (pod.stores, pod.hears) == (True, False)
    await client.acl_setuser(USER, enabled=True, channels=["*"])
    await until(lambda: bool(pod.told(StoreUp)))
    assert fleet_of_one_server.redis.denied() != []
    assert (pod.stores, pod.hears) == (True, True)
    (down,) = pod.told(StoreDown)
    assert "no permissions to access one of the channels" in down.error


async def test_b47_a_quiet_link_stays(fleet: MemberFleet) -> None:
    """Nothing to say is not silence: the server answers every ping."""
    pod = await fleet.pod()
    silence = asyncio.create_task(awake(SILENCE + 0.5))
    while not silence.done():
        assert pod.hears
        await asyncio.sleep(0.1)


async def test_b48_a_fetch_begun_before_a_bust_does_not_bring_its_token_back(fleet: MemberFleet) -> None:
    """The token of a slow fetch that a bust overtook is neither stored nor kept, in any pod."""
    one, other = await fleet.pod(), await fleet.pod()
    first = await one.cache.token(LEDGER)
    await fleet.heard()
    fleet.server.open.clear()
    await fleet.client.delete(fleet.prefix + LEDGER.key)
    slow = asyncio.create_task(other.token(LEDGER))
    await until(lambda: len(fleet.server.fetched) == 2)
    renewing = asyncio.create_task(one.cache.renew(LEDGER, first, one.clock.now()))
    await until(lambda: bool(one.journal.named("bust_sent")))
    fleet.server.open.set()
    renewed = (await renewing).secret.reveal()
    assert await slow == renewed != "canary-token-2"
    assert [await pod.token(LEDGER) for pod in (one, other)] == [renewed, renewed]


async def test_b48_a_fetch_begun_before_a_select_does_not_bring_its_token_back(fleet: MemberFleet) -> None:
    """It is not returned: the caller waits for one that was fetched since."""
    pod = await fleet.pod()
    fleet.server.open.clear()
    slow = asyncio.create_task(pod.token(LEDGER))
    await until(lambda: len(fleet.server.fetched) == 1)
    await pod.bust(service="ledger")
    fleet.server.open.set()
    assert await slow == await pod.token(LEDGER) == "canary-token-2"


@pytest.mark.parametrize(
    "labels",
    [
        {"tenant": "acme"},
        {"service": "r0"},
        {"user": "alice"},
        {"jti": "id:1"},
        {"team": "red"},
        {"role": "admin"},
    ],
    ids=lambda labels: next(iter(labels)),
)
async def test_b52_a_select_busts_by_label(fleet: MemberFleet, labels: dict[str, object]) -> None:
    """In every pod, in memory and in the store, what carries the label goes and nothing else."""
    one, other = await fleet.pod(), await fleet.pod()
    meant = fleet.server.labelled(user="alice", jti="id:1", team="red", role="admin", tenant="acme")
    spared = fleet.server.labelled(user="alice2", jti="id", team="redder", role="adm", tenant="acme2")
    for pod in (one, other):
        await pod.token(meant)
        await pod.token(spared)
    assert await one.bust(**labels) == 2
    await until(lambda: not other.holds(meant))
    assert not one.holds(meant)
    assert one.holds(spared)
    assert other.holds(spared)
    assert {await pod.token(meant) for pod in (one, other)} == {"canary-token-3"}
    assert len(one.told(SelectSent)) == 1
    assert [(event.kind, event.evicted) for event in other.told(BustApplied)] == [("select", 1)]


async def test_b52_a_select_leaves_what_was_fetched_since(fleet: MemberFleet) -> None:
    """A message that took a minute to come: its moment decides, not its arrival."""
    pod = await fleet.pod()
    await pod.token(LEDGER)
    late = Revocation(parse_selector({}), millis() - 60_000, "late")
    message = encode(late, channel=fleet.channel, sender="other", at=late.at, sign=fleet.seal.sign)
    await fleet.publish(fleet.channel, message)
    await fleet.heard()
    assert pod.holds(LEDGER)
    assert "old" not in pod.rejected


async def test_b52_a_select_of_all_busts_everything(fleet: MemberFleet) -> None:
    """One message for any number of tokens."""
    one, other = await fleet.pod(), await fleet.pod()
    wanted = [request(f"service-{number}") for number in range(20)]
    for each in wanted:
        await other.token(each)
    async with fleet.messages() as messages:
        await one.bust()
        await until(lambda: not any(other.holds(each) for each in wanted))
        assert len(messages) == 1
    assert other.evicted == 20


async def test_b52_in_a_cluster_everybody_hears_and_is_counted(cluster: Cluster) -> None:
    """Pods listen at nodes of their own choice; a select published at one reaches and counts them all."""
    async with MemberFleet(cluster.nodes[0], cluster=True) as fleet:
        pods = [await fleet.pod() for _ in range(5)]
        for pod in pods:
            await pod.token(LEDGER)
        listeners = [await listening(fleet, node) for node in cluster.nodes]
        assert sum(listeners) == 5
        assert await pods[0].bust(service="ledger") == 5
        await until(lambda: not any(pod.holds(LEDGER) for pod in pods))


async def test_b47_when_its_node_of_a_cluster_dies_a_pod_listens_at_another(cluster: Cluster) -> None:
    """Whichever it is, and although what is left of the Cluster answers no question any more."""
    async with MemberFleet(cluster.nodes[0], cluster=True) as fleet:
        await fleet.pod()
        dead = await node_of_the_pod(fleet, cluster)
        dead.kill()
        others = [node for node in cluster.nodes if node is not dead]
        async with asyncio.timeout(PATIENCE):
            while any(cluster.answers(node) for node in others):
                await asyncio.sleep(0.02)
            while not [node for node in others if await listening(fleet, node)]:
                await asyncio.sleep(0.02)


async def test_b47_what_a_dead_node_did_not_hold_crosses_over_as_before(cluster: Cluster) -> None:
    """If a Cluster may continue with its remaining nodes, a pod catches up there and receives the next bust."""
    dead = cluster.nodes[0]
    for node in cluster.nodes:
        with node.client() as client:
            client.config_set("cluster-require-full-coverage", "no")
    async with fleet_without(dead, cluster) as fleet:
        pods = [await fleet.pod(), await fleet.pod()]
        while not await listening(fleet, dead):
            pods.append(await fleet.pod())
        dead.kill()
        await until(lambda: not all(pod.hears for pod in pods))
        await until(lambda: all(pod.up for pod in pods))
        for pod in pods:
            await pod.token(LEDGER)
        await pods[0].refuse(LEDGER)
        await until(lambda: not any(pod.holds(LEDGER) for pod in pods[1:]))
        assert await pods[0].bust(tenant="acme") == len(pods)


def fleet_without(node: RedisServer, cluster: Cluster) -> MemberFleet:
    """One whose prefix puts what it needs on the other nodes."""
    while True:
        fleet = MemberFleet(cluster.nodes[0], cluster=True)
        keys = (LEDGER.key, "m2m:revoked", "m2m:probe")
        if node not in {cluster.node_of(fleet.prefix + key) for key in keys}:
            return fleet


async def node_of_the_pod(fleet: MemberFleet, cluster: Cluster) -> RedisServer:
    (node,) = [node for node in cluster.nodes if await listening(fleet, node)]
    return node


async def listening(fleet: MemberFleet, node: RedisServer) -> int:
    """How many subscribers this node counts."""
    async with Redis(port=node.port) as client:
        ((_, number),) = await client.pubsub_numsub(fleet.channel)
        return int(number)


async def test_b52_without_redis_a_select_holds_in_this_pod(fleet_of_one_server: MemberFleet) -> None:
    """And the caller gets the result that no other pod received it."""
    pod = await fleet_of_one_server.pod()
    await pod.token(LEDGER)
    fleet_of_one_server.redis.kill()
    assert isinstance(await pod.bust(tenant="acme"), BustFailure)
    assert pod.told(SelectSent) == []
    assert not pod.holds(LEDGER)


ROTATED = json.dumps(
    {
        "event_type": "tenant.credentials.rotated",
        "tenant_id": "acme",
        "payload": {"new_secret_path": "tenants/production/acme/app/m2m/r0/credentials"},
    }
)


@pytest.mark.parametrize(
    ("dialect", "message", "gone"),
    [
        ("mcp-gateway", "user:alice@x", {0}),
        ("mcp-gateway", "revoke:id:1", {0}),
        ("mcp-gateway", "team:red", {0}),
        ("mcp-gateway", "team:alice@x", {0}),
        ("mcp-gateway", "teams:alice@x", {0}),
        ("mcp-gateway", "teams:red", set()),
        ("mcp-gateway", "team_roles:red", {0}),
        ("mcp-gateway", "membership:alice@x", {0}),
        ("mcp-gateway", "role:admin", {0}),
        ("mcp-gateway", "role:alice@x:red", {0}),
        ("mcp-gateway", "role:alice@x:blue", set()),
        ("mcp-gateway", "user:", set()),
        ("lerian", ROTATED, {0}),
        ("lerian", ROTATED.replace("/m2m/r0/", "/db/"), {0, 2}),
        ("lerian", ROTATED.replace("rotated", "created"), set()),
    ],
)
async def test_b53_another_programs_messages_bust(
    fleet: MemberFleet, dialect: Dialect, message: str, gone: set[int]
) -> None:
    """Published on its own channel, each drops the right tokens and no others."""
    channel = f"{fleet.prefix}tenant-events:prod:"
    pod = await fleet.pod(ForeignChannel(channel, dialect))
    wanted = [
        fleet.server.labelled(user="alice@x", jti="id:1", team="red", role="admin", tenant="acme"),
        fleet.server.labelled(user="bob@x", jti="id:2", team="blue", role="reader", tenant="globex"),
        fleet.server.labelled(user="carol@x", tenant="acme"),
    ]
    for each in wanted:
        await pod.token(each)
    await fleet.publish(channel, message.encode())
    await fleet.heard()
    assert {place for place, each in enumerate(wanted) if not pod.holds(each)} == gone


async def test_b53_another_programs_message_reaches_who_was_away(fleet: MemberFleet) -> None:
    """Every pod that dropped a token because of it records it, once for all that start or reconnect later."""
    channel = f"{fleet.prefix}gateway"
    alice = fleet.server.labelled(user="alice")
    pods = [await fleet.pod(ForeignChannel(channel, "mcp-gateway")) for _ in range(3)]
    for pod in pods:
        await pod.token(alice)
    await fleet.publish(channel, b"user:alice")
    await until(lambda: not any(pod.holds(alice) for pod in pods))
    async with asyncio.timeout(PATIENCE):
        while not await fleet.client.zcard(f"{fleet.prefix}m2m:revoked"):
            await asyncio.sleep(0.005)
    assert await (await fleet.pod()).token(alice) == "canary-token-2"
    assert await fleet.client.zcard(f"{fleet.prefix}m2m:revoked") <= 2


async def test_without_keys_busts_cross_over_unsigned(each_redis: RedisServer) -> None:
    """`encryption: none`: the pods behave the same; a signed message comes from a fleet of another kind."""
    async with MemberFleet(each_redis, sealed=False) as fleet:
        one, other = await fleet.pod(), await fleet.pod()
        for pod in (one, other):
            await pod.token(LEDGER)
        async with fleet.messages() as messages:
            await one.refuse(LEDGER)
            await until(lambda: not other.holds(LEDGER))
        assert [json.loads(message)["mac"] for message in messages] == [""]
        assert await other.token(LEDGER) == "canary-token-2"
