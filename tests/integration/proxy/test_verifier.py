"""Callers' tokens are verified before any request is made with them."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
import yaml

from sidecar.config.load import load
from sidecar.oauth.jwks import EARLY
from tests.support.authorization_server import AuthorizationServer
from tests.support.clock import FakeClock
from tests.support.issuer import Callers, Issuer
from tests.support.keys import jwk
from tests.support.processes import File
from tests.support.sidecar import Start
from tests.support.upstream import Upstream


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as server:
        yield server


@pytest.fixture
def callers(issuer: Issuer, clock: FakeClock) -> Callers:
    return Callers(issuer, clock)


async def test_b66_only_believable_subjects_reach_the_authorization_server(
    sidecar: Start,
    callers: Callers,
    clock: FakeClock,
    authorization_server: AuthorizationServer,
    upstream: Upstream,
) -> None:
    """Rubbish is answered 401, and neither server gets a request."""
    good = callers.token()
    rubbish = [
        "canary",
        callers.token(iss="https://evil.test"),
        callers.token(aud="another"),
        callers.token(exp=clock.now() - 1),
        callers.token(nbf=clock.now() + 1000),
        callers.token("p256", "ES256"),
        callers.token(algorithm="PS256"),
        callers.token(algorithm="none"),
        good[:-10] + "AAAAAAAAAA",
    ]
    async with sidecar(token=callers.wanted) as running:
        for token in rubbish:
            assert await callers.ask(running, token) == 401
        assert (authorization_server.requests, upstream.requests) == ([], [])
        assert await callers.ask(running, good) == 200
    assert [form["subject_token"] for form in authorization_server.forms] == [[good]]


async def test_b66_keys_are_asked_for_once_and_again_for_a_new_one(
    sidecar: Start, callers: Callers, issuer: Issuer, clock: FakeClock
) -> None:
    """A rotated key is found at once, but unknown ones do not make us hammer the issuer."""
    async with sidecar(token=callers.wanted) as running:
        for sub in ("a", "b", "c"):
            assert await callers.ask(running, callers.token(sub=sub)) == 200
        assert issuer.looked == 1
        for _ in range(5):
            await clock.advance(1)
            assert await callers.ask(running, callers.token("p256", "ES256", "two")) == 401
        assert issuer.looked == 1 + EARLY
        issuer.keys = [json.loads(jwk("p256", kid="two"))]
        await clock.advance(31)
        assert await callers.ask(running, callers.token("p256", "ES256", "two")) == 200
        assert issuer.looked == 2 + EARLY


async def test_i6_a_new_key_counts_at_once(
    sidecar: Start, callers: Callers, issuer: Issuer, clock: FakeClock
) -> None:
    """Also a second after the last look; a bad signature under a known key is no reason to look."""
    async with sidecar(token=callers.wanted) as running:
        assert await callers.ask(running, callers.token()) == 200
        await clock.advance(1)
        for _ in range(5):
            assert await callers.ask(running, callers.token()[:-10] + "AAAAAAAAAA") == 401
        assert issuer.looked == 1
        issuer.keys = [json.loads(jwk("p256", kid="two"))]
        new = [callers.token("p256", "ES256", "two", sub=sub) for sub in "abcde"]
        assert await asyncio.gather(*(callers.ask(running, token) for token in new)) == [200] * 5
        assert issuer.looked == 2


async def test_i6_after_a_look_that_failed_there_is_the_pause(
    sidecar: Start, callers: Callers, issuer: Issuer, clock: FakeClock
) -> None:
    """An issuer that is unavailable gets no request, whatever keys callers name."""
    async with sidecar(token=callers.wanted) as running:
        assert await callers.ask(running, callers.token()) == 200
        await clock.advance(1)
        issuer.out = True
        for _ in range(5):
            assert await callers.ask(running, callers.token("p256", "ES256", "two")) == 401
        asked = len(issuer.requests)
        await clock.advance(5)
        assert await callers.ask(running, callers.token("p256", "ES256", "three")) == 401
        assert len(issuer.requests) == asked


async def test_b66_a_withdrawn_key_is_believed_no_more(
    sidecar: Start, callers: Callers, issuer: Issuer, clock: FakeClock
) -> None:
    """Neither for new callers nor for known ones."""
    async with sidecar(token=callers.wanted) as running:
        token = callers.token()
        assert await callers.ask(running, token) == 200
        issuer.keys = []
        await clock.advance(301)
        assert await callers.ask(running, token) == 401


async def test_b66_keys_outlive_an_outage_of_their_issuer(
    sidecar: Start, callers: Callers, issuer: Issuer, clock: FakeClock
) -> None:
    """Known ones still count; without any no token can be verified, which is an outage and no refusal."""
    async with sidecar(token=callers.wanted) as running:
        issuer.out = True
        assert await callers.ask(running, callers.token()) == 503
        asked = len(issuer.requests)
        assert await callers.ask(running, callers.token()) == 503
        assert len(issuer.requests) == asked
        issuer.out = False
        await clock.advance(31)
        assert await callers.ask(running, callers.token()) == 200
        issuer.out = True
        await clock.advance(301)
        assert await callers.ask(running, callers.token(sub="bob")) == 200


async def test_b66_keys_outlive_a_reload(
    sidecar: Start, file: File, callers: Callers, issuer: Issuer, clock: FakeClock
) -> None:
    """Also one in the middle of an outage of their issuer."""
    async with sidecar(token=callers.wanted) as running:
        assert await callers.ask(running, callers.token()) == 200
        issuer.out = True
        file.change(drain_timeout="2ms")
        await running.app.reload(load(str(file.path), {}))
        assert await callers.ask(running, callers.token(sub="bob")) == 200


@pytest.mark.parametrize("given", [("issuer",), ("issuer", "jwks_uri")])
async def test_b66_keys_may_be_behind_a_private_authority(
    sidecar: Start, clock: FakeClock, tmp_path: Path, given: tuple[str, ...]
) -> None:
    """The issuer's metadata and keys are fetched with the settings of `tls`; an untrusted authority's are not used."""
    ca, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    for name, authority in (("theirs", ca), ("another", trustme.CA())):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    async with Issuer(tls) as issuer:
        callers = Callers(issuer, clock)
        callers.rule = {**callers.rule, "jwks_uri": f"{issuer.url}/keys"} if len(given) > 1 else callers.rule
        trusting = {"tls": {"ca_file": str(tmp_path / "theirs")}}
        mistaken = {"tls": {"ca_file": str(tmp_path / "another")}}
        for more, expected in ((trusting, 200), (mistaken, 503), ({}, 503)):
            subject = {"header": "Authorization", "verify": {**callers.rule, **more}}
            async with sidecar(token={"grant": "token_exchange", "subject": subject}) as running:
                assert await callers.ask(running, callers.token()) == expected


async def test_b66_what_one_authority_vouches_for_another_does_not(
    sidecar: Start, file: File, clock: FakeClock, tmp_path: Path
) -> None:
    """Keys from an authority that the configuration trusted before are not used when it trusts another one."""
    ca, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    ca.cert_pem.write_to_path(str(tmp_path / "ca"))
    async with Issuer(tls) as issuer:
        callers = Callers(issuer, clock)
        callers.rule["tls"] = {"ca_file": str(tmp_path / "ca")}
        async with sidecar(token=callers.wanted) as running:
            assert await callers.ask(running, callers.token()) == 200
            trustme.CA().cert_pem.write_to_path(str(tmp_path / "other"))
            callers.rule["tls"] = {"ca_file": str(tmp_path / "other")}
            tokens = yaml.safe_load(file.path.read_text())["tokens"]
            file.change(tokens={"api": {**tokens["api"], **callers.wanted}})
            await running.app.reload(load(str(file.path), {}))
            assert await callers.ask(running, callers.token(sub="bob")) == 503
