"""The fleet's store for credentials: the same over the fake and over a real server."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest

from sidecar.core.ports import Clock
from sidecar.core.secret import Secret
from sidecar.credentials.model import CredentialKey, Credentials
from sidecar.fleet.redis.connect import connect
from sidecar.fleet.redis.credential_store import RedisCredentialStore
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.sealed_values import SealedValues
from sidecar.fleet.seal import AesSeal
from sidecar.system.clock import SystemClock, SystemRandomness
from tests.support.clock import FakeClock
from tests.support.credential_fakes import FakeShelf, FakeVault
from tests.support.journal import RecordingJournal
from tests.support.redis_server import PROGRAMS, RedisServer, RedisServers
from tests.support.waiting import AT_LEISURE

KEY = CredentialKey("ledger", "acme", "here")
Vault = RedisCredentialStore | FakeVault


class Pods:
    def __init__(
        self, clock: Clock, vaults: Sequence[Vault], prefix: str = "", server: RedisServer | None = None
    ) -> None:
        self.clock = clock
        self.a, self.b = vaults
        self.prefix = prefix
        self.server = server

    def credentials(self, secret: str) -> Credentials:
        return Credentials("me", Secret(secret), self.clock.now())

    async def put(self, secret: str) -> int:
        """Keep it as a pod does that has read it; the generation it is kept under."""
        generation = (await self.a.look(KEY)).generation
        assert generation is not None
        await self.a.keep(KEY, self.credentials(secret), secret, generation, 60)
        return generation

    async def found(self, key: CredentialKey = KEY) -> str:
        found = (await self.b.look(key)).credentials
        return found.client_secret.reveal() if found is not None else ""


@pytest.fixture(params=["fake", *PROGRAMS])
async def pods(request: pytest.FixtureRequest, redis_servers: RedisServers) -> AsyncIterator[Pods]:
    if request.param == "fake":
        clock, shelf = FakeClock(), FakeShelf()
        yield Pods(clock, [FakeVault(clock, shelf) for _ in "ab"])
        return
    system, randomness, prefix = SystemClock(), SystemRandomness(), f"{uuid4().hex[:8]}:"
    seal = AesSeal([("k1", bytes(32))], randomness)
    server = redis_servers(request.param)
    links = [
        GuardedClient(
            partial(connect, server.settings(""), timeout=AT_LEISURE),
            key_prefix=prefix,
            operation_timeout=AT_LEISURE,
            clock=system,
            randomness=randomness,
            journal=RecordingJournal(),
        )
        for _ in "ab"
    ]
    yield Pods(
        system,
        [
            RedisCredentialStore(
                SealedValues(link, seal=seal, clock=system, key_prefix=prefix, store_ttl=300, pod=pod)
            )
            for link, pod in zip(links, "ab", strict=True)
        ],
        prefix,
        server,
    )
    for link in links:
        await link.close()
    assert server.denied() == []


async def test_what_one_keeps_the_other_finds(pods: Pods) -> None:
    """Both parts, and when they were read, at the latest."""
    assert (await pods.b.look(KEY)).credentials is None
    began = pods.clock.now()
    assert await pods.put("canary-1") == 0
    found = (await pods.b.look(KEY)).credentials
    assert found is not None
    assert (found.client_id, found.client_secret.reveal()) == ("me", "canary-1")
    assert began - 1 < found.read_at <= pods.clock.now()


async def test_what_comes_from_elsewhere_is_not_found(pods: Pods) -> None:
    """Another origin, tenant or service."""
    await pods.put("canary-1")
    for other in (
        replace(KEY, origin="there"),
        replace(KEY, tenant="globex"),
        replace(KEY, tenant=""),
        replace(KEY, service="orders"),
    ):
        assert await pods.found(other) == ""


async def test_a_bust_deletes_those_and_no_others(pods: Pods) -> None:
    """Named by their fingerprint; the generation moves on either way."""
    generation = await pods.put("canary-1")
    await pods.b.bust(KEY, "canary-0", generation)
    assert await pods.found() == "canary-1"
    await pods.b.bust(KEY, "canary-1", generation)
    assert await pods.found() == ""
    assert ((await pods.a.look(KEY)).generation or 0) > generation


async def test_what_was_read_before_a_bust_is_not_kept_after_it(pods: Pods) -> None:
    """Nothing is resurrected."""
    generation = await pods.put("canary-1")
    await pods.b.bust(KEY, "canary-1", generation)
    await pods.a.keep(KEY, pods.credentials("canary-1"), "canary-1", generation, 60)
    assert await pods.found() == ""


async def test_the_same_bust_again_changes_nothing(pods: Pods) -> None:
    """One message however many learn of it."""
    await pods.put("canary-1")
    await pods.a.bust(KEY, "canary-1", 0)
    generation = await pods.put("canary-2")
    await pods.b.bust(KEY, "canary-1", 0)
    assert await pods.found() == "canary-2"
    assert (await pods.b.look(KEY)).generation == generation


async def test_what_has_no_life_left_is_not_kept(pods: Pods) -> None:
    """They could not be used."""
    await pods.a.keep(KEY, pods.credentials("canary-1"), "canary-1", 0, 0)
    assert await pods.found() == ""


@pytest.mark.parametrize("value", [b"", b"canary", b"1:k1:fp:0:canary", b"{}"])
async def test_b50_what_cannot_be_read_is_absent(pods: Pods, value: bytes) -> None:
    """And is replaced."""
    if pods.server is not None:
        pods.server.client().set(pods.prefix + KEY.text, value)
    assert await pods.found() == ""
    await pods.put("canary-1")
    assert await pods.found() == "canary-1"


async def test_b51_nothing_readable_lies_there(pods: Pods) -> None:
    """Neither id nor secret nor where they come from."""
    await pods.put("canary-1")
    if pods.server is not None:
        value = pods.server.client().get(pods.prefix + KEY.text)
        assert isinstance(value, bytes)
        assert value.startswith(b"1:k1:canary-1:0:")  # the fingerprint, which here is the name
        assert b'"me"' not in value
        assert b"canary" not in value.removeprefix(b"1:k1:canary-1:0:")
        assert b"here" not in value
