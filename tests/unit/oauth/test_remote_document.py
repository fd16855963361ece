"""Documents that other servers publish: how often they are fetched."""

import asyncio

import pytest

from sidecar.core.errors import TokenUnavailable
from sidecar.oauth.remote_document import RemoteDocuments
from tests.support.clock import FakeClock

PAUSE = 30.0
LIFE = 300.0


class Publisher:
    """Counts how often it is asked; while it is `out` it does not answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.out = False

    async def fetch(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.out:
            raise TokenUnavailable("out", 0.0)
        return self.asked


class Rig:
    """Documents with two early fetches."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.publisher = Publisher()
        self._documents: RemoteDocuments[int] = RemoteDocuments(self.clock, limit=9, pause=PAUSE, early=2)

    async def get(self, age: float = LIFE, *, early: bool = False, key: str = "a") -> int:
        return await self._documents.get(key, self.publisher.fetch, age=age, early=early)

    async def early_after(self, *seconds: float) -> list[int]:
        """Ask for a newer one after each of these waits, and return how often the publisher was asked by then."""
        found = []
        for wait in seconds:
            await self.clock.advance(wait)
            await self.get(PAUSE, early=True)
            found.append(self.publisher.asked)
        return found


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    await rig.get()
    return rig


async def test_i6_two_early_fetches_then_one_in_each_pause(rig: Rig) -> None:
    """However often it is tried."""
    assert await rig.early_after(1, 1, 1, 1, 20) == [2, 3, 3, 3, 3]
    assert (await rig.early_after(*[1] * 60))[-1] == 5


async def test_i6_after_a_quiet_while_there_are_two_again(rig: Rig) -> None:
    """What was not used comes back, no more."""
    await rig.early_after(1, 1, 1)
    assert await rig.early_after(1000, 1, 1, 1) == [4, 5, 5, 5]


async def test_i6_callers_that_wait_for_a_fetch_do_not_repeat_it(rig: Rig) -> None:
    """It began after each of them had come."""
    await rig.clock.advance(1)
    assert await asyncio.gather(*(rig.get(PAUSE, early=True) for _ in range(5))) == [2] * 5


async def test_i6_a_document_just_fetched_is_new_enough(rig: Rig) -> None:
    """In the same moment."""
    assert await rig.get(PAUSE, early=True) == 1


async def test_i6_a_fetch_that_failed_is_followed_by_the_pause(rig: Rig) -> None:
    """The early ones are for servers that answer; the document that was known stays."""
    rig.publisher.out = True
    assert await rig.early_after(1, 1, 10, 17) == [2, 2, 2, 2]
    rig.publisher.out = False
    assert await rig.early_after(3, 1) == [3, 4]
    assert await rig.get() == 4


async def test_i6_each_document_has_early_fetches_of_its_own(rig: Rig) -> None:
    """One issuer's unknown keys do not slow another's."""
    await rig.early_after(1, 1, 1)
    await rig.get(key="b")
    await rig.clock.advance(1)
    assert await rig.get(PAUSE, early=True, key="b") == rig.publisher.asked == 5


async def test_without_early_only_age_counts(rig: Rig) -> None:
    """As for metadata."""
    for wait, asked in ((PAUSE - 1, 1), (2, 2), (1, 2)):
        await rig.clock.advance(wait)
        await rig.get(PAUSE)
        assert rig.publisher.asked == asked
