"""What a new configuration takes over of the tokens, and what is dropped."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sidecar.cache.carry_over import FAREWELL
from sidecar.cache.refused_tokens import Bust
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.oauth.token import TokenRequest
from tests.support.clock import settle
from tests.support.token_cache_rig import LEDGER, PAYMENTS, Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.cache.close()


def only(*needed: TokenRequest) -> dict[str, TokenRequest]:
    return {request.key: request for request in needed}


def reconfigure(rig: Rig, *needed: TokenRequest) -> None:
    rig.cache.set_source(rig.source, lambda request: only(*needed).get(request.key), memory_ttl=30.0)
    for _ in rig.cache.forget():
        pass


def drop_unneeded(rig: Rig) -> None:
    for _ in rig.cache.drop_unneeded():
        pass


def shown(rig: Rig) -> list[tuple[str, str, str]]:
    """Name, state and problem of each token."""
    return [(token.token, token.state, token.problem) for token in rig.cache.status(rig.clock.now())]


async def fail(rig: Rig, request: TokenRequest, error: TokenRefused | TokenUnavailable) -> None:
    rig.source.error = error
    with pytest.raises(type(error)):
        await rig.token(request)
    rig.source.error = None


@pytest.mark.parametrize("error", [TokenRefused("a scope", "invalid_scope"), TokenUnavailable("out", 0.0)])
async def test_o1_a_need_that_is_gone_is_missing_no_longer(
    rig: Rig, error: TokenRefused | TokenUnavailable
) -> None:
    """The new one's state is its own; what is still needed keeps its trouble, dated from its first failure."""
    await fail(rig, LEDGER, error)
    await fail(rig, PAYMENTS, error)
    began = rig.clock.now()
    await rig.clock.advance(1)
    reconfigure(rig, PAYMENTS)
    (left,) = rig.cache.status(rig.clock.now())
    assert (left.token, left.state, left.problem_since) == ("payments", "missing", began)


async def test_o1_a_token_that_is_not_needed_leaves_memory(rig: Rig) -> None:
    """It is shown no more, and dropped once no request in flight may need it; the other is served without a fetch."""
    assert [await rig.token(LEDGER), await rig.token(PAYMENTS)] == ["t1", "t2"]
    reconfigure(rig, PAYMENTS)
    assert shown(rig) == [("payments", "fresh", "")]
    await rig.clock.advance(FAREWELL - 1)
    drop_unneeded(rig)
    assert set(rig.cache.held()) == {LEDGER.key, PAYMENTS.key}
    await rig.clock.advance(1)
    drop_unneeded(rig)
    assert (rig.peek(LEDGER), rig.peek(PAYMENTS)) == (None, "t2")
    assert set(rig.cache.held()) == {PAYMENTS.key}


async def test_o1_a_token_that_is_needed_again_stays(rig: Rig) -> None:
    """A configuration may be taken back; busts reach its tokens meanwhile."""
    await rig.token(LEDGER)
    await rig.token(PAYMENTS)
    reconfigure(rig)
    assert shown(rig) == []
    rig.cache.evict(Bust(PAYMENTS.key, "fp-t2", 1))
    reconfigure(rig, LEDGER, PAYMENTS)
    await rig.clock.advance(2 * FAREWELL)
    drop_unneeded(rig)
    assert (rig.peek(LEDGER), rig.peek(PAYMENTS)) == ("t1", None)
    assert shown(rig) == [("ledger", "fresh", "")]


async def test_o1_a_cool_down_ends_with_the_need(rig: Rig) -> None:
    """That of a token which is still needed goes on."""
    for request in (LEDGER, PAYMENTS):
        rig.cache.cool_down(request, await rig.cache.token(request))
    reconfigure(rig, PAYMENTS)
    now = rig.clock.now()
    assert (rig.cache.cooling(LEDGER, now), rig.cache.cooling(PAYMENTS, now)) == (False, True)


async def test_o1_a_backoff_ends_with_the_need(rig: Rig) -> None:
    """Configured again, the token is fetched at once; one that stayed configured goes on waiting."""
    for request in (LEDGER, PAYMENTS):
        await fail(rig, request, TokenUnavailable("out", 60.0))
    reconfigure(rig, PAYMENTS)
    reconfigure(rig, LEDGER, PAYMENTS)
    assert await rig.token(LEDGER) == "t3"
    with pytest.raises(TokenUnavailable, match="out"):
        await rig.token(PAYMENTS)
    assert rig.source.asked == 3


@pytest.mark.parametrize("fails", [True, False])
async def test_o1_what_ends_after_the_reload_is_not_kept(rig: Rig, fails: bool) -> None:
    """A fetch of the old configuration may still be under way: it serves its own request, and nothing else."""
    rig.source.open.clear()
    asking = asyncio.create_task(rig.token(LEDGER))
    await settle()
    reconfigure(rig, PAYMENTS)
    rig.source.error = TokenRefused("a scope", "invalid_scope") if fails else None
    rig.source.open.set()
    (answer,) = await asyncio.gather(asking, return_exceptions=True)
    assert (str(answer), shown(rig)) == ("a scope" if fails else "t1", [])
    assert rig.peek(LEDGER) == (None if fails else "t1")  # for the request itself, which looks once more
    await rig.clock.advance(FAREWELL)
    drop_unneeded(rig)
    assert rig.peek(LEDGER) is None


async def test_o1_a_token_goes_on_under_its_new_name() -> None:
    """The one in memory, the one that is missing, and what fails after the reload; in the order of their use."""
    rig = Rig()
    await rig.token(LEDGER)
    await rig.token(PAYMENTS)
    other = replace(LEDGER, scope=("write",))
    await fail(rig, other, TokenUnavailable("out", 0.0))
    renamed = {request.key: replace(request, name=f"new-{request.name}") for request in (LEDGER, other)}
    rig.cache.set_source(rig.source, lambda request: renamed.get(request.key, request), memory_ttl=30.0)
    for _ in rig.cache.forget():
        pass
    assert [name for name, _, _ in shown(rig)] == ["new-ledger", "payments", "new-ledger"]
    await rig.clock.advance(100)
    await fail(rig, other, TokenUnavailable("still out", 0.0))
    assert shown(rig)[0] == ("new-ledger", "missing", "still out")
    await rig.cache.close()
