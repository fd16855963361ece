"""Clients of the certified authorization server with their keys, and upstreams that query it."""

import json
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.support.processes import Process, get
from tests.support.upstream import INVALID_TOKEN, OK, Exchange, Upstream, refusal
from tests.support.wire_client import ask
from tests.system.oidc.server import OidcServer

ASKING = {
    "grant_types": ["client_credentials"],
    "redirect_uris": [],
    "response_types": [],
    "scope": "ledger.read",
}
POSTING = {**ASKING, "token_endpoint_auth_method": "client_secret_post"}
UPSTREAM = {"client_id": "upstream", "client_secret": "canary of the upstream's own"}
RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS384", "PS512"), RSA),
    "PS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def public_jwk(algorithm: str) -> dict[str, object]:
    key = KEYS[algorithm].public_key()
    if isinstance(key, rsa.RSAPublicKey):
        members = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        members = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        members = OKPAlgorithm.to_jwk(key, as_dict=True)
    return {**members, "kid": f"kid {algorithm}", "alg": algorithm}


def pem(algorithm: str) -> str:
    return KEYS[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class AskingUpstream(Upstream):
    """Admits requests with a token that is active at the authorization server."""

    def __init__(self, oidc: OidcServer) -> None:
        super().__init__()
        self._oidc = oidc

    async def ask(self, endpoint: str, **form: str) -> Mapping[str, object]:
        """POST a form to one of the server's endpoints, "" for tokens, as the upstream; return what it says."""
        url = f"{self._oidc.token_endpoint}/{endpoint}".rstrip("/")
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data={**UPSTREAM, **form}) as answer,
        ):
            assert answer.status == 200
            told: Mapping[str, object] = json.loads(await answer.read() or b"{}")
            return told

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        told = await self.ask("introspection", token=exchange.received.token)
        await exchange.send(OK if told["active"] else refusal(INVALID_TOKEN))


def written(path: Path, content: str) -> dict[str, str]:
    path.write_text(content)
    return {"file": str(path)}


def routes(upstream: Upstream, tokens: Mapping[str, object]) -> list[Mapping[str, object]]:
    """One for each token, under its name."""
    return [
        {"name": name, "match": {"prefix": f"/{name}"}, "upstream": upstream.url, "token": name}
        for name in tokens
    ]


async def statuses(process: Process, names: Mapping[str, object], *fields: bytes) -> dict[str, int]:
    """What a request with these fields is answered on each route; nothing secret is logged meanwhile."""
    found = {name: (await ask(process.address, get(f"/{name}".encode(), *fields))).status for name in names}
    assert b"canary" not in process.stdout + process.stderr
    return found
