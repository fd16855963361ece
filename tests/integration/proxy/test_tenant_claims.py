"""Tenants that a claim of the caller's verified token names: no caller can use another's tenant."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from sidecar.oauth.unverified_jwt import unverified
from tests.support.authorization_server import PerTenant, whose
from tests.support.aws import Aws
from tests.support.clock import FakeClock
from tests.support.issuer import Callers, Issuer
from tests.support.keys import jwk
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

UUID = "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"
Claims = Mapping[str, Any]
CLAIM: Claims = {"claim": "org"}
MANY = 200
WORKERS = 8


@pytest.fixture
async def authorization_server(upstream: Upstream) -> AsyncIterator[PerTenant]:
    async with PerTenant(upstream) as server:
        yield server
        assert server.malformed == []


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as server:
        yield server


@dataclass
class Rig:
    """A sidecar to start, and the servers around it."""

    start: Start
    callers: Callers
    upstream: Upstream
    authorization_server: PerTenant

    def believing(self, **changes: object) -> AbstractAsyncContextManager[Running]:
        """Start it with a token for each caller of the trusted issuer."""
        return self.start(token=self.callers.wanted, **changes)


@pytest.fixture
def rig(
    sidecar: Start, issuer: Issuer, clock: FakeClock, upstream: Upstream, authorization_server: PerTenant
) -> Rig:
    return Rig(sidecar, Callers(issuer, clock), upstream, authorization_server)


def secret_of_each(aws: Aws, name: str) -> dict[str, object]:
    """Credentials whose secret has the tenant in its name."""
    return {"app": {"aws_secret": {"id": aws.name(name), "region": "eu-west-1", "endpoint": aws.url}}}


@pytest.mark.parametrize(
    ("rule", "claims", "tenant"),
    [
        (CLAIM, {"org": "acme"}, "acme"),
        (CLAIM, {"org": UUID.upper()}, UUID),
        ({"claim": "https://acme.test/org"}, {"https://acme.test/org": "acme"}, "acme"),
        ({**CLAIM, "default": "acme"}, {}, "acme"),
        ({**CLAIM, "default": "acme"}, {"org": "globex"}, "globex"),
        ({**CLAIM, "allow": ["globex"]}, {"org": "globex"}, "globex"),
    ],
)
async def test_b67_a_verified_callers_claim_names_the_tenant(
    rig: Rig, rule: Claims, claims: Claims, tenant: str
) -> None:
    """Whatever else the request says about tenants is none of our business."""
    token = rig.callers.token(**claims).encode()
    async with rig.believing(tenant=rule) as running:
        for _ in range(2):
            answer = await running.get(b"/x", b"Authorization: Bearer " + token, b"X-Tenant-Id: initech")
            assert answer.status == 200
        (held,) = await running.tokens()
        assert held["tenant"] == tenant
    assert whose(rig.upstream) == [tenant] * 2
    assert [line["tenant"] for line in running.events("request")] == [tenant] * 2


@pytest.mark.parametrize(
    ("rule", "claims"),
    [
        (CLAIM, {}),
        (CLAIM, {"Org": "acme"}),
        (CLAIM, {"org": ""}),
        (CLAIM, {"org": " "}),
        (CLAIM, {"org": "../acme"}),
        (CLAIM, {"org": "a/b"}),
        (CLAIM, {"org": "a:b"}),
        (CLAIM, {"org": "\u0430cme"}),
        (CLAIM, {"org": 7}),
        (CLAIM, {"org": ["acme"]}),
        ({**CLAIM, "default": "acme"}, {"org": None}),
        ({**CLAIM, "default": "acme"}, {"org": ""}),
        ({**CLAIM, "allow": ["acme"]}, {"org": "globex"}),
    ],
)
async def test_b67_a_claim_that_names_nobody_gets_nothing(
    rig: Rig, aws: Aws, rule: Claims, claims: Claims
) -> None:
    """400, and neither the secret store nor the authorization server nor the upstream gets a request."""
    token = rig.callers.token(**claims).encode()
    async with rig.believing(tenant=rule, credentials=secret_of_each(aws, "{tenant}/x")) as running:
        answer = await running.get(b"/", b"Authorization: Bearer " + token, b"X-Tenant-Id: acme")
    named = claims.get("org")
    word = "unknown_tenant" if isinstance(named, str) and named.strip() else "bad_request"
    assert (answer.status, json.loads(answer.body)["error"]) == (400, word)
    assert (rig.upstream.requests, aws.reads, rig.authorization_server.requests) == ([], [], [])


async def test_b66_nobody_is_believed_about_a_tenant_before_the_token_is_verified(rig: Rig) -> None:
    """Another's signature, another's audience, no signature: 401, whatever the claim says."""
    forged = [
        rig.callers.token("p256", "ES256", org="acme"),
        rig.callers.token(aud="another", org="acme"),
        rig.callers.token(algorithm="none", org="acme"),
    ]
    async with rig.believing(tenant=CLAIM) as running:
        for token in forged:
            assert await rig.callers.ask(running, token) == 401
    assert (rig.upstream.requests, rig.authorization_server.requests) == ([], [])


async def test_b60_the_tenant_of_a_claim_has_a_secret_of_its_own(rig: Rig, aws: Aws) -> None:
    """Read under its name, once for all its users."""
    names = ("acme", "globex")
    for name in names:
        aws.create(f"{name}-app", {"client_id": name, "client_secret": f"canary-{name}"})
    async with rig.believing(tenant=CLAIM, credentials=secret_of_each(aws, "{tenant}-{service}")) as running:
        for user in ("alice", "bob"):
            for name in names:
                assert await rig.callers.ask(running, rig.callers.token(sub=user, org=name)) == 200
    assert [name for name, _ in aws.reads] == [f"{name}-app" for name in names]
    assert rig.authorization_server.clients == [(name, f"canary-{name}") for name in names] * 2


async def test_b68_no_token_crosses_from_one_claims_tenant_to_another(rig: Rig, issuer: Issuer) -> None:
    """On kept connections that change the caller with every request, and lie about the tenant in a field."""
    issuer.keys = [json.loads(jwk("p256", kid="two"))]
    names = [f"t{number}" for number in range(MANY)]
    tokens = {name: rig.callers.token("p256", "ES256", "two", sub=f"of-{name}", org=name) for name in names}

    async def work(running: Running, worker: int) -> None:
        client = await running.connect()
        for number in range(MANY):
            name = names[(number * 7 + worker) % MANY]
            shown = b"Authorization: Bearer " + tokens[name].encode()
            lie = b"X-Tenant-Id: " + names[number].encode()
            assert (await client.ask(running.request(b"GET", f"/{name}".encode(), shown, lie))).status == 200
        await client.close()

    async with rig.believing(tenant=CLAIM) as running:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(work(running, worker) for worker in range(WORKERS)))
    asked = [call.head.line.split(b" ")[1].removeprefix(b"/").decode() for call in rig.upstream.requests]
    assert len(asked) == MANY * WORKERS
    assert whose(rig.upstream) == asked
    subjects = [str(unverified(form["subject_token"][0])["org"]) for form in rig.authorization_server.forms]
    assert rig.authorization_server.asked == subjects
    assert sorted(subjects) == sorted(names)
