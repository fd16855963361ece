"""TokenCache: which token a caller gets and when, and how often the source is called."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from sidecar.cache.lease import Claim
from sidecar.cache.refused_tokens import Bust, Busted
from sidecar.cache.tokens import CALLER_LIMIT
from sidecar.core.errors import SidecarError, TokenRefused, TokenUnavailable
from sidecar.core.secret import Secret
from sidecar.oauth.token import Token, TokenRequest, bearer
from sidecar.telemetry.events import CoolingDown, Failed
from sidecar.telemetry.fleet_events import BustSent
from tests.support.clock import FakeClock, settle
from tests.support.fleet_fakes import FakeStore
from tests.support.token_cache_rig import LEDGER, PAYMENTS, Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.cache.close()


async def test_a_token_is_fetched_once_and_then_served_from_memory(rig: Rig) -> None:
    """The second caller causes no request."""
    assert rig.peek() is None
    assert [await rig.token(), await rig.token(), rig.peek()] == ["t1", "t1", "t1"]
    assert rig.source.calls == [("ledger", float("-inf"), "cold")]


async def test_without_a_store_memory_keeps_a_token_to_its_expiry(rig: Rig) -> None:
    """Memory's own time to live is for asking a store; there is none."""
    rig.source.life = 3600
    await rig.token()
    for _ in range(100):
        await rig.clock.advance(35)
        assert rig.peek() == "t1"
    assert rig.source.asked == 1


async def test_b07_an_expired_token_is_never_served(rig: Rig) -> None:
    """At its expiry a token is gone, even while no other can be had."""
    rig.source.life = 5
    await rig.token()
    rig.source.error = TokenUnavailable("out", 0)
    await rig.clock.advance(4.9)
    assert rig.peek() == "t1"
    await rig.clock.advance(0.1)
    assert rig.peek() is None
    with pytest.raises(TokenUnavailable):
        await rig.token()


async def test_b09_a_short_token_is_still_cached(rig: Rig) -> None:
    """20 s of life against a leeway of 60 s: one fetch in 10 s."""
    rig.source.life = 20
    await rig.token()
    for _ in range(9):
        await rig.clock.advance(1)
        assert await rig.token() == "t1"
    assert rig.source.asked == 1


async def test_b10_an_aging_token_is_served_while_one_renewal_runs_behind(rig: Rig) -> None:
    """No caller waits for the renewal, and there is only one."""
    await rig.token()
    await rig.clock.advance(250)
    rig.source.delay = 2
    for _ in range(50):
        assert rig.peek() == "t1"
    await rig.clock.advance(1)
    assert rig.peek() == "t1"
    await rig.clock.advance(1)
    assert rig.peek() == "t2"
    assert [reason for _, _, reason in rig.source.calls] == ["cold", "aging"]


async def test_b11_a_cold_key_has_one_flight(rig: Rig) -> None:
    """200 callers at once share one fetch."""
    rig.source.delay = 1
    calls = [asyncio.create_task(rig.token()) for _ in range(200)]
    await rig.clock.advance(1)
    assert {call.result() for call in calls} == {"t1"}
    assert rig.source.asked == 1


async def test_different_keys_fly_apart(rig: Rig) -> None:
    """One key's hang is not the other's."""
    rig.source.open.clear()
    hung = asyncio.create_task(rig.token())
    await settle()
    rig.source.open.set()
    assert await rig.token(PAYMENTS) == "t2"
    assert await hung == "t1"


async def test_b12_fresh_hits_never_wait_behind_a_renewal_that_hangs(rig: Rig) -> None:
    """The token endpoint hangs on the renewal; memory goes on serving, without a single suspension."""
    await rig.token()
    await rig.clock.advance(250)
    rig.source.open.clear()
    assert [rig.peek() for _ in range(100)] == ["t1"] * 100
    await settle()
    assert rig.peek() == "t1"
    assert rig.source.asked == 2


async def test_b13_a_flight_outlives_the_caller_that_began_it(rig: Rig) -> None:
    """The first caller leaves; the others get the token of its flight."""
    rig.source.delay = 1
    first = asyncio.create_task(rig.token())
    await settle()
    second = asyncio.create_task(rig.token())
    await settle()
    first.cancel()
    await rig.clock.advance(1)
    assert first.cancelled()
    assert await second == "t1"
    assert rig.source.asked == 1


async def test_b13_a_flight_fills_memory_though_every_caller_left(rig: Rig) -> None:
    """What was fetched is not thrown away."""
    rig.source.delay = 1
    only = asyncio.create_task(rig.token())
    await settle()
    only.cancel()
    await rig.clock.advance(1)
    assert rig.peek() == "t1"


async def test_b14_a_hung_source_cannot_wedge_a_key(rig: Rig) -> None:
    """Callers are answered within their limit, and the key works again once the server does."""
    rig.source.open.clear()
    call = asyncio.create_task(rig.token())
    await rig.clock.advance(CALLER_LIMIT)
    with pytest.raises(TokenUnavailable):
        await call
    rig.source.open.set()
    await rig.clock.advance(1)
    assert await rig.token() == "t2"


async def test_b16_warm_up_fetches_before_the_first_call(rig: Rig) -> None:
    """Configured tokens are there when the first request comes, and a failing one is only reported to the journal."""
    warm = asyncio.create_task(rig.cache.warm_up([LEDGER, PAYMENTS]))
    await rig.clock.advance(1)
    await warm
    assert (rig.peek(), rig.peek(PAYMENTS)) == ("t1", "t2")
    assert [reason for _, _, reason in rig.source.calls] == ["warm_up", "warm_up"]


async def test_a_failing_warm_up_hurts_nobody(rig: Rig) -> None:
    """It returns, and the first request finds the failure remembered."""
    rig.source.error = TokenRefused("no", "invalid_scope")
    warm = asyncio.create_task(rig.cache.warm_up([LEDGER]))
    await rig.clock.advance(1)
    await warm
    with pytest.raises(TokenRefused):
        await rig.token()
    assert rig.source.asked == 1


class TestOutage:
    """The authorization server is out."""

    async def test_callers_without_a_token_are_answered_at_once_in_doubling_windows(self, rig: Rig) -> None:
        """1, 2, 4 … 30 s: one attempt each, every other caller gets the time to wait."""
        rig.source.error = TokenUnavailable("out", 0)
        for window in (1, 2, 4, 8, 16, 30, 30):
            asked = rig.source.asked
            for _ in range(10):
                with pytest.raises(TokenUnavailable) as raised:
                    await rig.token()
                assert raised.value.retry_after == pytest.approx(window)
            assert rig.source.asked == asked + 1
            await rig.clock.advance(window)

    async def test_retry_after_makes_the_window_longer(self, rig: Rig) -> None:
        """The server knows best."""
        rig.source.error = TokenUnavailable("slow down", 20)
        with pytest.raises(TokenUnavailable):
            await rig.token()
        await rig.clock.advance(19)
        with pytest.raises(TokenUnavailable):
            await rig.token()
        assert rig.source.asked == 1

    async def test_a_success_ends_it(self, rig: Rig) -> None:
        """The next outage starts with one second again."""
        rig.source.error = TokenUnavailable("out", 0)
        for _ in range(3):
            with pytest.raises(TokenUnavailable):
                await rig.token()
            await rig.clock.advance(10)
        rig.source.error = None
        await rig.token()
        await rig.clock.advance(300)
        rig.source.error = TokenUnavailable("out", 0)
        with pytest.raises(TokenUnavailable) as raised:
            await rig.token()
        assert raised.value.retry_after == pytest.approx(1)

    async def test_an_aging_token_stays_in_use_and_is_not_renewed_on_every_request(self, rig: Rig) -> None:
        """60 s of outage before the expiry: a handful of attempts, no failed request."""
        await rig.token()
        await rig.clock.advance(241)
        rig.source.error = TokenUnavailable("out", 0)
        for _ in range(58):
            assert await rig.token() == "t1"
            await rig.clock.advance(1)
        assert rig.source.asked == 1 + 6

    async def test_a_bug_is_an_outage_and_told(self, rig: Rig) -> None:
        """Something unexpected in the source breaks neither the callers nor the back-off."""
        rig.source.error = RuntimeError("client_secret=hunter2")
        for _ in range(5):
            with pytest.raises(TokenUnavailable, match="internal fault"):
                await rig.token()
        assert rig.source.asked == 1
        (failed,) = rig.told(Failed)
        assert re.fullmatch(r"RuntimeError at \w+\.py:\d+", failed.error)


async def test_a_refusal_is_remembered_for_five_seconds(rig: Rig) -> None:
    """`invalid_scope` is not requested again and again, but is requested again after that."""
    rig.source.error = TokenRefused("no such scope", "invalid_scope")
    for _ in range(10):
        with pytest.raises(TokenRefused, match="no such scope") as raised:
            await rig.token()
        assert raised.value.code == "invalid_scope"
    assert rig.source.asked == 1
    await rig.clock.advance(5)
    rig.source.error = None
    assert await rig.token() == "t2"


class TestRenew:
    """An upstream refused a token."""

    async def test_the_refused_token_is_replaced_by_one_fetched_later(self, rig: Rig) -> None:
        """With credentials read after the refused request was sent, and the fleet gets one bust."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        sent_at = rig.clock.now()
        assert await rig.refusal(refused) == "t2"
        assert rig.peek() == "t2"
        assert rig.source.calls[1] == ("ledger", sent_at, "refused")
        assert [event.fp for event in rig.told(BustSent)] == ["fp-t1"]

    async def test_b25_parallel_refusals_of_one_token_cost_one_fetch(self, rig: Rig) -> None:
        """100 at once: T = 2, one bust."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        sent_at = rig.clock.now()
        await rig.clock.advance(0.1)
        rig.source.delay = 1
        renewals = [asyncio.create_task(rig.renew(refused, sent_at)) for _ in range(100)]
        await settle()
        await rig.clock.advance(2)
        assert {renewal.result() for renewal in renewals} == {"t2"}
        assert rig.source.asked == 2
        assert len(rig.told(BustSent)) == 1

    async def test_b25_a_late_refusal_of_the_old_token_leaves_its_successor_alone(self, rig: Rig) -> None:
        """Memory already holds one fetched after the late request was sent: it is the answer."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        sent_at = rig.clock.now()
        await rig.clock.advance(0.1)
        assert await rig.renew(refused, sent_at) == "t2"
        await rig.clock.advance(5)
        assert await rig.renew(refused, sent_at) == "t2"
        assert rig.source.asked == 2
        assert len(rig.told(BustSent)) == 1

    async def test_b28_a_token_fetched_before_the_refused_request_was_sent_does_not_count(
        self, rig: Rig
    ) -> None:
        """Two tokens died together: memory's other one is not offered as the successor."""
        old = await rig.cache.token(LEDGER)
        await rig.clock.advance(250)
        assert rig.peek() == "t1"
        await settle()
        assert rig.peek() == "t2"
        await rig.clock.advance(1)
        assert await rig.refusal(old) == "t3"

    async def test_b28_a_flight_begun_before_the_refused_request_was_sent_does_not_count(
        self, rig: Rig
    ) -> None:
        """A renewal already under way may fetch a token that dies too: a new flight overtakes it."""
        old = await rig.cache.token(LEDGER)
        await rig.clock.advance(250)
        rig.source.delay = 2
        assert rig.peek() == "t1"
        await rig.clock.advance(1)
        renewal = asyncio.create_task(rig.renew(old, rig.clock.now() - 0.1))
        await rig.clock.advance(1.5)
        assert rig.peek() is None, "the overtaken flight's token came back"
        await rig.clock.advance(2)
        assert await renewal == "t3"
        assert rig.peek() == "t3"

    async def test_what_follows_a_dead_token_follows_it_for_all_who_carried_it(self, rig: Rig) -> None:
        """A second request with it, sent when its death was known already, says nothing against the successor."""
        old = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        rig.source.delay = 2
        first = asyncio.create_task(rig.renew(old, rig.clock.now() - 0.1))
        await rig.clock.advance(1)
        second = asyncio.create_task(rig.renew(old, rig.clock.now() - 0.1))
        await rig.clock.advance(3)
        assert [await first, await second, rig.peek()] == ["t2", "t2", "t2"]
        assert len(rig.told(BustSent)) == 1

    async def test_a_flight_begun_after_the_refused_request_was_sent_counts(self, rig: Rig) -> None:
        """Its token is young enough; the fleet gets the bust, no caller fetches twice."""
        old = await rig.cache.token(LEDGER)
        await rig.clock.advance(250)
        sent_at = rig.clock.now()
        await rig.clock.advance(0.1)
        rig.source.delay = 2
        rig.peek()
        await rig.clock.advance(1)
        renewal = asyncio.create_task(rig.renew(old, sent_at))
        await rig.clock.advance(5)
        assert await renewal == "t2"
        assert rig.peek() == "t2"
        assert rig.source.asked == 2
        assert len(rig.told(BustSent)) == 1

    async def test_a_token_known_dead_is_not_served_while_the_renewal_runs_or_after_it_failed(
        self, rig: Rig
    ) -> None:
        """Better no token than that one."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        rig.source.delay = 1
        rig.source.error = TokenUnavailable("out", 0)
        renewal = asyncio.create_task(rig.renew(refused, rig.clock.now() - 0.1))
        await rig.clock.advance(0.5)
        assert rig.peek() is None
        await rig.clock.advance(1)
        with pytest.raises(TokenUnavailable):
            await renewal
        assert rig.peek() is None
        with pytest.raises(TokenUnavailable):
            await rig.token()

    async def test_a_refusal_during_an_outage_is_answered_at_once(self, rig: Rig) -> None:
        """The back-off holds for renewals too: the original 401 goes to the client without a wait."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        rig.source.error = TokenUnavailable("out", 0)
        for _ in range(10):
            with pytest.raises(TokenUnavailable):
                await rig.refusal(refused)
        assert rig.source.asked == 2
        assert len(rig.told(BustSent)) == 1

    async def test_a_server_that_gives_the_refused_token_again_makes_the_key_cool_down(
        self, rig: Rig
    ) -> None:
        """There is no second send with the same token, and no fetch for every refusal."""
        rig.source.always = "static"
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        with pytest.raises(TokenRefused, match="again"):
            await rig.refusal(refused)
        assert rig.cache.cooling(LEDGER, rig.clock.now())
        assert rig.peek() == "static"

    async def test_after_a_failed_renewal_the_next_call_still_demands_a_later_token(self, rig: Rig) -> None:
        """What may follow a refused token is remembered beyond the attempt."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        sent_at = rig.clock.now()
        rig.source.error = TokenUnavailable("out", 0)
        with pytest.raises(TokenUnavailable):
            await rig.refusal(refused)
        await rig.clock.advance(1)
        rig.source.error = None
        await rig.token()
        assert rig.source.calls[-1] == ("ledger", sent_at, "refused")

    async def test_t10_after_another_pods_bust_the_request_counts_as_one_that_worked(self, rig: Rig) -> None:
        """Otherwise the versions of a secret in rotation would not be tried for it."""
        token = await rig.cache.token(LEDGER)
        rig.cache.evict(Bust(LEDGER.key, token.fingerprint, token.generation + 1))
        await rig.clock.advance(1)
        await rig.token()
        assert [reason for *_, reason in rig.source.calls] == ["cold", "refused"]


class TestCoolDown:
    """Fresh tokens are refused too."""

    async def test_windows_double_and_one_caller_probes_after_each(self, rig: Rig) -> None:
        """1, 2, 4 s; within a window every refusal passes through, after it all but one."""
        for round_, window in enumerate((1, 2, 4)):
            token = bearer(Secret("x", f"fp{round_}"), fetch_began=0, life=60, leeway=0)
            for _ in range(5):
                rig.cache.cool_down(LEDGER, token)
            await rig.clock.advance(window - 0.1)
            assert rig.cache.cooling(LEDGER, rig.clock.now())
            await rig.clock.advance(0.1)
            answers = [rig.cache.cooling(LEDGER, rig.clock.now()) for _ in range(5)]
            assert answers == [False, True, True, True, True]
        assert [event.seconds for event in rig.told(CoolingDown)] == [1, 2, 4]

    async def test_healing_ends_it(self, rig: Rig) -> None:
        """An accepted second send forgets everything."""
        token = bearer(Secret("x", "fp"), fetch_began=0, life=60, leeway=0)
        rig.cache.cool_down(LEDGER, token)
        assert rig.cache.cooling(LEDGER, rig.clock.now())
        rig.cache.healed(LEDGER)
        assert not rig.cache.cooling(LEDGER, rig.clock.now())


class TestStore:
    """A second level shared with other pods."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        rig = Rig(FakeStore)
        rig.source.life = 3600
        yield rig
        await rig.cache.close()

    def _put(self, rig: Rig, value: str, age: float, life: float = 3600) -> Token:
        token = bearer(Secret(value, value), fetch_began=rig.clock.now() - age, life=life, leeway=60)
        rig.server.tokens[LEDGER.key] = token
        return token

    async def test_b04_a_store_hit_fills_memory(self, rig: Rig) -> None:
        """The source is not asked, and the second call does not even ask the store."""
        self._put(rig, "theirs", age=5)
        assert [await rig.token(), await rig.token()] == ["theirs", "theirs"]
        assert (rig.source.asked, rig.store.claims) == (0, 1)

    async def test_b06_memory_asks_the_store_again_after_its_time_to_live(self, rig: Rig) -> None:
        """30 s by default."""
        await rig.token()
        await rig.clock.advance(29)
        assert rig.peek() == "t1"
        self._put(rig, "theirs", age=0)
        await rig.clock.advance(1)
        assert rig.peek() is None
        assert await rig.token() == "theirs"

    async def test_while_the_store_is_down_memory_keeps_tokens_to_their_expiry(self, rig: Rig) -> None:
        """Its outage is no burst on the token endpoint; once it is back it is asked again."""
        await rig.token()
        rig.store.reachable = False
        await rig.clock.advance(600)
        assert rig.peek() == "t1"
        rig.store.reachable = True
        await rig.clock.advance(30)
        assert rig.peek() is None

    async def test_a_token_not_expired_is_better_than_an_outage(self, rig: Rig) -> None:
        """The store lost it, after busts it lost too, and the server is out: memory's own serves on."""
        await rig.token()
        rig.server.tokens.clear()
        rig.server.generations[LEDGER.key] = 7
        rig.source.error = TokenUnavailable("out", 0)
        await rig.clock.advance(30)
        assert [await rig.token() for _ in range(5)] == ["t1"] * 5
        assert rig.source.asked == 2

    async def test_an_aging_stored_token_does_not_end_a_renewal(self, rig: Rig) -> None:
        """A cold start uses it; the renewal behind fetches another."""
        self._put(rig, "theirs", age=3550)
        assert await rig.token() == "theirs"
        assert rig.peek() == "theirs"
        await settle()
        assert rig.peek() == "t1"

    async def test_an_expired_stored_token_is_a_miss(self, rig: Rig) -> None:
        """However it got there."""
        self._put(rig, "theirs", age=3600)
        assert await rig.token() == "t1"

    async def test_b28_a_stored_token_older_than_the_refused_request_is_not_its_successor(
        self, rig: Rig
    ) -> None:
        """Another pod's renewal from before the send does not count, a later one does."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        self._put(rig, "early", age=1)
        assert await rig.refusal(refused) == "t2"
        assert rig.server.tokens[LEDGER.key].secret.reveal() == "t2"
        again = await rig.cache.token(LEDGER)
        await rig.clock.advance(10)
        sent_at = rig.clock.now()
        await rig.clock.advance(1)
        self._put(rig, "late", age=0.5)
        assert await rig.renew(again, sent_at) == "late"

    async def test_b20_the_store_is_bust_once_and_before_anything_is_loaded(self, rig: Rig) -> None:
        """Also while the authorization server is unavailable: the other pods must not use the refused token."""
        refused = await rig.cache.token(LEDGER)
        await rig.clock.advance(30)
        rig.source.error = TokenUnavailable("out", 0)
        store_copy = rig.server.tokens.pop(LEDGER.key)
        await rig.token()
        rig.server.tokens[LEDGER.key] = store_copy
        for _ in range(3):
            with pytest.raises(TokenUnavailable):
                await rig.refusal(refused)
        assert [bust.fingerprint for bust in rig.server.busts] == ["fp-t1"]
        assert rig.source.asked == 2
        assert LEDGER.key not in rig.server.tokens

    async def test_b48_a_fetch_overtaken_by_a_bust_counts_for_nobody(self, rig: Rig) -> None:
        """Another pod's bust during our fetch: its token goes nowhere, one fetched later does."""
        rig.source.delay = 1
        call = asyncio.create_task(rig.token())
        await rig.clock.advance(0.5)
        rig.server.generations[LEDGER.key] = 7
        await rig.clock.advance(2)
        assert await call == "t2"
        assert rig.peek() == "t2"
        assert rig.server.tokens[LEDGER.key].secret.reveal() == "t2"


class GatedStore(FakeStore):
    """A store whose answers wait until they are let through."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.claims_pass, self.busts_pass = asyncio.Event(), asyncio.Event()
        self.claims_pass.set()

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        await self.claims_pass.wait()
        return await super().claim(request, owner, passing_over)

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        await self.busts_pass.wait()
        return await super().bust(request, refused, sent_at)


class SlowStore(FakeStore):
    """A store whose answers are long under way."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.arrive = asyncio.Event()
        self.arrive.set()

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        claim = await super().claim(request, owner, passing_over)
        await self.arrive.wait()
        return claim


async def test_b46_an_answer_under_way_during_a_gap_brings_no_dead_token() -> None:
    """It was sent before another pod's bust and arrives after the missed ones were made up for: not known, not kept."""
    rig = Rig(SlowStore)
    assert isinstance(rig.store, SlowStore)
    await rig.token()
    await rig.clock.advance(31)
    rig.store.arrive.clear()
    call = asyncio.create_task(rig.token())
    await settle()
    del rig.server.tokens[LEDGER.key]
    rig.server.generations[LEDGER.key] = 7
    rig.cache.evict_behind({LEDGER.key: 7})
    rig.store.arrive.set()
    assert await call == rig.peek() == "t2"
    await rig.cache.close()


def gated() -> tuple[Rig, GatedStore]:
    rig = Rig(GatedStore)
    assert isinstance(rig.store, GatedStore)
    return rig, rig.store


async def test_a_flight_looks_into_memory_again() -> None:
    """While it published to the store, one it had overtaken fetched a valid token: no further request is sent."""
    rig, store = gated()
    rig.source.life = 40
    old = await rig.cache.token(LEDGER)
    await rig.clock.advance(21)
    store.claims_pass.clear()
    assert rig.peek() == "t1"
    await rig.clock.advance(0.1)
    renewal = asyncio.create_task(rig.renew(old, rig.clock.now()))
    await rig.clock.advance(0.1)
    store.claims_pass.set()
    await settle()
    assert rig.peek() == "t2"
    store.busts_pass.set()
    assert await renewal == "t2"
    assert (rig.source.asked, store.claims) == (2, 3)
    await rig.cache.close()


@pytest.mark.parametrize("turns", range(12))
async def test_b28_whenever_a_refusal_meets_a_flight_no_older_token_succeeds(turns: int) -> None:
    """Also in the very turn of the loop in which the flight has just had one from the store."""
    rig, store = gated()
    store.busts_pass.set()
    rig.source.life = 40
    old = await rig.cache.token(LEDGER)
    await rig.clock.advance(21)
    rig.server.tokens[LEDGER.key] = bearer(Secret("early"), fetch_began=rig.clock.now(), life=40, leeway=0)
    sent_at = rig.clock.now()
    await rig.clock.advance(0.1)
    store.claims_pass.clear()
    rig.peek()
    await settle()
    store.claims_pass.set()
    await settle(turns)
    try:
        assert (await rig.cache.renew(LEDGER, old, sent_at)).fetch_began > sent_at
    except TokenUnavailable:
        assert rig.source.asked == 1
    await rig.cache.close()


async def test_memory_and_flights_are_bounded() -> None:
    """More keys than entries: the oldest make room; more flights than allowed are turned away at once."""
    rig = Rig(max_entries=3)
    requests = [
        TokenRequest(name=str(n), token_endpoint="https://a.test", credentials=str(n), service="s")
        for n in range(1005)
    ]
    for request in requests[:5]:
        await rig.token(request)
    assert [rig.peek(request) for request in requests[:5]] == [None, None, "t3", "t4", "t5"]
    assert len(list(rig.cache.status(rig.clock.now()))) == 3
    rig.source.open.clear()
    calls = [asyncio.create_task(rig.token(request)) for request in requests[5:]]
    await settle()
    with pytest.raises(TokenUnavailable, match="1000 loads"):
        await rig.token(LEDGER)
    await rig.cache.close()
    assert all(
        isinstance(error, SidecarError) for error in await asyncio.gather(*calls, return_exceptions=True)
    )


async def test_status_tells_when_a_token_was_last_used(rig: Rig) -> None:
    """To within a memory life (30 s): noting every use would cost every request."""
    await rig.token()
    told = []
    for used in (True, True, False, False):
        await rig.clock.advance(40)
        if used:
            assert rig.peek() == "t1"
        (status,) = rig.cache.status(rig.clock.now())
        told.append(status.last_used)
    assert told == [0, 0, 40, 80]


async def test_status_names_tokens_without_giving_them_away(rig: Rig) -> None:
    """Name, service, fingerprint, times; no secret."""
    await rig.token()
    await rig.clock.advance(10)
    (status,) = rig.cache.status(rig.clock.now())
    assert (status.token, status.service, status.fp, status.expires_in, status.age) == (
        "ledger",
        "ledger-client",
        "fp-t1",
        290,
        10,
    )
    assert "t1'" not in repr(status).replace("fp-t1", "")
