"""Exchange: one token request from credentials to token."""

import json
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.secret import Secret, SecretFile, fingerprint
from sidecar.credentials.model import FileCredentials, FixedCredentials, SecretFileCredentials
from sidecar.credentials.sources.local import source_of
from sidecar.oauth.ports import Reply
from sidecar.oauth.signing_keys import PrivateKey, SigningKey
from sidecar.oauth.token import Assertion, ClientAuth, FetchReason, Presented, TokenRequest
from sidecar.telemetry.events import TokenFetched
from tests.support.token_fetcher_rig import ANY, KEY, REQUEST, Rig
from tests.support.unsigned_jwt import jwt


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
    await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    rig.credentials.current, rig.endpoint.accepted = "s2", "nobody has this"
    with pytest.raises(TokenRefused) as raised:
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert raised.value.code == "invalid_client"
    assert len(rig.endpoint.forms) == 3
    assert [event.outcome for event in rig.failures()] == ["refused", "refused"]


JSON = "application/json"
REFUSALS = {
    "401": Reply(401, JSON, b'{"error":"invalid_client"}'),
    "401, empty": Reply(401, "", b""),
    "401, another word": Reply(401, JSON, b'{"error":"invalid_request"}'),
    "invalid_client": Reply(400, JSON, b'{"error":"invalid_client"}'),
    "unauthorized_client": Reply(400, JSON, b'{"error":"unauthorized_client"}'),
    "access_denied": Reply(403, JSON, b'{"error":"access_denied"}'),
    "errorCode": Reply(400, JSON, b'{"errorCode":"invalid_client"}'),
    "invalid_grant": Reply(400, JSON, b'{"error":"invalid_grant"}'),
    "with a blank": Reply(400, JSON, b'{"error":"Invalid client"}'),
    "403, HTML": Reply(403, "text/html", b"<html>Forbidden</html>"),
    "404": Reply(404, "", b""),
    "form": Reply(400, "application/x-www-form-urlencoded", b"error=unauthorized_client"),
    "200 with an error": Reply(200, JSON, b'{"error":"incorrect_client_credentials"}'),
    "200 without a token": Reply(200, JSON, b'{"success":false,"message":"bad client"}'),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_t10_any_refusal_makes_the_source_be_read_again(rig: Rig, name: str) -> None:
    """Servers have many words for a secret that was rotated; one more request with the other heals it."""
    await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    rig.credentials.current = rig.endpoint.accepted = "s2"
    rig.endpoint.refusal = REFUSALS[name]
    token = await rig.exchange.token(REQUEST, newer_than=ANY, reason="aging")
    assert token.authorization == b"Bearer canary"
    assert [parse_qs(form)["client_secret"] for form in rig.endpoint.forms] == [["s1"], ["s1"], ["s2"]]
    assert [each is not None for each in rig.credentials.rejected] == [False, False, True]


@pytest.mark.parametrize("name", REFUSALS)
async def test_i3_where_the_source_has_no_others_the_refusal_stands(rig: Rig, name: str) -> None:
    """As the server gave it, after one request and one look."""
    rig.endpoint.reply = REFUSALS[name]
    with pytest.raises(TokenRefused, match=r"token endpoint auth\.test"):
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert len(rig.endpoint.forms) == len(rig.failures()) == 1
    assert len(rig.credentials.demands) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, JSON, b'{"error":"invalid_client"}'),
        Reply(503, JSON, b'{"error":"unauthorized_client"}'),
        Reply(400, JSON, b'{"error":"temporarily_unavailable"}'),
        Reply(408, "", b""),
        Reply(302, "", b""),
        Reply(200, "text/html", b"<html>"),
        Reply(200, JSON, b'{"access_token":"canary","token_type":"MAC"}'),
        Reply(200, JSON, b'{"access_token":"can ary","token_type":"Bearer"}'),
    ],
)
async def test_t10_what_is_no_refusal_of_the_request_is_no_reason_to_look(rig: Rig, reply: Reply) -> None:
    """Outages, redirects, and tokens that cannot be used: the credentials did not matter."""
    rig.credentials.current = "s2"
    rig.endpoint.reply = reply
    with pytest.raises((TokenRefused, TokenUnavailable)):
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="aging")
    assert len(rig.endpoint.forms) == len(rig.credentials.demands) == 1


@pytest.mark.parametrize("error", [TokenRefused("denied", ""), TokenUnavailable("throttled", 0.0)])
async def test_t10_a_source_that_cannot_be_read_again_leaves_the_refusal(
    rig: Rig, error: TokenRefused | TokenUnavailable
) -> None:
    """The server's word says more; the journal has both."""
    rig.endpoint.reply, rig.credentials.error = REFUSALS["access_denied"], error
    with pytest.raises(TokenRefused, match="access_denied"):
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert [failure.error for failure in rig.failures()][1] == str(error)


@pytest.mark.parametrize(
    ("reason", "worked"), [("cold", False), ("warm_up", False), ("aging", True), ("refused", True)]
)
async def test_t10_the_source_learns_whether_the_request_has_worked_before(
    rig: Rig, reason: FetchReason, worked: bool
) -> None:
    """Only then are versions in rotation worth a try: an unknown audience never worked."""
    rig.endpoint.reply = REFUSALS["invalid_client"]
    with pytest.raises(TokenRefused):
        await rig.exchange.token(REQUEST, newer_than=ANY, reason=reason)
    assert rig.credentials.worked == [worked]


@pytest.mark.parametrize("accepted", [True, False])
async def test_t10_interim_credentials_are_adopted_once_they_are_accepted(rig: Rig, accepted: bool) -> None:
    """Refused, they displace nothing."""
    await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    rig.credentials.current, rig.credentials.interim = "s2", True
    rig.endpoint.accepted = "s2" if accepted else "s3"
    try:
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="aging")
    except TokenRefused:
        assert not accepted
    assert rig.credentials.adopted == ([("s2", "s1")] if accepted else [])


@pytest.mark.parametrize("spec", ["both", "secret"])
async def test_t10_a_file_is_a_source_too(rig: Rig, tmp_path: Path, spec: str) -> None:
    """Replaced between the reading and the refusal; unchanged, one request is all."""
    path = tmp_path / "file"

    def write(secret: str) -> None:
        path.write_text(secret if spec == "secret" else f'{{"client_id": "me", "client_secret": "{secret}"}}')

    described = FileCredentials(str(path)) if spec == "both" else SecretFileCredentials("me", str(path))
    exchange = rig.with_credentials(source_of(described, rig.clock))
    write("s1")
    rig.endpoint.accepted, rig.endpoint.refusal = "s2", REFUSALS["unauthorized_client"]
    with pytest.raises(TokenRefused):
        await exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert len(rig.endpoint.forms) == 1
    rig.endpoint.before = lambda: write("s2")
    assert (await exchange.token(REQUEST, newer_than=ANY, reason="cold")).authorization == b"Bearer canary"
    assert len(rig.endpoint.forms) == 3


async def test_i3_credentials_in_the_configuration_are_sent_once(rig: Rig) -> None:
    """There can be no others."""
    exchange = rig.with_credentials(source_of(FixedCredentials("me", Secret("s0")), rig.clock))
    with pytest.raises(TokenRefused):
        await exchange.token(REQUEST, newer_than=ANY, reason="aging")
    assert len(rig.endpoint.forms) == 1


@pytest.mark.parametrize(
    ("where", "code", "reads"),
    [
        (Secret("canary"), "invalid_grant", 1),
        (Secret("canary"), "invalid_client", 2),
        (Secret("canary"), "", 2),
        (None, "invalid_grant", 2),
    ],
)
async def test_b30_a_callers_bad_token_is_no_word_on_our_credentials(
    rig: Rig, where: Secret | None, code: str, reads: int, tmp_path: Path
) -> None:
    """For any status: else a caller with an invalid token would have the secret read again each time."""
    path = tmp_path / "subject"
    path.write_text("canary")
    subject = Presented(
        where or SecretFile(str(path)), "hash", "urn:ietf:params:oauth:token-type:access_token"
    )
    rig.endpoint.reply = Reply(401, "application/json", json.dumps({"error": code}).encode())
    with pytest.raises(TokenRefused) as raised:
        await rig.exchange.token(
            replace(REQUEST, grant="token_exchange", subject=subject), newer_than=ANY, reason="cold"
        )
    assert raised.value.code == (code if reads == 1 else "invalid_client")
    assert (len(rig.credentials.demands), len(rig.endpoint.forms)) == (reads, 1)


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
    """Refusals and outages are raised as they are; the journal gets the event for each."""
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
        SecretFile(str(tmp_path / "key"), multiline=True),
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
    """It may be about to be mounted; the error quotes nothing of it."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    request = replace(REQUEST, client_auth="client_assertion_file", assertion_file=str(path))
    with pytest.raises(TokenUnavailable, match="token") as raised:
        await rig.exchange.token(request, newer_than=ANY, reason="cold")
    assert "canary" not in str(raised.value)
    assert [event.outcome for event in rig.failures()] == ["unavailable"]


SIGNED = replace(REQUEST, client_auth="private_key_jwt", private_key=PrivateKey(Secret("key")))
CREDENTIALS = b'{"error":"invalid_client"}'
EXPIRED = b'{"error":"invalid_grant","error_description":"JWT is expired (iat in the future)"}'


def dated(rig: Rig, ahead: float, status: int = 401, body: bytes = CREDENTIALS) -> Reply:
    """An answer of a server whose clock is that many seconds ahead."""
    date = formatdate(rig.clock.wall() + ahead, usegmt=True)
    return Reply(status, JSON, body, date=date)


GRANTED = replace(REQUEST, grant="jwt_bearer", assertion=Assertion(), private_key=SIGNED.private_key)


@pytest.mark.parametrize(
    ("request_", "ahead", "body", "hint"),
    [
        (SIGNED, 600, CREDENTIALS, "the server's clock is 600 s ahead of this machine's"),
        (SIGNED, -600, CREDENTIALS, "the server's clock is 599 s behind this machine's"),
        (SIGNED, 31, b'{"error":"invalid_grant"}', "31 s ahead"),
        (SIGNED, 86_400, b"", "86400 s ahead"),
        (GRANTED, 45, b'{"error":"invalid_grant"}', "45 s ahead"),
        (REQUEST, 600, EXPIRED, "600 s ahead"),
        (REQUEST, 600, CREDENTIALS, ""),
        (SIGNED, 29, CREDENTIALS, ""),
        (SIGNED, -30, CREDENTIALS, ""),
        (SIGNED, 0, CREDENTIALS, ""),
    ],
)
@pytest.mark.parametrize("status", [400, 401])
async def test_o3_clocks_that_differ_are_named_beside_a_refused_jwt(  # noqa: PLR0917  a table and a status
    rig: Rig, status: int, request_: TokenRequest, ahead: float, body: bytes, hint: str
) -> None:
    """By the answer's Date, where a JWT was sent or the server names a time, from 30 s on."""
    rig.endpoint.reply = dated(rig, ahead, status, body)
    with pytest.raises(TokenRefused) as raised:
        await rig.exchange.token(request_, newer_than=ANY, reason="cold")
    assert ("clock" in raised.value.hint) is bool(hint)
    assert hint in raised.value.hint
    assert rig.failures()[0].hint == raised.value.hint
    assert "clock" not in str(raised.value)


async def test_o3_clocks_that_differ_are_named_beside_a_token_that_has_expired_on_arrival(rig: Rig) -> None:
    """A clock that is ahead takes every token for expired."""
    body = json.dumps({"access_token": jwt(exp=rig.clock.wall() - 300)}).encode()
    rig.endpoint.reply = dated(rig, -600, 200, body)
    with pytest.raises(TokenRefused) as raised:
        await rig.exchange.token(REQUEST, newer_than=ANY, reason="cold")
    assert "599 s behind" in raised.value.hint


@pytest.mark.parametrize(
    ("client_auth", "advice"),
    [
        ("client_secret_post", "client secret"),
        ("private_key_jwt", "private_key"),
        ("client_assertion_file", "assertion_file"),
        ("tls_client_auth", "certificate"),
        ("none", "client_auth"),
    ],
)
async def test_o3_the_advice_names_what_the_client_has(
    rig: Rig, tmp_path: Path, client_auth: ClientAuth, advice: str
) -> None:
    """No secret where there is none."""
    (tmp_path / "assertion").write_text("canary")
    rig.endpoint.reply = Reply(401, JSON, CREDENTIALS)
    request = replace(SIGNED, client_auth=client_auth, assertion_file=str(tmp_path / "assertion"))
    with pytest.raises(TokenRefused) as raised:
        await rig.exchange.token(request, newer_than=ANY, reason="cold")
    assert advice in raised.value.hint
    assert ("secret" in raised.value.hint) is client_auth.startswith("client_secret")
