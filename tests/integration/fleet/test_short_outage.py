"""After a short outage of Redis the pods agree again within seconds, so that a revocation costs the fleet one fetch."""

import asyncio

from tests.support.fleet_of_members import MemberFleet, request
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

LEDGER = request("ledger", tenant="acme")
NEVER = 3600.0
"""Seconds that memory does without asking, longer than any test."""


async def test_i7_after_a_short_outage_a_revocation_costs_the_fleet_one_fetch(own_redis: RedisServer) -> None:
    """Redis stops, a token is revoked and each pod fetches for itself; when Redis is back they agree again, soon."""
    async with MemberFleet(own_redis) as fleet:
        pods = [await fleet.pod(operation_timeout=1.0) for _ in range(4)]
        for pod in pods:
            pod.cache.set_source(pod.member.source(pod.fetches), lambda request: request, memory_ttl=NEVER)
            await pod.token(LEDGER)
        own_redis.pause()
        await asyncio.gather(*(pod.refuse(LEDGER) for pod in pods))
        await until(lambda: not any(pod.stores for pod in pods))
        assert len({await pod.token(LEDGER) for pod in pods}) == 4
        own_redis.resume()

        async def agree() -> bool:
            return all(pod.up for pod in pods) and len({await pod.token(LEDGER) for pod in pods}) == 1

        await until(agree)
        fetched = len(fleet.server.fetched)
        await pods[0].refuse(LEDGER)
        await until(lambda: not any(pod.holds(LEDGER) for pod in pods[1:]))
        assert len({await pod.token(LEDGER) for pod in pods}) == 1
        assert len(fleet.server.fetched) == fetched + 1
