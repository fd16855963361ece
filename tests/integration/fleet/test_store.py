"""The store against real servers: its content, its clients, and the effect of a server that does not answer."""

import asyncio
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import trustme
from redis.crc import key_slot

from sidecar.cache.lease import Claim, Lease
from sidecar.core.backoff import Setback
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tls import Tls
from sidecar.fleet.breaker import LIMIT as FAILURES
from sidecar.fleet.redis.guarded_client import MAX_QUESTIONS
from sidecar.fleet.redis.scripts import keys_of
from sidecar.fleet.settings import RedisSettings
from tests.support.redis_server import RedisServer
from tests.support.store_pod import CANARY, REQUEST, pod
from tests.support.upstream import FaultProxy
from tests.support.waiting import AT_LEISURE, PATIENCE, until

LIMIT = RedisSettings().operation_timeout
"""Seconds an operation may take where silence is the point."""


def settings_of(
    server: RedisServer, key_prefix: str = "", *, operation_timeout: float = AT_LEISURE
) -> RedisSettings:
    return RedisSettings(
        hosts=(("127.0.0.1", server.port),),
        key_prefix=key_prefix or f"{uuid4().hex}:",
        operation_timeout=operation_timeout,
    )


@pytest.fixture
def settings(redis_server: RedisServer) -> RedisSettings:
    return settings_of(redis_server)


@pytest.fixture
def key(settings: RedisSettings) -> str:
    return settings.key_prefix + REQUEST.key


class TestWhatLiesThere:
    """Names, lives and contents of the keys."""

    @pytest.mark.parametrize(("life", "store_ttl"), [(3600, 300), (3600, 70), (50, 300)])
    async def test_b06_b07_a_token_lives_as_configured_and_never_past_its_expiry(
        self, settings: RedisSettings, redis_server: RedisServer, life: float, store_ttl: float
    ) -> None:
        """The shorter of the two."""
        began = time.monotonic()
        async with pod(settings, store_ttl=store_ttl) as ours:
            await ours.put(life)
        with redis_server.client() as client:
            left = int(client.pttl(settings.key_prefix + REQUEST.key)) / 1000
        shorter = min(life, store_ttl)
        assert shorter - 1 - (time.monotonic() - began) < left <= shorter

    async def test_companions_are_named_after_the_key_and_all_expire(
        self, settings: RedisSettings, redis_server: RedisServer, key: str
    ) -> None:
        """`{key}:gen` and the like, whatever becomes of the pods."""
        async with pod(settings) as ours:
            await ours.put()
            token = (await ours.claim()).token
            assert token is not None
            await ours.store.bust(REQUEST, token, ours.clock.now())
            await ours.store.cool_down(REQUEST, token, 1.0)
            await ours.store.give_up(REQUEST, "me", Setback(ours.clock.now() + 60, 1, "out", None))
            await ours.claim(replace(REQUEST, tenant="globex"))
        with redis_server.client() as client:
            names = sorted(name.decode() for name in client.scan_iter(f"*{settings.key_prefix}*"))
            other = settings.key_prefix + replace(REQUEST, tenant="globex").key
            ours_named = [f"{{{key}}}:{what}" for what in ("cool", "dead", "fail", "gen")]
            assert names == sorted([*ours_named, f"{{{other}}}:lease"])
            lives = {name: int(client.pttl(name)) for name in names}
            assert all(life > 0 for life in lives.values())
            assert 590_000 < lives[f"{{{key}}}:gen"] <= 600_000

    def test_a_key_and_its_companions_share_a_cluster_slot(self, key: str) -> None:
        """Or no script could touch them together."""
        assert len({key_slot(name.encode()) for name in keys_of(key)}) == 1

    async def test_b51_nothing_readable_lies_there(
        self, settings: RedisSettings, redis_server: RedisServer, key: str
    ) -> None:
        """The clear part names key, fingerprint and generation; the rest is sealed."""
        async with pod(settings) as ours:
            await ours.put()
        with redis_server.client() as client:
            value = client.get(key)
        assert isinstance(value, bytes)
        assert value.startswith(b"1:k1:f1f1:0:")
        assert CANARY.encode() not in value

    async def test_b51_a_value_moved_to_another_key_is_a_miss(
        self, settings: RedisSettings, redis_server: RedisServer, key: str
    ) -> None:
        """One tenant's token does not become another's."""
        other = replace(REQUEST, tenant="globex")
        async with pod(settings) as ours:
            await ours.put()
            with redis_server.client() as client:
                client.copy(key, settings.key_prefix + other.key)
            claim = await ours.claim(other)
        assert (claim.token, claim.lease) == (None, Lease.OURS)

    @pytest.mark.parametrize(
        "value", [b"", b"junk", b"1:k1:f1f1:0:", b"1:k1:f1f1:0:" + bytes(80), b"1:k9:f1f1:0:x", b"\xff" * 100]
    )
    async def test_b50_an_unreadable_value_is_a_miss_and_gets_replaced(
        self, settings: RedisSettings, redis_server: RedisServer, key: str, value: bytes
    ) -> None:
        """Whatever its writer and its meaning."""
        with redis_server.client() as client:
            client.set(key, value)
        async with pod(settings) as ours:
            await ours.put()
            assert await ours.holds()

    async def test_b50_values_of_another_type_are_misses(
        self, settings: RedisSettings, redis_server: RedisServer, key: str
    ) -> None:
        """On every key of the request; nothing gets stuck on them."""
        with redis_server.client() as client:
            for name in keys_of(key):
                client.rpush(name, "foreign")
        async with pod(settings) as ours:
            await ours.put()
            token = (await ours.claim()).token
            assert token is not None
            assert await ours.store.cool_down(REQUEST, token, 1.0) == 1.0
            await ours.store.healed(REQUEST)
            assert (await ours.store.bust(REQUEST, token, ours.clock.now())).news
            assert ours.told() == []

    async def test_b50_a_setback_nobody_can_read_holds_nobody_up(
        self, settings: RedisSettings, redis_server: RedisServer, key: str
    ) -> None:
        """It may have been written with a key we do not have."""
        with redis_server.client() as client:
            client.set(f"{{{key}}}:fail", b"1:k9:99999999999999:0:sealed")
        async with pod(settings) as ours:
            assert (await ours.claim()).lease is Lease.OURS

    @pytest.mark.parametrize("generation", [b"00", b"007", b"9" * 26, b"9" * 5000])
    async def test_b50_a_generation_no_pod_can_have_written_is_none(
        self, settings: RedisSettings, redis_server: RedisServer, key: str, generation: bytes
    ) -> None:
        """Tokens are stored, found and bust all the same, and a pod that comes back can compare what it holds."""
        with redis_server.client() as client:
            client.set(keys_of(key)[1], generation)
        async with pod(settings) as ours:
            assert await ours.store.generations([REQUEST.key]) == {REQUEST.key: 0}
            await ours.put()
            token = (await ours.claim()).token
            assert token is not None
            assert (await ours.store.bust(REQUEST, token, ours.clock.now())).news
            assert not await ours.holds()

    @pytest.mark.parametrize("until", ["9" * 18, "inf", "nan"])
    async def test_b50_a_cool_down_no_pod_can_have_opened_lets_no_refusal_pass(
        self, settings: RedisSettings, redis_server: RedisServer, key: str, until: str
    ) -> None:
        """One that ends later than any can: forged, or the server's clock was set back."""
        async with pod(settings) as ours:
            await ours.put()
            with redis_server.client() as client:
                client.hset(keys_of(key)[4], "until", until)
            token = (await ours.claim()).token
            assert token is not None
            busted = await ours.store.bust(REQUEST, token, ours.clock.now())
            assert (busted.news, busted.cooling) == (True, 0.0)
            assert await ours.store.cool_down(REQUEST, token, 1.0) == 1.0

    async def test_b50_a_death_no_pod_can_have_noted_is_none(
        self, settings: RedisSettings, redis_server: RedisServer, key: str
    ) -> None:
        """Its moment has more digits than any number that is read."""
        async with pod(settings) as ours:
            token = ours.token()
            with redis_server.client() as client:
                client.set(keys_of(key)[5], f"{token.fingerprint} {'9' * 5000}")
            assert (await ours.store.bust(REQUEST, token, ours.clock.now())).news

    async def test_a_lease_no_pod_can_have_written_holds_nobody_up(
        self, settings: RedisSettings, redis_server: RedisServer, key: str
    ) -> None:
        """One without an end."""
        with redis_server.client() as client:
            client.set(f"{{{key}}}:lease", "somebody")
        async with pod(settings) as ours:
            assert (await ours.claim()).lease is Lease.OURS

    async def test_a_server_that_forgot_the_scripts_is_told_them_again(
        self, settings: RedisSettings, redis_server: RedisServer
    ) -> None:
        """It was restarted, or they were flushed."""
        async with pod(settings) as ours:
            await ours.put()
            with redis_server.client() as client:
                client.script_flush()
            assert await ours.holds()

    async def test_many_questions_share_few_connections(
        self, settings: RedisSettings, redis_server: RedisServer
    ) -> None:
        """A cold start with many keys is no storm of connections."""
        async with pod(settings) as ours:
            requests = [replace(REQUEST, tenant=f"t{number}") for number in range(200)]
            claims = await asyncio.gather(*map(ours.claim, requests))
            assert {claim.lease for claim in claims} == {Lease.OURS}
            pool = ours.link._client.connection_pool  # type: ignore[union-attr]
            assert len(pool._available_connections) <= MAX_QUESTIONS


class TestSilence:
    """The server does not answer."""

    async def test_a_refused_port_costs_next_to_nothing_and_opens_the_breaker(self) -> None:
        """One warning; then no operation is sent, until a background probe finds it available."""
        with socket.socket() as taken:
            taken.bind(
                ("127.0.0.1", 0)
            )  # bound, not listening: no other process gets the port, connections are refused
            hosts = (("127.0.0.1", taken.getsockname()[1]),)
            async with pod(RedisSettings(hosts=hosts, operation_timeout=2 * PATIENCE)) as ours:
                for _ in range(FAILURES):
                    assert ours.store.reachable
                    await ours.claims_in_vain(1)
                assert not ours.store.reachable
                await ours.claims_in_vain(1)
                assert (ours.asked("failed"), ours.asked("skipped")) == (FAILURES, 1)
                assert ours.told() == ["store_down"]

    async def test_a_stopped_server_costs_its_limit_thrice_and_then_nothing(
        self, own_redis: RedisServer
    ) -> None:
        """SIGSTOP: connections stand, the kernel takes our bytes, no answer comes."""
        async with pod(settings_of(own_redis, operation_timeout=LIMIT)) as ours:
            await ours.comes_to_hold()
            told, failed, skipped = len(ours.told()), ours.asked("failed"), ours.asked("skipped")
            own_redis.pause()
            assert min(await ours.claims_in_vain(FAILURES)) > LIMIT * 0.9
            assert not ours.store.reachable
            await ours.claims_in_vain(100)
            assert (ours.asked("failed"), ours.asked("skipped")) == (failed + FAILURES, skipped + 100)
            own_redis.resume()
            await ours.comes_up()
            await until(ours.holds)
            assert ours.told()[told : told + 2] == ["store_down", "store_up"]

    async def test_an_answer_that_comes_too_late_answers_nothing_else(self, own_redis: RedisServer) -> None:
        """A question given up takes its connection with it."""
        async with pod(settings_of(own_redis, operation_timeout=LIMIT)) as ours:
            await ours.comes_to_hold()
            own_redis.pause()
            await ours.claims_in_vain(1)
            own_redis.resume()
            while (other := await ours.claim(replace(REQUEST, tenant="globex"))) == Claim():
                await asyncio.sleep(0.01)
            assert (other.token, other.lease) == (None, Lease.OURS)
            await until(ours.holds)

    async def test_a_new_connection_to_a_stopped_server_is_given_up_too(self, own_redis: RedisServer) -> None:
        """The kernel accepts it, the server never does."""
        own_redis.pause()
        async with pod(settings_of(own_redis, operation_timeout=LIMIT)) as ours:
            await ours.claims_in_vain(1)
            assert ours.asked("failed") == 1

    async def test_a_server_killed_and_started_again_is_used_again(self, own_redis: RedisServer) -> None:
        """Empty, as a restart without persistence leaves it; the pooled connections are closed."""
        async with pod(settings_of(own_redis)) as ours:
            await ours.put()
            own_redis.kill()
            await ours.claims_in_vain(FAILURES)
            own_redis.start()
            await ours.comes_up()
            await ours.put()
            assert await ours.holds()
            assert ours.told() == ["store_down", "store_up"]

    async def test_while_it_is_down_telling_and_keeping_do_nothing(self, own_redis: RedisServer) -> None:
        """No call raises, and what they return lets the pod go on by itself."""
        async with pod(settings_of(own_redis)) as ours:
            own_redis.kill()
            token, sent_at = ours.token(), ours.clock.now()
            assert await ours.store.fill(REQUEST, token, "me")
            assert await ours.store.extend(REQUEST, "me")
            await ours.store.give_up(REQUEST, "me", Setback(sent_at, 1, "out", None))
            await ours.store.release(REQUEST, "me")
            assert await ours.store.generations(["a"]) is None
            busted = await ours.store.bust(REQUEST, token, sent_at)
            assert (busted.news, busted.floor) == (True, sent_at)
            assert await ours.store.cool_down(REQUEST, token, 1.0) == 0
            await ours.store.healed(REQUEST)

    async def test_a_server_that_takes_no_writes_stays_down(self, own_redis: RedisServer) -> None:
        """A replica answers PING well enough; the probe writes."""
        with own_redis.client() as client:
            client.replicaof("127.0.0.1", "1")
            async with pod(settings_of(own_redis)) as ours:
                await ours.claims_in_vain(FAILURES)
                await until(lambda: ours.link.operations["probe", "failed"] >= 1)
                assert ours.told() == ["store_down"]
                client.replicaof("NO", "ONE")
                await ours.comes_up()


class TestABusyLoop:
    """What looks like silence is our own."""

    async def test_a_loop_whose_turns_are_long_still_hears_redis(self, own_redis: RedisServer) -> None:
        """Connecting and asking takes a score of turns, together far more than the limit: the time is not Redis's."""
        with own_redis.client() as client:
            client.config_set("requirepass", "right")
        settings = replace(
            settings_of(own_redis, operation_timeout=LIMIT), password=Secret("right"), database=3
        )

        async def be_busy() -> None:
            while True:
                time.sleep(0.03)  # noqa: ASYNC251  it is to hold up the loop
                await asyncio.sleep(0)

        async with pod(settings) as ours:
            busy = asyncio.create_task(be_busy())
            claims = [await ours.claim() for _ in range(3)]
            busy.cancel()
            assert {claim.lease for claim in claims} == {Lease.OURS}
            assert ours.told() == []

    @pytest.mark.parametrize("before_the_end", [LIMIT, LIMIT / 2, 0.002])
    async def test_what_arrived_while_the_loop_stood_still_counts(self, before_the_end: float) -> None:
        """Whenever that was: at the very end of the limit, too, what is there is read first."""
        loop = asyncio.get_running_loop()
        stood_still = False
        answer = None

        def stand_still() -> None:
            nonlocal stood_still
            stood_still = True
            time.sleep(2 * LIMIT)

        while (
            not stood_still
        ):  # until what was measured is true of the next one, which may be given up on sooner
            began = loop.time()
            assert await self._ask(lambda: None) is None
            patience = loop.time() - began
            assert patience > LIMIT * 0.9
            answer = await self._ask(stand_still, after=patience - before_the_end)
        assert answer == b"answer"

    async def _ask(self, hold_up: Callable[[], None], *, after: float = math.inf) -> bytes | None:
        """What a question brings whose answer comes at the end of `hold_up`, which begins so much later."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.settimeout(0)

        def answer() -> None:
            hold_up()
            theirs.send(b"answer")

        async def question(_: object) -> bytes:
            return await loop.sock_recv(ours, 100)

        with ours, theirs:
            async with pod(RedisSettings(hosts=(("127.0.0.1", 1),))) as asking:
                alarm = loop.call_later(min(after, 100 * LIMIT), answer)
                try:
                    return await asking.link.ask("anything", question)
                finally:
                    alarm.cancel()


class TestSomethingElse:
    """What listens there speaks the protocol, and is no Redis."""

    @pytest.mark.parametrize(
        "reply", [b"+OK\r\n", b":5\r\n", b"*0\r\n", b"*3\r\n$1\r\nx\r\n$1\r\ny\r\n:1\r\n"]
    )
    async def test_replies_of_another_kind_are_none(self, reply: bytes) -> None:
        """Whatever it answers to a script, a request continues without it, and soon no operation is sent."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while commands := await reader.read(1 << 16):
                writer.write(reply * max(1, commands.count(b"*")))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server, pod(RedisSettings(hosts=((host, port),), operation_timeout=AT_LEISURE)) as ours:
            for _ in range(FAILURES):
                assert await ours.claim() == Claim()
            assert not ours.store.reachable


class TestWhoMayConnect:
    """Forms of address, and authentication."""

    async def test_a_unix_socket(self, redis_server: RedisServer) -> None:
        """No port at all."""
        settings = RedisSettings(
            unix_path=redis_server.unix_path, key_prefix=f"{uuid4().hex}:", operation_timeout=AT_LEISURE
        )
        async with pod(settings) as ours:
            await ours.put()
            assert await ours.holds()

    async def test_a_database_of_its_own(self, redis_server: RedisServer) -> None:
        """SELECT, once a connection."""
        prefix = f"{uuid4().hex}:"
        async with pod(replace(settings_of(redis_server, prefix), database=3)) as ours:
            await ours.put()
            assert await ours.holds()
        async with pod(settings_of(redis_server, prefix)) as other:
            assert not await other.holds()

    async def test_a_user_whose_password_is_read_anew(self, own_redis: RedisServer, tmp_path: Path) -> None:
        """It was rotated: the next connection shows the new one."""
        password = tmp_path / "password"
        password.write_text("first\n")
        settings = replace(settings_of(own_redis), username="sidecar", password=SecretFile(str(password)))
        with own_redis.client() as client:
            client.execute_command("ACL", "SETUSER", "sidecar", "on", ">first", "~*", "&*", "+@all")
            async with pod(settings) as ours:
                await ours.put()
                password.write_text("second\n")
                client.execute_command("ACL", "SETUSER", "sidecar", "<first", ">second")
                client.execute_command("CLIENT", "KILL", "USER", "sidecar")
                await until(ours.holds)

    async def test_a_wrong_password_or_no_file_is_a_server_that_is_down(
        self, own_redis: RedisServer, tmp_path: Path
    ) -> None:
        """Reported without the password."""
        with own_redis.client() as client:
            client.config_set("requirepass", "right")
        for password in (Secret("canary-wrong"), SecretFile(str(tmp_path / "missing"))):
            async with pod(replace(settings_of(own_redis), password=password)) as ours:
                await ours.claims_in_vain(FAILURES)
                assert ours.told() == ["store_down"]
                assert "canary" not in repr(ours.journal.events)

    async def test_tls_with_a_client_certificate(self, tls_port: int, tls: Tls) -> None:
        """Our own authority, and theirs."""
        async with pod(self._settings(tls_port, tls)) as ours:
            await ours.put()
            assert await ours.holds()

    async def test_tls_does_not_trust_just_anybody(self, tls_port: int, tls: Tls) -> None:
        """A server of another authority is a server that is down; so are we without a certificate for it."""
        for other in (replace(tls, ca_file=""), replace(tls, certificate_file="", key_file="")):
            async with pod(self._settings(tls_port, other)) as ours:
                await ours.claims_in_vain(FAILURES)
                assert ours.told() == ["store_down"]

    def _settings(self, port: int, tls: Tls) -> RedisSettings:
        return RedisSettings(
            hosts=(("127.0.0.1", port),),
            key_prefix=f"{uuid4().hex}:",
            tls=tls,
            operation_timeout=AT_LEISURE,
        )

    @pytest.fixture
    def tls(self, tmp_path: Path) -> Tls:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        paths = [str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem")]
        authority.cert_pem.write_to_path(paths[0])
        issued.cert_chain_pems[0].write_to_path(paths[1])
        issued.private_key_pem.write_to_path(paths[2])
        return Tls(*paths)

    @pytest.fixture
    async def tls_port(self, redis_server: RedisServer, tls: Tls) -> AsyncIterator[int]:
        """TLS in front of the server, which may have been built without; it asks for our certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.ca_file)
        context.load_cert_chain(tls.certificate_file, tls.key_file)
        context.verify_mode = ssl.CERT_REQUIRED
        async with FaultProxy(f"127.0.0.1:{redis_server.port}", context) as front:
            yield front.port
