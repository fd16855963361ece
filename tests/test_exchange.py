"""Exchange: one token request from credentials to token."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from sidecar.adapters.secret_files import SecretReader
from sidecar.core.credentials import Credentials
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.events import TokenFetched, TokenFetchFailed
from sidecar.core.keys import PrivateKey, SigningKey
from sidecar.core.ports import Reply
from sidecar.core.secret import Secret, SecretFile, fingerprint
from sidecar.core.tls import Tls
from sidecar.core.token import Assertion, Presented, TokenRequest
from sidecar.discovery import Discovery
from sidecar.exchange import Exchange
from tests.core.test_subjects import jwt
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
        self.urls: list[str] = []

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        self.forms.append(form)
        self.urls.append(url)
        if self.takes:
            await self._clock.advance(self.takes)
        if self.reply is not None:
            return self.reply
        if "client_secret=" in form and f"client_secret={self.accepted}" not in form:
            return Reply(401, "application/json", b'{"error":"invalid_client"}')
        body = {"access_token": "canary", "token_type": "Bearer", "expires_in": 100}
        return Reply(200, "application/json", json.dumps(body).encode())

    async def get(self, url: str, tls: Tls) -> Reply:
        document = {"issuer": "https://auth.test", "token_endpoint": "https://auth.test/found"}
        return Reply(200, "application/json", json.dumps(document).encode())


class RecordingSigner:
    """Signs nothing, and keeps what it should have signed with which key."""

    def __init__(self) -> None:
        self.signed: list[tuple[SigningKey, Mapping[str, object], float]] = []

    async def sign(self, key: SigningKey, claims: Mapping[str, object], life: float) -> str:
        self.signed.append((key, claims, life))
        return f"signed-{len(self.signed)}"


class Rig:
    """An exchange among fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.credentials = RotatingCredentials(self.clock)
        self.endpoint = ScriptedEndpoint(self.clock)
        self.signer = RecordingSigner()
        self.journal = RecordingJournal()
        self.exchange = Exchange(
            credentials={"ledger-client": self.credentials},
            server=self.endpoint,
            discovery=Discovery(self.endpoint, self.clock),
            secrets=SecretReader(),
            signer=self.signer,
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
    ("where", "code", "reads"),
    [
        (Secret("canary"), "invalid_grant", 1),
        (Secret("canary"), "invalid_client", 2),
        (Secret("canary"), "", 2),
        (SecretFile(__file__), "invalid_grant", 2),
    ],
)
async def test_b30_a_callers_bad_token_is_no_word_on_our_credentials(
    rig: Rig, where: Secret | SecretFile, code: str, reads: int
) -> None:
    """Whatever the status: else whoever brings rubbish would have the secret read again each time."""
    subject = Presented(where, "hash", "urn:ietf:params:oauth:token-type:access_token")
    rig.endpoint.reply = Reply(401, "application/json", json.dumps({"error": code}).encode())
    with pytest.raises(TokenRefused) as raised:
        await rig.exchange.token(
            replace(REQUEST, grant="token_exchange", subject=subject), newer_than=ANY, reason="cold"
        )
    assert raised.value.code == (code if reads == 1 else "invalid_client")
    assert len(rig.credentials.demands) == len(rig.endpoint.forms) == reads


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
    ("exp", "expires_in", "takes"),
    [(0, None, 0), (-10, None, 0), (0, 0, 0), (-1, -1, 0), (5, 0, 5), (3600, 5, 5), (3600, 5, 9)],
)
async def test_b07_t3_a_token_that_has_expired_on_arrival_is_refused(
    rig: Rig, exp: int, expires_in: int | None, takes: float
) -> None:
    """It is neither cached nor sent: its `exp` is in the past, or its life is over before the answer is here."""
    token = jwt(exp=rig.clock.now() + exp)
    body = json.dumps({"access_token": token, "expires_in": expires_in}).encode()
    rig.endpoint.reply = Reply(200, "application/json", body)
    rig.endpoint.takes = takes
    with pytest.raises(TokenRefused, match=r"auth\.test.*already expired"):
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")


@pytest.mark.parametrize(("expires_in", "life"), [(0, 300), (-1, 300), ("-1", 300), (0.0, 300)])
async def test_t3_a_token_without_a_life_counts_from_when_the_request_was_sent(
    rig: Rig, expires_in: object, life: float
) -> None:
    """As every token does."""
    body = {"access_token": "canary", "token_type": "Bearer", "expires_in": expires_in}
    rig.endpoint.reply = Reply(200, "application/json", json.dumps(body).encode())
    rig.endpoint.takes = 2
    began = rig.clock.now()
    token = await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert (token.fetch_began, token.expires_at) == (began, began + life)


ACCEPTED = b'{"access_token": "canary", "expires_in": 3600}'


async def test_b65_the_token_endpoint_is_where_the_issuer_says(rig: Rig) -> None:
    """Assertions are then for the issuer, which cannot be mistaken for another server (RFC 7523 section 3)."""
    request = replace(REQUEST, token_endpoint="", issuer="https://auth.test", client_auth="private_key_jwt")
    request = replace(request, private_key=PrivateKey(Secret("key")))
    await rig.exchange.token(request, newer_than=ANY, reason="cold")
    assert rig.endpoint.urls == ["https://auth.test/found"]
    assert rig.signer.signed[0][1]["aud"] == "https://auth.test"


async def test_b62_an_assertion_of_ours_is_signed_for_each_request(rig: Rig, tmp_path: Path) -> None:
    """With the key as its file is now; it lives for a minute at most."""
    for name in ("key", "passphrase", "certificate"):
        (tmp_path / name).write_text(f"{name}-1\n")
    key = PrivateKey(
        SecretFile(str(tmp_path / "key")),
        SecretFile(str(tmp_path / "passphrase")),
        "ES256",
        "kid",
        str(tmp_path / "certificate"),
    )
    request = replace(REQUEST, client_auth="private_key_jwt", private_key=key)
    await rig.exchange.token(request, newer_than=ANY, reason="cold")
    (tmp_path / "key").write_text("key-2")
    await rig.exchange.token(replace(request, assertion_audience="aud"), newer_than=ANY, reason="cold")
    claims = {"iss": "me", "sub": "me", "aud": "https://auth.test/token"}
    first = SigningKey(Secret("key-1"), Secret("passphrase-1"), "ES256", "kid", "certificate-1")
    assert rig.signer.signed == [
        (first, claims, 60.0),
        (replace(first, text=Secret("key-2")), {**claims, "aud": "aud"}, 60.0),
    ]
    assert [parse_qs(form)["client_assertion"] for form in rig.endpoint.forms] == [["signed-1"], ["signed-2"]]


async def test_b62_an_assertion_of_somebody_elses_is_read_for_each_request(rig: Rig, tmp_path: Path) -> None:
    """The kubelet renews a projected token in its file."""
    path = tmp_path / "token"
    request = replace(REQUEST, client_auth="client_assertion_file", assertion_file=str(path))
    for content in ("one", "two"):
        path.write_text(content)
        await rig.exchange.token(request, newer_than=ANY, reason="cold")
    assert [parse_qs(form)["client_assertion"] for form in rig.endpoint.forms] == [["one"], ["two"]]


async def test_b63_subject_and_actor_are_read_for_each_request(rig: Rig, tmp_path: Path) -> None:
    """Both from their files, opaque ones too."""
    subject, actor = tmp_path / "subject", tmp_path / "actor"
    actor.write_text("actor")
    request = replace(
        REQUEST,
        grant="token_exchange",
        subject=Presented(SecretFile(str(subject)), "s", "urn:t"),
        actor=Presented(SecretFile(str(actor)), "a", "urn:t"),
    )
    for content in ("one", "two"):
        subject.write_text(content)
        await rig.exchange.token(request, newer_than=ANY, reason="cold")
    forms = [parse_qs(form) for form in rig.endpoint.forms]
    assert [form["subject_token"] for form in forms] == [["one"], ["two"]]
    assert [form["actor_token"] for form in forms] == [["actor"], ["actor"]]


async def test_b64_what_we_get_for_a_subject_lives_no_longer_and_carries_its_labels(
    rig: Rig, tmp_path: Path
) -> None:
    """So it dies with the subject, and can be bust by its user."""
    path = tmp_path / "subject"
    path.write_text(jwt(sub="alice", exp=rig.clock.now() + 100, teams=["red"]))
    request = replace(REQUEST, grant="jwt_bearer", subject=Presented(SecretFile(str(path)), "s", "urn:t"))
    rig.endpoint.reply = Reply(200, "application/json", ACCEPTED)
    token = await rig.exchange.token(request, newer_than=ANY, reason="cold")
    assert token.expires_at == rig.clock.now() + 100
    assert token.labels == {("service", "ledger-client"), ("user", "alice"), ("team", "red")}


async def test_b64_for_an_expired_subject_nobody_is_asked(rig: Rig, tmp_path: Path) -> None:
    """The next one in its file may do, so it is an outage; its message names the file, not the token."""
    path = tmp_path / "subject"
    path.write_text(token := jwt(sub="alice", exp=rig.clock.now()))
    request = replace(REQUEST, grant="token_exchange", subject=Presented(SecretFile(str(path)), "s", "urn:t"))
    with pytest.raises(TokenUnavailable, match="has expired") as raised:
        await rig.exchange.token(request, newer_than=ANY, reason="cold")
    assert str(path) in str(raised.value)
    assert token not in str(raised.value)
    assert rig.endpoint.forms == []


async def test_b65_a_jwt_bearer_grant_may_be_signed_here(rig: Rig) -> None:
    """And the client may prove itself with the same key."""
    request = replace(
        REQUEST,
        grant="jwt_bearer",
        client_auth="private_key_jwt",
        private_key=PrivateKey(Secret("key")),
        assertion=Assertion(subject="alice", claims=(("scope", "x"),)),
    )
    await rig.exchange.token(request, newer_than=ANY, reason="cold")
    proof, grant = (claims for _, claims, _ in rig.signer.signed)
    assert proof == {"iss": "me", "sub": "me", "aud": "https://auth.test/token"}
    assert grant == {"iss": "me", "sub": "alice", "aud": "https://auth.test/token", "scope": "x"}
    form = parse_qs(rig.endpoint.forms[0])
    assert (form["client_assertion"], form["assertion"]) == (["signed-1"], ["signed-2"])


@pytest.mark.parametrize("content", [None, b"", b"canary\xff"])
async def test_b70_a_file_that_cannot_be_read_is_an_outage(
    rig: Rig, tmp_path: Path, content: bytes | None
) -> None:
    """It may be about to be mounted; nothing of it is told."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    request = replace(REQUEST, client_auth="client_assertion_file", assertion_file=str(path))
    with pytest.raises(TokenUnavailable, match="token") as raised:
        await rig.exchange.token(request, newer_than=ANY, reason="cold")
    assert "canary" not in str(raised.value)
    assert [event.outcome for event in rig.failures()] == ["unavailable"]
