"""CredentialCache: what spares a question to the secret store, and what may not."""

import asyncio

import pytest

from sidecar.cache.credentials import WINDOW, CachedSource, CredentialCache
from sidecar.cache.revocations import Revocations
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.labels import parse_selector
from sidecar.credentials.model import Credentials
from tests.support.clock import settle
from tests.support.credential_fakes import CountingSource, FakeShelf, FakeVault
from tests.support.journal import RecordingJournal
from tests.support.sidecar import TickingClock

ANY = float("-inf")


class CachingPod:
    """One pod's cache over a store and the secret store."""

    def __init__(self, clock: TickingClock, source: CountingSource, shelf: FakeShelf) -> None:
        self.clock = clock
        self.journal = RecordingJournal()
        self.revocations = Revocations()
        self.vault = FakeVault(clock, shelf)
        self.cache = CredentialCache(
            revocations=self.revocations,
            clock=clock,
            journal=self.journal,
            fingerprint_key=bytes(32),
            memory_ttl=30,
            life=300,
            max_entries=100,
        )
        shelf.listeners.append(self.cache)
        self.source = self.reading(source)

    def reading(self, source: CountingSource, origin: str = "here") -> CachedSource:
        return CachedSource(self.cache, source, service="ledger", origin=origin, store=self.vault)

    async def secret(
        self,
        tenant: str = "",
        *,
        newer_than: float = ANY,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> str:
        found = await self.source.read(tenant, newer_than=newer_than, rejected=rejected, worked=worked)
        return found.client_secret.reveal()

    async def credentials(self) -> Credentials:
        return await self.source.read("", newer_than=ANY)


class TwoPods:
    def __init__(self) -> None:
        self.clock = TickingClock()
        self.aws = CountingSource(self.clock)
        self.shelf = FakeShelf()
        self.a, self.b = (CachingPod(self.clock, self.aws, self.shelf) for _ in "ab")


@pytest.fixture
async def fleet() -> TwoPods:
    return TwoPods()


async def test_b60_memory_answers_for_a_while_then_the_store_then_the_secret_store(fleet: TwoPods) -> None:
    """One look a memory life, one question a store life."""
    for _ in range(10):
        assert await fleet.a.secret() == "canary-1"
    assert (fleet.a.vault.looks, len(fleet.aws.reads)) == (1, 1)
    await fleet.clock.advance(31)
    await fleet.a.secret()
    assert (fleet.a.vault.looks, len(fleet.aws.reads)) == (2, 1)
    await fleet.clock.advance(270)
    await fleet.a.secret()
    assert len(fleet.aws.reads) == 2


async def test_b60_one_pod_reads_for_all(fleet: TwoPods) -> None:
    """What one has read the others find, under the tenant's and service's own key."""
    assert [await pod.secret("acme") for pod in (fleet.a, fleet.b)] == ["canary-1"] * 2
    assert fleet.aws.reads == ["acme"]
    assert list(fleet.shelf.values) == ["tenant:acme:m2m:ledger:credentials"]
    await fleet.b.secret("globex")
    assert fleet.aws.reads == ["acme", "globex"]


async def test_b60_callers_share_one_read(fleet: TwoPods) -> None:
    """A hundred at once, one question."""
    fleet.aws.takes = 1
    reading = asyncio.gather(*(fleet.a.secret() for _ in range(100)))
    await fleet.clock.advance(2)
    assert await reading == ["canary-1"] * 100
    assert len(fleet.aws.reads) == 1


async def test_b29_a_renewal_reads_the_secret_store_itself(fleet: TwoPods) -> None:
    """Neither memory nor store is new enough; what was read is there for all."""
    await fleet.a.secret()
    fleet.aws.current = "canary-2"
    assert await fleet.a.secret(newer_than=fleet.clock.now()) == "canary-2"
    await fleet.clock.advance(31)
    assert await fleet.b.secret() == "canary-2"
    assert len(fleet.aws.reads) == 2


async def test_b29_a_read_already_under_way_is_not_new_enough(fleet: TwoPods) -> None:
    """It may have seen the secret before it was rotated."""
    fleet.aws.takes = 1
    first = asyncio.create_task(fleet.a.secret())
    await settle()
    fleet.aws.current = "canary-2"
    second = asyncio.create_task(fleet.a.secret(newer_than=fleet.clock.now()))
    await fleet.clock.advance(3)
    assert [await first, await second] == ["canary-1", "canary-2"]


async def test_b30_rejected_credentials_are_dropped_in_every_pod(fleet: TwoPods) -> None:
    """In memory and in the store, with one bust; the next read loads from the secret store, once for the fleet."""
    rejected = await fleet.a.credentials()
    assert await fleet.b.secret() == "canary-1"
    fleet.aws.current = "canary-2"
    now = fleet.clock.now
    assert await fleet.a.secret(newer_than=now(), rejected=rejected) == "canary-2"
    assert await fleet.b.secret() == "canary-2"
    assert await fleet.b.secret(newer_than=now(), rejected=rejected) == "canary-2"
    assert (len(fleet.shelf.busts), len(fleet.aws.reads)) == (1, 2)
    assert [event.name for event in fleet.a.journal.events] == ["credentials_rejected"]
    assert "canary" not in repr(fleet.a.journal.events)


async def test_b30_many_rejections_at_once_are_one(fleet: TwoPods) -> None:
    """Tokens that share credentials all learn of it at the same moment."""
    rejected = await fleet.a.credentials()
    fleet.aws.current, fleet.aws.takes = "canary-2", 1
    again = [fleet.a.secret(newer_than=fleet.clock.now(), rejected=rejected) for _ in range(20)]
    reading = asyncio.gather(*again)
    await fleet.clock.advance(2)
    assert await reading == ["canary-2"] * 20
    assert (len(fleet.shelf.busts), len(fleet.aws.reads)) == (1, 2)


async def test_i3_without_others_nothing_is_dropped(fleet: TwoPods) -> None:
    """No bust, no message, no event; memory and store go on serving them, and the secret store is read once."""
    refused = await fleet.a.credentials()
    await fleet.b.secret()
    for pod in (fleet.a, fleet.a, fleet.b):
        assert await pod.secret(newer_than=fleet.clock.now(), rejected=refused) == "canary-1"
    assert len(fleet.aws.reads) == 2
    assert (fleet.shelf.busts, fleet.a.journal.events, fleet.b.journal.events) == ([], [], [])
    assert len(fleet.shelf.values) == len(fleet.a.cache.held()) == len(fleet.b.cache.held()) == 1
    assert [await pod.secret() for pod in (fleet.a, fleet.b)] == ["canary-1"] * 2
    assert len(fleet.aws.reads) == 2


@pytest.mark.parametrize("worked", [True, False])
async def test_t10_fifty_refusals_at_once_are_one_reading(fleet: TwoPods, worked: bool) -> None:
    """Tokens that share credentials, some refused when the reading was over."""
    refused = await fleet.a.credentials()
    fleet.aws.takes = 1

    async def after(seconds: float) -> str:
        await fleet.clock.sleep(seconds)
        return await fleet.a.secret(newer_than=fleet.clock.now(), rejected=refused, worked=worked)

    reading = asyncio.gather(*(after(number / 20) for number in range(50)))
    await fleet.clock.advance(4)
    assert await reading == ["canary-1"] * 50
    assert (len(fleet.aws.reads), fleet.shelf.busts) == (2, [])


async def test_t10_the_secret_store_is_read_once_a_window(fleet: TwoPods) -> None:
    """As often as a refused request is tried again, so a rotation is noticed by the next."""
    refused = await fleet.a.credentials()
    for number in range(1, 5):
        await fleet.a.secret(rejected=refused)
        await fleet.clock.advance(WINDOW - 0.1)
        await fleet.a.secret(rejected=refused)
        assert len(fleet.aws.reads) == 1 + number
        await fleet.clock.advance(0.2)
    fleet.aws.current = "canary-2"
    assert await fleet.a.secret(rejected=refused) == "canary-2"
    assert (len(fleet.shelf.busts), await fleet.b.secret()) == (1, "canary-2")


async def test_t10_a_window_is_the_fleets(fleet: TwoPods) -> None:
    """What another pod has just read is not read again; after the window it is, by one of them."""
    refused = await fleet.a.credentials()
    for number in range(1, 4):
        await fleet.clock.advance(WINDOW + 0.1)
        for pod in (fleet.a, fleet.b):
            assert await pod.secret(rejected=refused) == "canary-1"
        assert len(fleet.aws.reads) == 1 + number


async def test_t10_without_the_store_each_pod_reads_once_a_window(fleet: TwoPods) -> None:
    """There is no other pod to share it with."""
    fleet.a.vault.reachable = False
    refused = await fleet.a.credentials()
    for _ in range(3):
        await fleet.a.secret(rejected=refused)
    assert len(fleet.aws.reads) == 2
    fleet.aws.current = "canary-2"
    await fleet.clock.advance(WINDOW + 0.1)
    assert await fleet.a.secret(rejected=refused) == await fleet.a.secret() == "canary-2"
    assert len(fleet.aws.reads) == 3


@pytest.mark.parametrize("error", [TokenRefused("denied", ""), TokenUnavailable("throttled", 0.0)])
async def test_t10_a_reading_that_fails_drops_nothing(
    fleet: TwoPods, error: TokenRefused | TokenUnavailable
) -> None:
    """It counts as the window's; those held go on serving the requests that they serve."""
    refused = await fleet.a.credentials()
    fleet.aws.error = error
    with pytest.raises(type(error), match=str(error)):
        await fleet.a.secret(rejected=refused)
    assert await fleet.a.secret(rejected=refused) == "canary-1"
    assert len(fleet.aws.reads) == 2
    assert await fleet.a.secret() == await fleet.b.secret() == "canary-1"
    assert (fleet.shelf.busts, fleet.a.journal.events) == ([], [])


async def test_t10_others_read_by_a_renewal_are_others(fleet: TwoPods) -> None:
    """They lie in the store, or in memory: the refused ones are bust, and nothing is read."""
    for pod, held in ((fleet.a, True), (fleet.b, False)):
        refused = await pod.credentials()
        fleet.aws.current += "x"
        new = await fleet.a.secret(newer_than=fleet.clock.now())
        reads = len(fleet.aws.reads)
        assert await pod.secret(rejected=refused) == new
        assert (len(fleet.aws.reads), len(fleet.shelf.busts)) == (reads, 1 if held else 2)


async def test_t10_other_refused_credentials_have_a_window_of_their_own(fleet: TwoPods) -> None:
    """Rotated twice in a second."""
    first = await fleet.a.credentials()
    fleet.aws.current = "canary-2"
    assert await fleet.a.secret(rejected=first) == "canary-2"
    second = await fleet.a.credentials()
    fleet.aws.current = "canary-3"
    assert await fleet.a.secret(rejected=second) == "canary-3"
    assert (len(fleet.aws.reads), len(fleet.shelf.busts)) == (3, 2)


async def test_t10_versions_in_rotation_count_only_where_the_request_has_worked(fleet: TwoPods) -> None:
    """They are given to all callers that are refused in the window, and displace nothing."""
    refused = await fleet.a.credentials()
    fleet.aws.other = "canary-2"
    assert await fleet.a.secret(rejected=refused) == "canary-1"
    for _ in range(3):
        assert await fleet.a.secret(rejected=refused, worked=True) == "canary-2"
    assert (len(fleet.aws.reads), fleet.shelf.busts, await fleet.a.secret()) == (3, [], "canary-1")


async def test_t10_an_accepted_version_displaces_the_refused_one(fleet: TwoPods) -> None:
    """In every pod, with one bust for any number of requests."""
    refused = await fleet.a.credentials()
    await fleet.b.secret()
    fleet.aws.other = "canary-2"
    found = await fleet.a.source.read("", newer_than=ANY, rejected=refused, worked=True)
    assert found.interim
    for _ in range(3):
        await fleet.a.source.adopt("", found, refused=refused)
    assert [await pod.secret() for pod in (fleet.a, fleet.b)] == ["canary-2"] * 2
    assert (len(fleet.shelf.busts), len(fleet.aws.reads)) == (1, 2)
    assert [event.name for event in fleet.a.journal.events] == ["credentials_rejected"]


async def test_t10_credentials_accepted_since_have_a_new_window(fleet: TwoPods) -> None:
    """Refused before the server knew them, then in use, then rotated: all in one window."""
    await fleet.a.secret()
    fleet.aws.current, fleet.aws.other = "canary-2", "canary-1"
    early = await fleet.a.source.read("", newer_than=fleet.clock.now())
    previous = await fleet.a.source.read("", newer_than=ANY, rejected=early, worked=True)
    await fleet.a.source.adopt("", previous, refused=early)
    refused = await fleet.a.credentials()
    assert await fleet.a.secret(rejected=refused, worked=True) == "canary-2"
    accepted = await fleet.a.credentials()
    fleet.aws.current = "canary-3"
    assert await fleet.a.secret(rejected=accepted, worked=True) == "canary-3"


async def test_t10_credentials_that_another_pod_found_accepted_have_a_new_window(fleet: TwoPods) -> None:
    """The same, but this pod learns of it from the others."""
    await fleet.a.secret()
    fleet.aws.current, fleet.aws.other = "canary-2", "canary-1"
    early = await fleet.a.source.read("", newer_than=fleet.clock.now())
    assert await fleet.b.secret(rejected=await fleet.b.credentials(), worked=True) == "canary-1"
    previous = await fleet.a.source.read("", newer_than=ANY, rejected=early, worked=True)
    await fleet.a.source.adopt("", previous, refused=early)
    refused = await fleet.a.credentials()
    assert await fleet.a.secret(rejected=refused, worked=True) == "canary-2"
    accepted = await fleet.b.credentials()
    fleet.aws.current = "canary-3"
    assert await fleet.b.secret(rejected=accepted, worked=True) == "canary-3"


async def test_b30_a_bust_during_a_read_keeps_its_answer_out_of_the_store(fleet: TwoPods) -> None:
    """Nothing resurrects what was rejected."""
    rejected = await fleet.a.credentials()
    await fleet.clock.advance(301)
    fleet.aws.takes = 1
    reading = asyncio.create_task(fleet.b.secret())
    await settle()
    fleet.aws.current = "canary-2"
    telling = asyncio.create_task(fleet.a.secret(newer_than=fleet.clock.now(), rejected=rejected))
    await fleet.clock.advance(2)
    assert [await reading, await telling] == ["canary-1", "canary-2"]
    ((_, kept, _, _),) = fleet.shelf.values.values()
    assert kept.client_secret.reveal() == "canary-2"


async def test_b61_a_missing_secret_is_remembered_for_a_few_seconds(fleet: TwoPods) -> None:
    """For every caller; then it is looked for again."""
    fleet.aws.error = TokenRefused("missing", "")
    for _ in range(5):
        with pytest.raises(TokenRefused, match="missing"):
            await fleet.a.secret()
    assert len(fleet.aws.reads) == 1
    await fleet.clock.advance(5.1)
    fleet.aws.error = None
    assert await fleet.a.secret() == "canary-1"


async def test_b61_an_outage_is_not_remembered(fleet: TwoPods) -> None:
    """The next one asks."""
    fleet.aws.error = TokenUnavailable("throttled", 0.0)
    for _ in range(3):
        with pytest.raises(TokenUnavailable, match="throttled"):
            await fleet.a.secret()
    fleet.aws.error = None
    assert await fleet.a.secret() == "canary-1"
    assert len(fleet.aws.reads) == 4


async def test_b61_in_an_outage_old_credentials_are_better_than_none(fleet: TwoPods) -> None:
    """Over their time, and for a renewal too; but they are no others than those that were refused."""
    rejected = await fleet.a.credentials()
    fleet.aws.error = TokenUnavailable("throttled", 0.0)
    await fleet.clock.advance(3600)
    assert await fleet.a.secret() == "canary-1"
    assert await fleet.a.secret(newer_than=fleet.clock.now()) == "canary-1"
    with pytest.raises(TokenUnavailable):
        await fleet.a.secret(newer_than=fleet.clock.now(), rejected=rejected)


async def test_b60_without_the_store_each_pod_reads_for_itself(fleet: TwoPods) -> None:
    """As often as the store's life, not as memory's."""
    fleet.a.vault.reachable = fleet.b.vault.reachable = False
    for pod in (fleet.a, fleet.b):
        await pod.secret()
    await fleet.clock.advance(200)
    await fleet.a.secret()
    assert len(fleet.aws.reads) == 2


async def test_b60_a_store_that_comes_back_empty_costs_no_question(fleet: TwoPods) -> None:
    """Memory still has them."""
    await fleet.a.secret()
    fleet.shelf.values.clear()
    await fleet.clock.advance(31)
    await fleet.a.secret()
    assert len(fleet.aws.reads) == 1


async def test_b46_an_empty_store_does_not_bring_back_what_was_bust_meanwhile(fleet: TwoPods) -> None:
    """A pod that missed the message knows it by the generation."""
    rejected = await fleet.a.credentials()
    await fleet.b.secret()
    fleet.shelf.listeners.remove(fleet.b.cache)
    fleet.aws.current = "canary-2"
    await fleet.a.secret(newer_than=fleet.clock.now(), rejected=rejected)
    fleet.shelf.values.clear()
    await fleet.clock.advance(31)
    assert await fleet.b.secret() == "canary-2"


async def test_b60_another_secret_under_the_same_name_is_another(fleet: TwoPods) -> None:
    """The configuration has changed: neither memory nor store holds what it asks for now."""
    await fleet.a.secret()
    fleet.aws.current = "canary-2"
    moved = fleet.a.reading(fleet.aws, "there")
    found = await moved.read("", newer_than=ANY)
    assert found.client_secret.reveal() == "canary-2"


@pytest.mark.parametrize(
    ("labels", "dropped"),
    [
        ({}, 1),
        ({"service": "ledger"}, 1),
        ({"tenant": "acme", "service": "ledger"}, 1),
        ({"tenant": "globex"}, 0),
        ({"user": "alice"}, 0),
    ],
)
async def test_b52_selects_drop_credentials_too(fleet: TwoPods, labels: dict[str, str], dropped: int) -> None:
    """By tenant and by service, in memory and when they come from the store."""
    await fleet.a.secret("acme")
    await fleet.b.secret("acme")
    selector, now = parse_selector(labels), fleet.clock.now()
    fleet.a.revocations.add(selector, now)
    assert fleet.a.cache.evict_selected(selector, now) == dropped
    assert fleet.b.cache.evict_revoked() == 0
    await fleet.a.secret("acme")
    assert len(fleet.aws.reads) == 1 + dropped


async def test_b46_what_was_bust_during_a_gap_is_dropped(fleet: TwoPods) -> None:
    """By generation."""
    await fleet.a.secret()
    (key,) = fleet.a.cache.held()
    assert fleet.a.cache.evict_behind({key: 0}) == 0
    assert fleet.a.cache.evict_behind({key: 7}) == 1
    assert fleet.a.cache.held() == {}


async def test_b84_memory_is_bounded(fleet: TwoPods) -> None:
    """However many tenants there are."""
    for number in range(300):
        await fleet.a.secret(f"t{number}")
    assert len(fleet.a.cache.held()) == 100


async def test_o1_a_fault_of_another_place_is_not_this_places(fleet: TwoPods) -> None:
    """A reload corrects the secret's name: it is read at once."""
    fleet.aws.error = TokenRefused("missing", "")
    with pytest.raises(TokenRefused, match="missing"):
        await fleet.a.secret()
    fleet.aws.error = None
    found = await fleet.a.reading(fleet.aws, "there").read("", newer_than=ANY)
    assert found.client_secret.reveal() == "canary-1"


async def test_o1_credentials_of_a_removed_entry_are_dropped(fleet: TwoPods) -> None:
    """Held ones, refused ones and those tried meanwhile; the others stay, and a late reading is not kept."""
    cache = fleet.a.cache
    other = fleet.a.reading(fleet.aws, "there")
    for source in (fleet.a.source, other):
        for tenant in ("acme", "globex"):
            held = await source.read(tenant, newer_than=ANY)
            fleet.aws.current = "canary-2"
            await source.read(tenant, newer_than=ANY, rejected=held)
            fleet.aws.current = "canary-1"
    for _ in cache.configure(lambda key: key.origin == "there" and key.tenant == "acme"):
        pass
    assert {held.owner.tenant for held in cache._memory} == {"acme"}
    await fleet.a.source.read("globex", newer_than=ANY)
    assert set(cache.held()) == {"tenant:acme:m2m:ledger:credentials"}
