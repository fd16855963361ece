"""Sidecars that share a Redis: which one fetches, and the effect of a refusal in one of them on all."""

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256
from math import log2

import pytest

from tests import ROOT
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.environment import bare
from tests.support.fleet_of_sidecars import ENVIRON, SidecarFleet, SidecarPod
from tests.support.processes import PIPE, Load, get, watching
from tests.support.redis_server import RedisServer
from tests.support.upstream import INVALID_TOKEN, Exchange, Script, Upstream, refusal
from tests.support.waiting import PATIENCE, awake, until
from tests.support.wire_client import Client

A, B, C = "canary-token-1", "canary-token-2", "canary-token-3"
CONNECTIONS = 10
"""To each pod; so many requests may be under way when a token is found to be refused."""
BODY = sha256(b"seed").digest() * 1920
"""60 KiB."""


def refuse_after(some: int | None) -> Script:
    """Refuse when that much of the body came (None: all of it), and read on."""

    async def script(exchange: Exchange) -> None:
        await exchange.read(some)
        await exchange.send(refusal())
        await exchange.read()

    return script


async def awaits_the_lease(pod: SidecarPod) -> bool:
    """Whether it knows that another pod is fetching what it needs."""
    return await pod.metric("sidecar_leases_total", outcome="awaited") > 0


class TestSharing:
    """One token for all."""

    async def test_b04_a_store_hit_fills_memory(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """The second pod fetches nothing, and its second call sends no request."""
        await fleet.start()
        (second,) = await fleet.start()
        assert await second.get() == 200
        questions = await fleet.questions()
        for _ in range(100):
            assert await second.get() == 200
        assert await fleet.questions() == questions
        assert len(authorization_server.requests) == 1
        assert set(upstream.tokens) == {A}
        await fleet.stop()
        assert {line["token"] for line in second.events("request")} == {"memory"}

    async def test_the_log_says_that_a_token_came_from_the_store(
        self, fleet: SidecarFleet, authorization_server: AuthorizationServer
    ) -> None:
        """A call that comes before the warm-up loads it."""
        await fleet.start()
        (second,) = await fleet.start(joined=False)
        assert await second.get() == 200
        await fleet.stop()
        assert [line["token"] for line in second.events("request")] in (["store"], ["memory"])
        assert len(authorization_server.requests) == 1

    @pytest.mark.parametrize(
        ("cache", "life", "expected"), [({}, 3600, 300), ({"store_ttl": "70s"}, 3600, 70), ({}, 100, 100)]
    )
    async def test_b06_b07_a_token_stays_in_the_store_as_configured(
        self,
        fleet: SidecarFleet,
        authorization_server: AuthorizationServer,
        cache: dict[str, str],
        life: int,
        expected: int,
    ) -> None:
        """300 s by default, and never past its expiry."""
        authorization_server.reply["expires_in"] = life
        loop = asyncio.get_running_loop()
        began = loop.time()
        await fleet.start(cache=cache)
        left = await fleet.redis.pttl(await fleet.key()) / 1000
        assert expected - 1 - (loop.time() - began) < left <= expected

    async def test_b06_memory_asks_again_when_its_time_is_up(
        self, fleet: SidecarFleet, authorization_server: AuthorizationServer
    ) -> None:
        """The store has it: no fetch."""
        (pod,) = await fleet.start(cache={"memory_ttl": "50ms"})
        questions = await fleet.questions()
        async with asyncio.timeout(PATIENCE):
            while await fleet.questions() < questions + 3:
                assert await pod.get() == 200
        assert len(authorization_server.requests) == 1

    async def test_b15_a_cold_key_is_fetched_once_for_the_fleet(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """20 sidecars, 50 calls each, the moment they start."""
        authorization_server.hold = asyncio.Event()
        pods = await fleet.start(20, joined=False)
        calls = []
        for pod in pods:
            calls += [asyncio.create_task(pod.get()) for _ in range(50)]
            await awake(0.02)  # all share this event loop: the holder of the lease needs it to renew
        await authorization_server.reached(1)
        await awake(0.5)
        authorization_server.hold.set()
        async with asyncio.timeout(PATIENCE):
            assert set(await asyncio.gather(*calls)) == {200}
        assert len(authorization_server.requests) == 1
        assert set(upstream.tokens) == {A}

    async def test_b15_a_holder_of_the_lease_that_is_killed_is_replaced(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """kill -9 in the middle of its fetch costs the others one lease time."""
        authorization_server.hold = asyncio.Event()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "run", "-c", str(fleet.config)),
            cwd=ROOT,
            env=bare(ENVIRON),
            stdout=PIPE,
        )
        async with watching(child) as holder:
            await authorization_server.reached(1)
            pods = await fleet.start(3, joined=False)
            calls = [asyncio.create_task(pod.get()) for pod in pods]
            for pod in pods:
                await until(partial(awaits_the_lease, pod))
            assert len(authorization_server.requests) == 1
            holder.kill()
        authorization_server.hold.set()
        limit = asyncio.create_task(awake(4.0))
        assert await asyncio.gather(*calls) == [200] * 3
        assert not limit.done()
        limit.cancel()
        assert len(authorization_server.requests) == 2

    async def test_a_failure_is_learned_once(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """The others answer with it, and say how long to wait, without asking."""
        authorization_server.scripts.extend([json_answer(503, {})] * 20)
        await fleet.start(1)
        for pod in await fleet.start(4):
            answer = await pod.ask(get())
            assert answer.status == 503
            assert answer.values("Retry-After") == [b"1"]
        assert len(authorization_server.requests) == 1
        assert upstream.requests == []


class TestRefused:
    """A 401 in one pod."""

    async def test_b20_the_token_is_bust_everywhere_and_the_request_healed(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """The client sees 200; one bust is published; the others' next call has the successor; T gets one request."""
        pods = await fleet.start(5)
        key = await fleet.key()
        authorization_server.revoke(A)
        assert await pods[0].get() == 200
        assert upstream.tokens == [A, B]
        await until(lambda: len(fleet.busts) == 1)
        assert f"{fleet.prefix}{json.loads(fleet.busts[0])['key']}" == key
        for pod in pods[1:]:
            assert await pod.get() == 200
        assert set(upstream.tokens[2:]) == {B}
        assert len(authorization_server.requests) == 2
        assert len(fleet.busts) == 1

    async def test_b25_parallel_refusals_all_over_the_fleet_cost_one_fetch(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """100 requests are under way with the token when it dies; its successor is not deleted by the late ones."""
        pods = await fleet.start(5)
        gate = asyncio.Event()

        async def held(exchange: Exchange) -> None:
            await gate.wait()
            await upstream.default(exchange)

        upstream.scripts.extend([held] * 100)
        calls = [asyncio.create_task(pod.get()) for pod in pods for _ in range(20)]
        await upstream.reached(100)
        authorization_server.revoke(A)
        gate.set()
        assert set(await asyncio.gather(*calls)) == {200}
        assert len(authorization_server.requests) == 2
        assert (upstream.tokens.count(A), upstream.tokens.count(B)) == (100, 100)
        assert len(fleet.busts) == 1
        assert await fleet.redis.exists(await fleet.key())

    async def test_twenty_revocations_under_load_are_seen_by_no_client(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """And cost a token call each."""
        pods = await fleet.start(4)
        stop = asyncio.Event()
        statuses: list[int] = []

        async def ask_on(number: int) -> None:
            while not stop.is_set():
                statuses.append(await pods[number % 4].get())

        asking = [asyncio.create_task(ask_on(number)) for number in range(12)]
        for round_ in range(20):
            wanted = len(statuses) + 40
            await until(lambda wanted=wanted: len(statuses) >= wanted)  # type: ignore[misc]
            authorization_server.revoke(authorization_server.issued[-1])
            await until(lambda round_=round_: len(authorization_server.issued) >= round_ + 2)  # type: ignore[misc]
        stop.set()
        await asyncio.gather(*asking)
        assert set(statuses) == {200}
        assert len(authorization_server.requests) == 21
        assert len(fleet.busts) == 20

    async def test_b28_two_tokens_die_together(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """A pod with the older one does not take the newer one from the store: one 401, not two."""
        (first,) = await fleet.start()
        await fleet.redis.delete(await fleet.key())
        await fleet.start()
        assert len(authorization_server.requests) == 2
        authorization_server.revoke(A)
        authorization_server.revoke(B)
        assert await first.get() == 200
        assert upstream.tokens == [A, C]

    async def test_b26_a_failed_renewal_relays_the_refusal(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """In the other pods too, which do not ask the authorization server again."""
        pods = await fleet.start(3)
        authorization_server.revoke(A)
        authorization_server.scripts.extend([json_answer(503, {})] * 10)
        answer = await pods[0].ask(get())
        assert (answer.status, answer.values("X-Refused"), answer.body) == (401, [b"Yes"], b"refused")
        assert len(authorization_server.requests) == 2
        for pod in pods[1:]:
            assert await pod.get() in {401, 503}
        assert len(authorization_server.requests) == 2

    @pytest.mark.parametrize(
        ("challenge", "status", "busts"),
        [
            (INVALID_TOKEN, 401, 1),
            (b"", 401, 1),
            (b'Basic realm="x"', 401, 0),
            (b'Bearer error="insufficient_scope"', 401, 0),
            (b'Bearer error="insufficient_scope"', 403, 0),
        ],
    )
    async def test_b22_only_refusals_of_the_token_are_told(
        self, fleet: SidecarFleet, upstream: Upstream, challenge: bytes, status: int, busts: int
    ) -> None:
        """The table's rows as the fleet receives them."""
        (pod,) = await fleet.start()
        upstream.script(refusal(challenge, status))
        assert await pod.get() == (200 if busts else status)
        await fleet.stop()
        assert len(fleet.busts) == busts

    async def test_b24_a_body_too_large_to_send_again_still_busts(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """Its client gets the 401, the next call anywhere the successor."""
        pods = await fleet.start(2)
        authorization_server.revoke(A)
        body = bytes(200_000)
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert (await pods[0].ask(head + body, "POST")).status == 401
        assert [await pod.get() for pod in pods] == [200, 200]
        assert upstream.tokens == [A, B, B]
        assert len(authorization_server.requests) == 2

    async def test_b21_a_key_whose_fresh_tokens_are_refused_cools_down_in_every_pod(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """Two sends, never three; the others learn of it with their first refusal."""
        pods = await fleet.start(5)
        upstream.accepts = set()
        authorization_server.upstream = None  # what it issues is refused too
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await pods[0].get() == 401
        assert upstream.tokens == [A, B]
        for _ in range(10):
            assert {await pod.get() for pod in pods} == {401}
        probes = len(authorization_server.requests) - 2
        windows = int(log2(loop.time() - began + 1))  # that have ended: after 1 s, 2 s more, 4 s more
        assert 0 <= probes <= windows
        assert len(upstream.requests) == 2 + 50 + probes
        await until(lambda: len(fleet.busts) == 1 + probes)

    async def test_b21_one_pod_probes_after_a_window(
        self, fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        """500 refusals a second at two pods: a token call at once, one for both after 1 s, another 2 s later."""
        pods = await fleet.start(2)
        upstream.accepts = set()
        authorization_server.upstream = None
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with AsyncExitStack() as stack:
            loads = [Load(pod.app.address, rate=250, connections=CONNECTIONS) for pod in pods]
            for load in loads:
                await stack.enter_async_context(load)
            await until(lambda: len(authorization_server.requests) == 4)
        assert loop.time() - began >= 3.0
        answers = sum((load.answers for load in loads), Counter())
        assert set(answers) == {"401"}
        assert len(authorization_server.requests) == 4
        assert answers.total() + 3 <= len(upstream.requests) <= answers.total() + 3 * 2 * CONNECTIONS
        assert answers.total() > 3 * 2 * CONNECTIONS  # else each request might have been sent twice
        upstream.accepts = None
        assert {await pod.get() for pod in pods} == {200}

    @pytest.mark.parametrize("after", [0, 1, 30_000, None], ids=["before", "begun", "half", "end"])
    @pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
    async def test_b23_the_second_send_has_the_successor_and_the_same_body(
        self,
        fleet: SidecarFleet,
        upstream: Upstream,
        authorization_server: AuthorizationServer,
        after: int | None,
        *,
        chunked: bool,
    ) -> None:
        """Refused at any stage of the upload, which the upstream reads to its end; the other pod has the successor."""
        one, other = await fleet.start(2)
        upstream.script(refuse_after(after))
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(BODY)
        pieces = [BODY[:30_000], BODY[30_000:]]
        if chunked:
            pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
        async with await Client.connect(one.app.address) as client:
            await client.send(b"PUT /a HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % framing + pieces[0])
            await upstream.reached(1)
            await client.send(b"".join(pieces[1:]))
            assert (await client.answer()).status == 200
        assert await other.get() == 200
        first, second, _ = upstream.requests
        assert sha256(second.body).digest() == sha256(BODY).digest()
        assert first.head.raw.replace(A.encode(), B.encode()) == second.head.raw
        assert upstream.tokens == [A, B, B]
        assert len(authorization_server.requests) == 2
        await until(lambda: len(fleet.busts) == 1)

    async def test_b27_without_redis_a_pod_heals_itself(
        self,
        frail: SidecarFleet,
        own_redis: RedisServer,
        upstream: Upstream,
        authorization_server: AuthorizationServer,
    ) -> None:
        """R is killed, the upstream refuses once: 200."""
        (pod,) = await frail.start()
        own_redis.kill()
        authorization_server.revoke(A)
        assert await pod.get() == 200
        assert upstream.tokens == [A, B]

    async def test_b05_redis_may_be_absent_and_come_later(
        self, frail: SidecarFleet, own_redis: RedisServer, authorization_server: AuthorizationServer
    ) -> None:
        """Pods serve, each with a token of its own; once it is there the next ones share theirs."""
        own_redis.kill()
        pods = await frail.start(2, joined=False)
        assert [await pod.get() for pod in pods] == [200, 200]
        assert len(authorization_server.requests) == 2
        own_redis.start()
        await asyncio.gather(*(pod.joined() for pod in pods))
        await frail.start()
        (fourth,) = await frail.start()
        assert await fourth.get() == 200
        assert len(authorization_server.requests) == 3
