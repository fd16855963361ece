"""Requests that bring a token of their caller's: each is answered with what that caller may see, and no other."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.core.backoff import REFUSAL_LIFE
from sidecar.oauth.fetch_limit import BURST
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.aws import Aws
from tests.support.clock import FakeClock
from tests.support.processes import File, get, route, run
from tests.support.redis_server import RedisServer
from tests.support.sidecar import Start
from tests.support.unsigned_jwt import jwt
from tests.support.upstream import Upstream
from tests.support.wire_client import ask


@dataclass
class Around:
    """A sidecar to start, a file with a token, and the servers around it."""

    start: Start
    path: Path
    authorization_server: AuthorizationServer
    upstream: Upstream


@pytest.fixture
def around(
    sidecar: Start, tmp_path: Path, authorization_server: AuthorizationServer, upstream: Upstream
) -> Around:
    path = tmp_path / "token"
    path.write_text("canary-of-the-file")
    return Around(sidecar, path, authorization_server, upstream)


EXCHANGE = {"grant": "token_exchange", "subject": {"header": "Authorization"}}
OWN_FIELD = {"grant": "token_exchange", "subject": {"header": "X-Subject", "type": "jwt"}}


def alice(clock: FakeClock, **more: object) -> str:
    claims: Mapping[str, object] = {"sub": "alice", "exp": clock.now() + 1000, **more}
    return jwt(**claims)


async def test_b63_each_caller_gets_a_token_for_what_it_brings(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Asked for once for each; opaque ones too. The upstream sees ours only, whatever the field."""
    async with sidecar(token=EXCHANGE) as running:
        for subject in (b"canary-alice", b"canary-bob", b"canary-alice"):
            assert (await running.get(b"/", b"Authorization: Bearer " + subject)).status == 200
    forms = authorization_server.forms
    assert [form["subject_token"] for form in forms] == [["canary-alice"], ["canary-bob"]]
    assert forms[0]["subject_token_type"] == ["urn:ietf:params:oauth:token-type:access_token"]
    assert upstream.tokens == ["canary-token-1", "canary-token-2", "canary-token-1"]


async def test_b63_the_subject_never_reaches_the_upstream(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """The field is left out in any case, with what some upstreams take for it; Authorization is replaced as ever."""
    subject = alice(clock).encode()
    async with sidecar(token=OWN_FIELD) as running:
        for name in (b"X-Subject", b"x-SUBJECT"):
            twin, other = b"X_Subject: " + subject, b"X-Subject2: kept"
            answer = await running.get(
                b"/", twin, name + b": " + subject, b"Authorization: Basic eDp5", other
            )
            assert answer.status == 200
    assert len(authorization_server.forms) == 1
    for received in upstream.requests:
        assert subject not in received.head.raw
        assert received.values("X-Subject2") == [b"kept"]
        assert len(received.values("Authorization")) == 1


async def test_b63_without_a_good_subject_nobody_is_asked(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """401 with a problem of ours; neither the authorization server nor the upstream gets a request."""
    async with sidecar(token=OWN_FIELD) as running:
        for fields in (
            (),
            (b"X-Subject: canary",),
            (b"X-Subject: ",),
            (b"X_Subject: " + alice(clock).encode(),),
            (b"X-Subject: " + alice(clock, exp=clock.now() - 1).encode(),),
            (b"X-Subject: " + alice(clock).encode(), b"X-Subject: " + alice(clock, sub="bob").encode()),
        ):
            answer = await running.get(b"/", *fields)
            assert answer.status == 401
            assert answer.values("WWW-Authenticate") == [b"Bearer"]
            assert b"bad_subject" in answer.body
    assert (authorization_server.requests, upstream.requests) == ([], [])


async def test_b64_what_was_got_for_a_subject_ends_with_it(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """Its own expiry is an hour away; the subject's is not, and after it the caller gets 401."""
    short = b"X-Subject: " + alice(clock, exp=clock.now() + 100).encode()
    async with sidecar(token=OWN_FIELD) as running:
        assert (await running.get(b"/", short)).status == 200
        (held,) = await running.tokens()
        assert float(str(held["expires_in"])) <= 100
        await clock.advance(101)
        assert (await running.get(b"/", short)).status == 401
    assert len(authorization_server.requests) == 1


async def test_b64_a_users_tokens_are_bust_by_name(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """All of this user's, and no other's."""
    who = [b"X-Subject: " + alice(clock, sub=name).encode() for name in ("alice", "bob")]
    async with sidecar(token=OWN_FIELD) as running:
        for field in who:
            await running.get(b"/", field)
        await running.app.bust(frozenset({("user", "alice")}))
        await clock.advance(1)
        for field in who:
            await running.get(b"/", field)
    assert upstream.tokens == ["canary-token-1", "canary-token-2", "canary-token-3", "canary-token-2"]


async def test_b20_a_callers_refused_token_heals_for_that_caller(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """The same subject is presented again; the others keep their tokens."""
    who = [b"X-Subject: " + alice(clock, sub=name).encode() for name in ("alice", "bob")]
    async with sidecar(token=OWN_FIELD) as running:
        for field in who:
            await running.get(b"/", field)
        authorization_server.revoke("canary-token-1")
        await clock.advance(1)
        for field in who:
            assert (await running.get(b"/", field)).status == 200
    assert upstream.tokens[2:] == ["canary-token-1", "canary-token-3", "canary-token-2"]
    subjects = [form["subject_token"] for form in authorization_server.forms]
    assert subjects[0] == subjects[2] != subjects[1]


async def test_a_subject_per_request_is_not_warmed_up(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock
) -> None:
    """There is no subject yet."""
    async with sidecar(token=EXCHANGE):
        await clock.advance(5)
    assert authorization_server.requests == []


BY_HEADER = {"header": "X-Subject"}
EXCHANGED = "token_exchange"


@pytest.mark.parametrize(
    ("grant", "code", "presented", "status"),
    [
        (EXCHANGED, "invalid_grant", {"subject": BY_HEADER}, 401),
        (EXCHANGED, "invalid_request", {"subject": BY_HEADER}, 502),
        (EXCHANGED, "unsupported_token_type", {"subject": BY_HEADER}, 502),
        (EXCHANGED, "access_denied", {"subject": BY_HEADER}, 401),
        (EXCHANGED, "access_denied", {"subject": {}}, 502),
        ("jwt_bearer", "access_denied", {"subject": BY_HEADER}, 401),
        ("jwt_bearer", "jti_known", {"subject": BY_HEADER}, 401),
        ("jwt_bearer", "jti_known", {"subject": {}}, 502),
        (EXCHANGED, "invalid_token", {"subject": BY_HEADER}, 401),
        (EXCHANGED, "invalid_target", {"subject": BY_HEADER}, 502),
        (EXCHANGED, "invalid_scope", {"subject": BY_HEADER}, 502),
        (EXCHANGED, "unauthorized_client", {"subject": BY_HEADER}, 502),
        (EXCHANGED, "", {"subject": BY_HEADER}, 502),
        (EXCHANGED, "invalid_grant", {"subject": {}, "actor": BY_HEADER}, 401),
        (EXCHANGED, "invalid_grant", {"subject": {}}, 502),
        (EXCHANGED, "invalid_request", {"subject": {}, "actor": {}}, 502),
        ("jwt_bearer", "invalid_grant", {"subject": BY_HEADER}, 401),
        ("jwt_bearer", "invalid_request", {"subject": BY_HEADER}, 502),
        ("jwt_bearer", "invalid_grant", {"subject": {}}, 502),
        ("client_credentials", "invalid_grant", {}, 502),
    ],
)
async def test_b70_whose_fault_it_is_that_there_is_no_token(
    around: Around, grant: str, code: str, presented: dict[str, dict[str, str]], status: int
) -> None:
    """The caller's, whose token is not accepted: 401. Ours in every other case: 502, as without callers."""
    given = {role: where or {"file": str(around.path)} for role, where in presented.items()}
    refusal = json_answer(400, {"error": code} if code else {})
    around.authorization_server.script(refusal, refusal)
    async with around.start(token={"grant": grant, **given}) as running:
        for _ in range(2):  # remembered: asked once
            answer = await running.get(b"/", b"X-Subject: canary-subject")
            assert answer.status == status
            told = json.loads(answer.body)
            assert told["error"] == ("bad_subject" if status == 401 else "token_refused")
            assert code in told["detail"]
            assert (b"Bearer" in answer.values("WWW-Authenticate")) == (status == 401)
    assert len(around.authorization_server.requests) == 1
    assert around.upstream.requests == []


async def test_i1_a_callers_fault_raises_no_alarm(around: Around) -> None:
    """It is counted by itself, and is no trouble of the token; a disabled realm is."""
    denied = json_answer(
        403, {"error": "access_denied", "error_description": "Client is not within the token audience"}
    )
    disabled = json_answer(403, {"error": "access_denied", "error_description": "Realm not enabled"})
    around.authorization_server.script(denied, disabled)
    async with around.start(token=EXCHANGE) as running:
        caller = await running.get(b"/", b"Authorization: Bearer canary-alice")
        troubles = await running.rows("tokens")
        ours = await running.get(b"/", b"Authorization: Bearer canary-bob")
        (trouble,) = await running.rows("tokens")
    failures = running.events("token_fetch_failed")
    assert (caller.status, ours.status, troubles) == (401, 502, [])
    assert [failure["outcome"] for failure in failures] == ["bad_subject", "refused"]
    assert trouble["error_description"] == "Realm not enabled"


async def test_i2_invalid_request_is_the_callers_once_an_exchange_has_succeeded(around: Around) -> None:
    """Until then the configuration is suspected: 502, and the log says what to check."""
    refusal = json_answer(400, {"error": "invalid_request", "error_description": "Invalid token"})
    around.authorization_server.script(refusal)
    async with around.start(token=EXCHANGE) as running:

        async def status(name: bytes) -> int:
            return (await running.get(b"/", b"Authorization: Bearer canary-" + name)).status

        assert [await status(b"alice"), await status(b"bob")] == [502, 200]
        around.authorization_server.script(refusal)
        assert await status(b"carol") == 401


async def test_b70_a_refused_subject_is_remembered_for_itself(around: Around) -> None:
    """For a few seconds; other subjects cause a request at once."""
    around.authorization_server.script(json_answer(400, {"error": "invalid_grant"}))
    async with around.start(token=EXCHANGE) as running:

        async def status(name: bytes) -> int:
            return (await running.get(b"/", b"Authorization: Bearer canary-" + name)).status

        assert [await status(b"alice"), await status(b"bob"), await status(b"alice")] == [401, 200, 401]
        await running.clock.advance(REFUSAL_LIFE)
        assert await status(b"alice") == 200
    asked = [form["subject_token"][0] for form in around.authorization_server.forms]
    assert asked == ["canary-alice", "canary-bob", "canary-alice"]


async def test_b84_bringing_rubbish_wears_nobody_out(around: Around, aws: Aws) -> None:
    """A limited number causes requests, then 429; our secret is read once, and known subjects are still served."""
    aws.create("app", {"client_id": "me", "client_secret": "canary-secret"})
    secret = {"id": aws.name("app"), "region": "eu-west-1", "endpoint": aws.url}
    refusals = [json_answer(status, {"error": "invalid_grant"}) for status in (400, 401)]
    async with around.start(token=EXCHANGE, credentials={"app": {"aws_secret": secret}}) as running:

        async def answer(name: str) -> int:
            return (await running.get(b"/", b"Authorization: Bearer canary-" + name.encode())).status

        assert await answer("alice") == 200
        around.authorization_server.script(*refusals * BURST)
        told = [await answer(f"rubbish-{number}") for number in range(BURST + 50)]
        asked = told.count(401)
        assert told[:BURST] == [401] * BURST
        assert set(told) == {401, 429}
        assert BURST <= asked <= BURST + 5  # the clock ticks a little at each look
        assert await answer("alice") == 200
    assert len(around.authorization_server.requests) == asked + 1
    assert len(aws.reads) == 1


@pytest.mark.parametrize("grant", ["token_exchange", "jwt_bearer"])
async def test_b65_an_assertion_may_come_with_the_request(
    sidecar: Start, authorization_server: AuthorizationServer, clock: FakeClock, grant: str
) -> None:
    """As the subject of an exchange or as the grant itself, with an actor from another field."""
    token: dict[str, object] = {"grant": grant, "subject": {"header": "X-Subject"}}
    if grant == "token_exchange":
        token["actor"] = {"header": "X-Actor"}
    subject = alice(clock)
    async with sidecar(token=token) as running:
        assert (
            await running.get(b"/", b"X-Subject: " + subject.encode(), b"X-Actor: canary-actor")
        ).status == 200
    (form,) = authorization_server.forms
    assert form["subject_token" if grant == "token_exchange" else "assertion"] == [subject]
    assert form.get("actor_token") == (["canary-actor"] if grant == "token_exchange" else None)


async def test_b63_the_subject_never_reaches_redis(
    own_redis: RedisServer, authorization_server: AuthorizationServer, upstream: Upstream, tmp_path: Path
) -> None:
    """Not even where nothing is sealed; another pod finds what the first one got for it."""
    subject = jwt(sub="alice", exp=time.time() + 1000)
    token = {**OWN_FIELD, "token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    settings = {
        "redis": {"url": own_redis.url, "encryption": "none"},
        "credentials": {"app": {"client_id": "app"}},
        "tokens": {"api": {**token, "client_auth": "none"}},
    }
    api = route(upstream, token="api")
    async with (
        run(File(tmp_path / "one.yaml"), api, **settings) as one,
        run(File(tmp_path / "other.yaml"), api, **settings) as other,
    ):
        for process in (one, other):
            request = get(b"/", b"X-Subject: " + subject.encode())
            assert (await ask(process.address, request)).status == 200
            assert subject.encode() not in process.stdout
        redis = own_redis.client()
        redis.config_set("rdbcompression", "no")  # DUMP compresses as well
        stored = [redis.dump(key) or b"" for key in redis.keys("*")]
        assert any(b"canary-token-1" in value for value in stored)
        assert not any(subject.encode() in value for value in [*redis.keys("*"), *stored])
        redis.close()
    assert len(authorization_server.requests) == 1
