"""How authorization servers and secret stores are said to be."""

from collections.abc import Mapping
from email.utils import formatdate

import pytest

from sidecar.app.secret_store_health import SecretStoreHealth, Unread, UnreadSecrets
from sidecar.core.errors import TokenUnavailable
from sidecar.core.tls import Tls
from sidecar.oauth.observed import MEMORY, MOST_SERVERS, ObservedServers
from sidecar.oauth.ports import Reply
from sidecar.telemetry.events import SecretRead, SecretUnread
from sidecar.telemetry.words import SecretFault
from tests.support.clock import FakeClock

URL = "https://auth.example.com/oauth2/token"


class Server:
    """Answers with these statuses in turn; 0 for no answer."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self._date = ""

    def answer(self, status: int, date: str) -> None:
        """Answer once more, at this date."""
        self._statuses.append(status)
        self._date = date

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        status = self._statuses.pop(0)
        if not status:
            raise TokenUnavailable("no answer from auth.example.com", 0.0)
        return Reply(status, "application/json", b"{}", date=self._date)

    async def get(self, url: str, tls: Tls) -> Reply:
        return await self.post(url, {}, "", tls)


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        (200, "up", ""),
        (400, "up", ""),
        (401, "up", ""),
        (429, "down", "answered 429"),
        (503, "down", "answered 503"),
        (0, "down", "no answer from auth.example.com"),
    ],
)
async def test_what_an_authorization_server_answers_tells_how_it_is(
    status: int, state: str, why: str
) -> None:
    """A refusal is an answer; the question and its outcome are passed on as they are, documents too."""
    for method in ("post", "get"):
        clock = FakeClock()
        servers = ObservedServers(Server(status), clock)
        try:
            reply = await (servers.get(URL, Tls()) if method == "get" else servers.post(URL, {}, "", Tls()))
            assert reply.status == status
        except TokenUnavailable:
            assert status == 0
        ((host, health),) = servers.health()
        assert (host, health.state, health.why, health.since) == ("auth.example.com", state, why, clock.now())


async def test_o5_a_document_that_is_served_moves_no_failure_of_the_token_endpoint() -> None:
    """Keys that are fetched while tokens are not: it is down since the first token failed, until one is issued."""
    clock = FakeClock()
    servers = ObservedServers(Server(200, 503, 200, 503, 200, 503, 200, 200), clock)
    await servers.get(URL, Tls())
    await clock.advance(10)
    began = clock.now()
    for _ in range(3):
        assert (await servers.post(URL, {}, "", Tls())).status == 503
        await clock.advance(20)
        assert (await servers.get(URL, Tls())).status == 200
        ((_, health),) = servers.health()
        assert (health.state, health.since, health.why) == ("down", began, "answered 503")
    await servers.post(URL, {}, "", Tls())
    ((_, health),) = servers.health()
    assert (health.state, health.since) == ("up", clock.now())


async def test_o5_documents_that_fail_are_not_hidden_by_tokens() -> None:
    """Nor the other way round; documents that are no longer needed stop counting after a while."""
    clock = FakeClock()
    servers = ObservedServers(Server(0, 200, 200, 503, 200), clock)
    began = clock.now()
    with pytest.raises(TokenUnavailable):
        await servers.get(URL, Tls())
    await clock.advance(5)
    await servers.post(URL, {}, "", Tls())
    ((_, health),) = servers.health()
    assert (health.state, health.since) == ("down", began)
    await clock.advance(MEMORY)
    await servers.post(URL, {}, "", Tls())
    ((_, health),) = servers.health()
    assert (health.state, health.since) == ("up", began + 5)


async def test_servers_are_told_apart_by_host_and_bounded() -> None:
    """Metadata may name any number of them."""
    servers = ObservedServers(Server(*[200] * (MOST_SERVERS + 5)), FakeClock())
    for number in range(MOST_SERVERS + 5):
        await servers.get(f"https://user:secret@host-{number}/token?tenant=x", Tls())
    told = [host for host, _ in servers.health()]
    assert told == [f"host-{number}" for number in range(5, MOST_SERVERS + 5)]


@pytest.mark.parametrize(
    ("skews", "wrong"),
    [
        ((0,), None),
        ((29,), None),
        ((600,), 0),
        ((-600,), 0),
        ((0, 600, 600), 1),
        ((600, 590, 610), 0),
        ((600, -600), 0),
        ((600, 0), None),
        ((600, 0, 600), 2),
    ],
)
async def test_o5_a_clock_differs_since_the_first_answer_that_shows_it(
    skews: tuple[int, ...], wrong: int | None
) -> None:
    """Until one does not."""
    clock, server, moments = FakeClock(), Server(), []
    servers = ObservedServers(server, clock)
    for skew in skews:
        moments.append(clock.now())
        server.answer(200, date=formatdate(clock.wall() + skew, usegmt=True))
        await servers.post(URL, {}, "", Tls())
        await clock.advance(5)
    expected = [] if wrong is None else [moments[wrong]]
    assert [each.differs_since for each in servers.wrong_clocks()] == expected
    assert list(servers.clock_skews()) == [("auth.example.com", 443)]


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("missing", "up"),
        ("denied", "up"),
        ("malformed", "up"),
        ("unconfigured", "unknown"),
        ("throttled", "down"),
        ("unreachable", "down"),
    ],
)
async def test_a_secret_store_that_denies_a_secret_is_up(reason: SecretFault, state: str) -> None:
    """One that is not configured was not asked."""
    clock = FakeClock()
    store = SecretStoreHealth(clock)
    store.tell(SecretUnread("app", "acme", "name", reason, "what to do", 3.0))
    assert store.health.state == state
    await clock.advance(5)
    store.tell(SecretRead("app", "acme", "name", "AWSCURRENT", 3.0))
    assert store.health.state == "up"


@pytest.mark.parametrize(
    ("services", "unchanged", "state"),
    [({"app"}, {"app"}, "down"), ({"app"}, set(), "unknown"), (set(), set(), "unknown"), ({"b"}, {"b"}, "unknown")],
)  # fmt: skip
async def test_o1_health_of_a_secret_that_is_no_longer_configured_is_forgotten(
    services: set[str], unchanged: set[str], state: str
) -> None:
    """As is that of one that is read from elsewhere now; a late answer about one that is gone changes nothing."""
    health = SecretStoreHealth(FakeClock())
    health.tell(SecretUnread("app", "", "x", "unreachable", "why", 1.0))
    health.configure(services, unchanged)
    assert health.health.state == state
    health.tell(SecretUnread("gone", "", "x", "unreachable", "why", 1.0))
    assert health.health.state == state


@pytest.mark.parametrize(
    ("services", "unchanged", "left"),
    [({"app"}, {"app"}, ["app"]), ({"app"}, set(), []), (set(), set(), []), ({"b"}, {"b"}, [])],
)  # fmt: skip
async def test_c4_a_secret_that_is_no_longer_configured_is_not_unread(
    services: set[str], unchanged: set[str], left: list[str]
) -> None:
    """Nor one that is read from elsewhere now."""
    secrets = UnreadSecrets(FakeClock())
    secrets.tell(SecretUnread("app", "", "x", "denied", "why", 1.0))
    secrets.configure(services, unchanged)
    assert [unread.service for unread in secrets] == left
    secrets.tell(SecretUnread("gone", "", "x", "denied", "why", 1.0))
    assert [unread.service for unread in secrets] == left


async def test_c4_a_tenants_secret_is_unread_by_itself() -> None:
    """Since its first failed read, with the reason of the last, until it is read."""
    clock = FakeClock()
    began, secrets = clock.now(), UnreadSecrets(clock)
    reads: list[tuple[str, SecretFault]] = [("acme", "throttled"), ("initech", "missing"), ("acme", "denied")]
    for tenant, reason in reads:
        secrets.tell(SecretUnread("app", tenant, "x", reason, "why", 1.0))
        await clock.advance(30)
    secrets.tell(SecretRead("app", "initech", "x", "AWSCURRENT", 1.0))
    assert list(secrets) == [Unread("app", "acme", "denied", began, began + 60)]


async def test_o5_another_services_secret_moves_no_failure() -> None:
    """Two regions, one of which is unreachable: down since its first failure."""
    clock = FakeClock()
    store = SecretStoreHealth(clock)
    store.tell(SecretRead("b", "", "y", "AWSCURRENT", 1.0))
    await clock.advance(5)
    began = clock.now()
    for _ in range(3):
        store.tell(SecretUnread("a", "", "x", "unreachable", "why", 1.0))
        store.tell(SecretRead("b", "", "y", "AWSCURRENT", 1.0))
        assert (store.health.state, store.health.since) == ("down", began)
        await clock.advance(30)
    store.tell(SecretRead("a", "", "x", "AWSCURRENT", 1.0))
    assert (store.health.state, store.health.since) == ("up", clock.now())
