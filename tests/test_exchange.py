"""Exchange: one token request from credentials to token."""

import json
from collections.abc import Mapping

import pytest

from sidecar.core.credentials import Credentials
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.events import TokenFetched, TokenFetchFailed
from sidecar.core.ports import Reply
from sidecar.core.secret import Secret, fingerprint
from sidecar.core.token import TokenRequest
from sidecar.exchange import Exchange
from tests.fakes import FakeClock, RecordingJournal

ANY = float("-inf")
KEY = b"k" * 32
REQUEST = TokenRequest(
    name="ledger",
    token_endpoint="https://auth.test/token",
    credentials="ledger-client",
    service="ledger-client",
    client_auth="client_secret_post",
)


class RotatingCredentials:
    """A source whose secret is `current`; it counts how often it was read and what was demanded."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.current = "s1"
        self.demands: list[float] = []
        self.rejected: list[Credentials | None] = []
        self._held: Credentials | None = None

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        self.demands.append(newer_than)
        self.rejected.append(rejected)
        if self._held is None or self._held.read_at <= newer_than:
            self._held = Credentials("me", Secret(self.current), self._clock.now())
        return self._held


class ScriptedEndpoint:
    """Answers by the secret it is sent; `accepted` is the one it likes."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.accepted = "s1"
        self.takes = 0.0
        self.reply: Reply | None = None
        self.forms: list[str] = []

    async def post(self, url: str, headers: Mapping[str, str], form: str) -> Reply:
        self.forms.append(form)
        if self.takes:
            await self._clock.advance(self.takes)
        if self.reply is not None:
            return self.reply
        if f"client_secret={self.accepted}" not in form:
            return Reply(401, "application/json", b'{"error":"invalid_client"}')
        body = {"access_token": "canary", "token_type": "Bearer", "expires_in": 100}
        return Reply(200, "application/json", json.dumps(body).encode())


class Rig:
    """An exchange among fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.credentials = RotatingCredentials(self.clock)
        self.endpoint = ScriptedEndpoint(self.clock)
        self.journal = RecordingJournal()
        self.exchange = Exchange(
            credentials={"ledger-client": self.credentials},
            endpoint=self.endpoint,
            clock=self.clock,
            journal=self.journal,
            fingerprint_key=KEY,
            leeway=60,
        )

    def failures(self) -> list[TokenFetchFailed]:
        return [event for event in self.journal.events if isinstance(event, TokenFetchFailed)]


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_a_token_counts_its_life_from_when_the_request_was_sent(rig: Rig) -> None:
    """It never outlives the server's own idea of it, and says when its fetch began."""
    began = rig.clock.now()
    rig.endpoint.takes = 2
    token = await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert (token.fetch_began, token.expires_at, token.fresh_until) == (began, began + 100, began + 50)
    assert token.authorization == b"Bearer canary"


async def test_the_journal_hears_of_it_without_the_secret(rig: Rig) -> None:
    """Name, fingerprint, life, duration, reason."""
    rig.endpoint.takes = 2
    await rig.exchange.token(REQUEST, newer_than=ANY, reason="aging")
    fp = fingerprint(KEY, "canary")
    assert rig.journal.events == [
        TokenFetched("ledger", "ledger-client", "", fp, expires_in=98, duration_ms=2000, reason="aging")
    ]
    assert "canary" not in repr(rig.journal.events)


async def test_b29_the_demand_for_newer_reaches_the_credentials(rig: Rig) -> None:
    """A renewal reads them again from their source: revoked token and rotated secret heal together."""
    await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    rig.credentials.current = rig.endpoint.accepted = "s2"
    await rig.clock.advance(10)
    await rig.exchange.token(REQUEST, newer_than=rig.clock.now() - 1, reason="refused")
    assert len(rig.endpoint.forms) == 2
    assert rig.failures() == []


async def test_b30_rejected_credentials_are_read_again_and_tried_once_more(rig: Rig) -> None:
    """The secret was rotated since it was read."""
    await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    rig.credentials.current = rig.endpoint.accepted = "s2"
    await rig.clock.advance(10)
    token = await rig.exchange.token(REQUEST, newer_than=ANY, reason="aging")
    assert token.authorization == b"Bearer canary"
    assert len(rig.endpoint.forms) == 3
    assert len(rig.failures()) == 1
    assert rig.credentials.rejected[:2] == [None, None]
    rejected = rig.credentials.rejected[2]
    assert rejected is not None
    assert rejected.client_secret.reveal() == "s1"


async def test_b30_credentials_rejected_twice_are_a_refusal(rig: Rig) -> None:
    """Two requests, never three."""
    rig.endpoint.accepted = "nobody has this"
    with pytest.raises(TokenRefused) as raised:
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert raised.value.code == "invalid_client"
    assert len(rig.endpoint.forms) == 2
    assert [event.outcome for event in rig.failures()] == ["refused", "refused"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(400, "application/json", b'{"error":"invalid_scope"}'), TokenRefused),
        (Reply(302, "", b""), TokenRefused),
        (Reply(503, "", b"", "7"), TokenUnavailable),
        (Reply(200, "text/html", b"<html>"), TokenUnavailable),
    ],
)
async def test_b70_anything_else_is_asked_once(rig: Rig, reply: Reply, error: type[Exception]) -> None:
    """Refusals and outages go up as they are; the journal hears which it was."""
    rig.endpoint.reply = reply
    with pytest.raises(error):
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert len(rig.endpoint.forms) == 1
    (failure,) = rig.failures()
    assert failure.outcome == ("refused" if error is TokenRefused else "unavailable")
    assert failure.retry_after == (7 if reply.retry_after else 0)


@pytest.mark.parametrize(
    ("expires_in", "takes"),
    [(0, 0), (-10, 0), (5, 5), (5, 9)],
    ids=["zero", "negative", "just over", "slow answer"],
)
async def test_b07_a_token_that_is_dead_on_arrival_is_refused(
    rig: Rig, expires_in: int, takes: float
) -> None:
    """It is neither cached nor sent."""
    body = json.dumps({"access_token": "canary", "expires_in": expires_in}).encode()
    rig.endpoint.reply = Reply(200, "application/json", body)
    rig.endpoint.takes = takes
    with pytest.raises(TokenRefused, match=r"auth\.test.*already expired"):
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
