"""A certified authorization server, not one of ours, decides whether our token requests are right.

Upstreams ask it about each token they are shown, as RFC 7662 has it: 200 means that it issued that token and has
not revoked it.
"""

import asyncio
import time
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
import trustme

from sidecar.oauth.unverified_jwt import unverified
from tests.support.processes import File, run
from tests.support.upstream import Upstream, refusal
from tests.support.waiting import PATIENCE
from tests.system.oidc.clients import (
    ASKING,
    KEYS,
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

ODD_ID = "the app: 100% +/& more"
ODD_SECRET = "canary secret: 50% +/&=?#~"

CLIENTS: list[Client] = [
    {**ASKING, "client_id": ODD_ID, "client_secret": ODD_SECRET},
    {
        **ASKING,
        "client_id": f"{ODD_ID}2",
        "client_secret": ODD_SECRET,
        "token_endpoint_auth_method": "client_secret_post",
    },
    {**POSTING, **UPSTREAM},
    *(
        {
            **ASKING,
            "client_id": f"{ODD_ID} {algorithm}",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm,
            "jwks": {"keys": [public_jwk(algorithm)]},
        }
        for algorithm in KEYS
    ),
]


async def test_b62_a_certified_server_accepts_each_way_to_authenticate(
    oidc: OidcServer, upstream: AskingUpstream, file: File, tmp_path: Path
) -> None:
    """Ids and secrets with spaces, colons, plus, slash, percent and ampersand; found by issuer or named."""
    secret = written(tmp_path / "secret", ODD_SECRET)
    credentials: dict[str, object] = {
        "basic": {"client_id": ODD_ID, "client_secret": secret},
        "post": {"client_id": f"{ODD_ID}2", "client_secret": secret},
    }
    tokens: dict[str, dict[str, object]] = {
        "basic": {"issuer": oidc.issuer},
        "post": {"token_endpoint": oidc.token_endpoint, "client_auth": "client_secret_post"},
    }
    for algorithm in KEYS:
        key = written(tmp_path / algorithm, pem(algorithm))
        credentials[algorithm] = {
            "client_id": f"{ODD_ID} {algorithm}",
            "private_key": {**key, "algorithm": algorithm, "kid": f"kid {algorithm}"},
        }
        tokens[algorithm] = {"issuer": oidc.issuer, "client_auth": "private_key_jwt"}
    tokens["endpoint-as-audience"] = {
        "token_endpoint": oidc.token_endpoint,
        "client_auth": "private_key_jwt",
        "credentials": "ES256",
    }
    for name, token in tokens.items():
        token.setdefault("credentials", name)
        token["scope"] = ["ledger.read"]
    async with run(file, *routes(upstream, tokens), credentials=credentials, tokens=tokens) as process:
        assert await statuses(process, tokens) == dict.fromkeys(tokens, 200)
    assert len(set(upstream.tokens)) == len(tokens)


async def test_b62_a_certified_server_accepts_somebody_elses_assertions(
    oidc: OidcServer, upstream: AskingUpstream, file: File, tmp_path: Path
) -> None:
    """Each is good for one request there, so the file is read again for each of ours."""
    path = tmp_path / "assertion"

    def renew() -> None:
        client = f"{ODD_ID} ES256"
        claims = {
            "iss": client,
            "sub": client,
            "aud": oidc.issuer,
            "jti": uuid4().hex,
            "exp": time.time() + 60,
        }
        path.write_text(jwt.encode(claims, pem("ES256"), "ES256", {"kid": "kid ES256"}))

    renew()
    credentials = {"app": {"client_id": f"{ODD_ID} ES256", "assertion_file": str(path)}}
    tokens = {"app": {"issuer": oidc.issuer, "credentials": "app", "client_auth": "client_assertion_file"}}
    async with run(file, *routes(upstream, tokens), credentials=credentials, tokens=tokens) as process:
        assert await statuses(process, tokens) == {"app": 200}
        upstream.script(refusal())
        assert await statuses(process, tokens) == {"app": 401}  # used before: no other token for it
        renew()
        async with asyncio.timeout(PATIENCE):
            while await statuses(process, tokens) != {"app": 200}:  # the refusal is remembered for a while
                await asyncio.sleep(0.2)
    assert len(set(upstream.tokens)) == 2


async def test_b62_a_certified_server_refuses_the_wrong_proof(
    oidc: OidcServer, upstream: AskingUpstream, file: File, tmp_path: Path
) -> None:
    """So that its yes means something: a wrong secret, another's key, a foreign audience, a scope not ours."""
    secret, wrong = written(tmp_path / "right", ODD_SECRET), written(tmp_path / "wrong", f"{ODD_SECRET}!")
    key = written(tmp_path / "key", pem("PS256"))
    credentials = {
        "right": {"client_id": ODD_ID, "client_secret": secret},
        "wrong": {"client_id": ODD_ID, "client_secret": wrong},
        "key": {"client_id": f"{ODD_ID} RS256", "private_key": key},
        "audience": {"client_id": f"{ODD_ID} PS256", "private_key": {**key, "algorithm": "PS256"}},
    }
    tokens: dict[str, dict[str, object]] = {
        "wrong": {},
        "key": {"client_auth": "private_key_jwt"},
        "audience": {"client_auth": "private_key_jwt", "assertion_audience": "https://elsewhere.test"},
        "scope": {"credentials": "right", "scope": ["ledger.write"]},
    }
    for name, token in tokens.items():
        token.setdefault("credentials", name)
        token["issuer"] = oidc.issuer
    async with run(file, *routes(upstream, tokens), credentials=credentials, tokens=tokens) as process:
        assert await statuses(process, tokens) == dict.fromkeys(tokens, 502)
    assert upstream.requests == []


async def test_b65_a_certified_server_takes_resource_indicators(
    oidc: OidcServer, file: File, tmp_path: Path
) -> None:
    """The token's audience is the resource asked for (RFC 8707); another resource, another token."""
    credentials = {"app": {"client_id": ODD_ID, "client_secret": written(tmp_path / "secret", ODD_SECRET)}}
    tokens = {
        name: {"issuer": oidc.issuer, "credentials": "app", "resource": [f"https://{name}.test/a?b=c&d"]}
        for name in ("one", "other")
    }
    async with (
        Upstream() as upstream,
        run(file, *routes(upstream, tokens), credentials=credentials, tokens=tokens) as process,
    ):
        assert await statuses(process, tokens) == dict.fromkeys(tokens, 200)
    audiences = [unverified(token)["aud"] for token in upstream.tokens]
    assert audiences == ["https://one.test/a?b=c&d", "https://other.test/a?b=c&d"]


async def test_b20_a_token_revoked_at_a_certified_server_is_replaced_in_the_same_request(
    oidc: OidcServer, upstream: AskingUpstream, file: File, tmp_path: Path
) -> None:
    """RFC 7009: the server does not know the token any more, the upstream refuses it, the client gets its 200."""
    tokens = {"app": {"issuer": oidc.issuer, "credentials": "app", "client_auth": "client_secret_post"}}
    secret = written(tmp_path / "secret", UPSTREAM["client_secret"])
    login = {"client_id": UPSTREAM["client_id"], "client_secret": secret}
    async with run(file, *routes(upstream, tokens), credentials={"app": login}, tokens=tokens) as process:
        assert await statuses(process, tokens) == {"app": 200}
        await upstream.ask("revocation", token=upstream.tokens[-1])
        assert await statuses(process, tokens) == {"app": 200}
        assert await statuses(process, tokens) == {"app": 200}
        assert (await process.logs("resent"))["outcome"] == "healed"
    first, refused, successor, last = upstream.tokens
    assert first == refused != successor == last


async def test_b62_a_certified_server_accepts_our_certificate(file: File, tmp_path: Path) -> None:
    """RFC 8705, with an authority of its own on both sides; without the certificate it does not."""
    ca = trustme.CA()
    ours, theirs = ca.issue_cert("client.test"), ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    tls = {
        "key": theirs.private_key_pem.bytes().decode(),
        "cert": theirs.cert_chain_pems[0].bytes().decode(),
        "ca": ca.cert_pem.bytes().decode(),
    }
    client = {
        **ASKING,
        "client_id": ODD_ID,
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "client.test",
    }
    with OidcServer([client], tls) as oidc:
        server = {"issuer": oidc.issuer, "credentials": "app", "tls": {"ca_file": str(tmp_path / "ca.pem")}}
        shown = {**server["tls"], "certificate_file": str(tmp_path / "client.pem")}  # type: ignore[dict-item]
        tokens = {
            "shown": {**server, "client_auth": "tls_client_auth", "tls": shown},
            "kept": {**server, "client_auth": "none"},
        }
        async with (
            Upstream() as upstream,
            run(
                file, *routes(upstream, tokens), credentials={"app": {"client_id": ODD_ID}}, tokens=tokens
            ) as process,
        ):
            assert await statuses(process, tokens) == {"shown": 200, "kept": 502}
