"""RFC 8693 and RFC 7523 at a certified authorization server: its own tokens and its clients' keys decide what counts.

What it does not have built in of the two grants is in tests/system/oidc/grants.mjs.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import jwt
import pytest

from sidecar.oauth.request_form import GRANT_TYPES
from sidecar.oauth.unverified_jwt import unverified
from tests.support.processes import File, run
from tests.support.upstream import Upstream, refusal
from tests.system.oidc.clients import (
    ASKING,
    POSTING,
    UPSTREAM,
    AskingUpstream,
    pem,
    public_jwk,
    routes,
    statuses,
    written,
)
from tests.system.oidc.server import Client, OidcServer

pytestmark = pytest.mark.unmeasured

ID = "gateway: 100% +/&"
SECRET = "canary secret: 50% +/&=?#~"
SIGNERS = ("RS256", "PS256", "ES256", "EdDSA")
CLIENTS: list[Client] = [
    {**ASKING, "client_id": ID, "client_secret": SECRET, "grant_types": list(GRANT_TYPES.values())},
    {**POSTING, **UPSTREAM},
    *(
        {
            **ASKING,
            "client_id": f"signer {algorithm}",
            "grant_types": [GRANT_TYPES["jwt_bearer"]],
            "token_endpoint_auth_method": "none",
            "jwks": {"keys": [public_jwk(algorithm)]},
        }
        for algorithm in SIGNERS
    ),
]
RESOURCE = "https://ledger.test/a?b=c&d"
SUBJECT = {"header": "X-Subject"}


@pytest.fixture
def login(tmp_path: Path) -> Mapping[str, object]:
    return {"client_id": ID, "client_secret": written(tmp_path / "secret", SECRET)}


async def issued(upstream: AskingUpstream, **more: str) -> str:
    """A token of another client's: opaque, or with a resource a JWT."""
    return str((await upstream.ask("", grant_type="client_credentials", **more))["access_token"])


async def test_b63_a_certified_server_takes_each_exchange(
    oidc: OidcServer, upstream: AskingUpstream, file: File, login: Mapping[str, object], tmp_path: Path
) -> None:
    """Opaque tokens and JWTs, from the request and from files, with an actor and for a named audience."""
    opaque, signed = await issued(upstream), await issued(upstream, resource=RESOURCE)
    from_file = written(tmp_path / "opaque", opaque)
    tokens: dict[str, dict[str, object]] = {
        "brought": {"subject": SUBJECT},
        "opaque": {"subject": from_file, "requested_token_type": "access_token"},
        "jwt": {"subject": {**written(tmp_path / "jwt", signed), "type": "jwt"}},
        "actor": {"subject": SUBJECT, "actor": {**written(tmp_path / "actor", signed), "type": "jwt"}},
        "audience": {"subject": from_file, "audience": UPSTREAM["client_id"], "scope": ["ledger.read"]},
    }
    for token in tokens.values():
        token.update(grant="token_exchange", issuer=oidc.issuer, credentials="app")
    async with run(file, *routes(upstream, tokens), credentials={"app": login}, tokens=tokens) as process:
        shown = b"X-Subject: Bearer " + opaque.encode()
        assert await statuses(process, tokens, shown) == dict.fromkeys(tokens, 200)
    assert len({opaque, signed, *upstream.tokens}) == 2 + len(tokens)


async def test_b65_a_certified_server_exchanges_for_a_resource(
    oidc: OidcServer, upstream: AskingUpstream, file: File, login: Mapping[str, object]
) -> None:
    """What is got is for the resource asked for, in either grant (RFC 8707)."""
    subject = await issued(upstream)
    token = {"grant": "token_exchange", "issuer": oidc.issuer, "credentials": "app", "subject": SUBJECT}
    tokens = {"app": {**token, "resource": [RESOURCE]}}
    async with (
        Upstream() as ledger,
        run(file, *routes(ledger, tokens), credentials={"app": login}, tokens=tokens) as process,
    ):
        assert await statuses(process, tokens, b"X-Subject: " + subject.encode()) == {"app": 200}
    assert unverified(ledger.tokens[0])["aud"] == RESOURCE


async def test_b63_a_certified_server_refuses_wrong_exchanges(
    oidc: OidcServer, upstream: AskingUpstream, file: File, login: Mapping[str, object], tmp_path: Path
) -> None:
    """So that its yes means something. What the caller brought is its own fault: 401; the rest is ours: 502."""
    subject, revoked = await issued(upstream), await issued(upstream)
    await upstream.ask("revocation", token=revoked)
    dead = {**written(tmp_path / "dead", revoked)}
    tokens: dict[str, dict[str, object]] = {
        "good": {"subject": SUBJECT},
        "type": {"subject": {**SUBJECT, "type": "id_token"}},
        "actor": {"subject": SUBJECT, "actor": dead},
        "file": {"subject": dead},
        "audience": {"subject": SUBJECT, "audience": "nobody"},
        "scope": {"subject": SUBJECT, "scope": ["ledger.write"]},
    }
    for token in tokens.values():
        token.update(grant="token_exchange", issuer=oidc.issuer, credentials="app")
    async with run(file, *routes(upstream, tokens), credentials={"app": login}, tokens=tokens) as process:
        good = await statuses(process, tokens, b"X-Subject: " + subject.encode())
        assert good == {"good": 200, "type": 401, "actor": 502, "file": 502, "audience": 502, "scope": 502}
        assert await statuses(process, {"good": {}}, b"X-Subject: " + revoked.encode()) == {"good": 401}
    assert len(upstream.requests) == 1


async def test_b65_a_certified_server_takes_assertions_we_sign(
    oidc: OidcServer, upstream: AskingUpstream, file: File, tmp_path: Path
) -> None:
    """With each kind of key, for the issuer or the endpoint; each is taken once, so a renewal signs another."""
    credentials = {
        algorithm: {
            "client_id": f"signer {algorithm}",
            "private_key": {
                **written(tmp_path / algorithm, pem(algorithm)),
                "algorithm": algorithm,
                "kid": f"kid {algorithm}",
            },
        }
        for algorithm in SIGNERS
    }
    signing = {"grant": "jwt_bearer", "client_auth": "none", "assertion": {"subject": "alice"}}
    tokens = {name: {**signing, "issuer": oidc.issuer, "credentials": name} for name in SIGNERS}
    tokens["endpoint"] = {**signing, "token_endpoint": oidc.token_endpoint, "credentials": "ES256"}
    async with run(file, *routes(upstream, tokens), credentials=credentials, tokens=tokens) as process:
        assert await statuses(process, tokens) == dict.fromkeys(tokens, 200)
        upstream.script(refusal())
        assert await statuses(process, tokens) == dict.fromkeys(tokens, 200)
    assert len(set(upstream.tokens)) == len(tokens) + 1


async def test_b65_a_certified_server_takes_assertions_that_others_sign(
    oidc: OidcServer, upstream: AskingUpstream, file: File, login: Mapping[str, object], tmp_path: Path
) -> None:
    """From the request or from a file, beside our own credentials; not for another audience, nor by another key."""

    def assertion(algorithm: str = "ES256", **claims: object) -> str:
        good = {"iss": "signer ES256", "sub": "alice", "aud": oidc.issuer, "jti": uuid4().hex}
        return jwt.encode({**good, "exp": time.time() + 60, **claims}, pem(algorithm), algorithm)

    path = written(tmp_path / "assertion", assertion())
    tokens: dict[str, dict[str, object]] = {"brought": {"subject": SUBJECT}, "file": {"subject": path}}
    for token in tokens.values():
        token.update(grant="jwt_bearer", issuer=oidc.issuer, credentials="app")
    async with run(file, *routes(upstream, tokens), credentials={"app": login}, tokens=tokens) as process:
        good = b"X-Subject: " + assertion().encode()
        assert await statuses(process, tokens, good) == {"brought": 200, "file": 200}
        for bad in (assertion(aud="https://elsewhere.test"), assertion("EdDSA"), assertion(iss="nobody")):
            shown = b"X-Subject: " + bad.encode()
            assert await statuses(process, {"brought": {}}, shown) == {"brought": 401}
    assert len(upstream.requests) == 2
