"""Discovery: the metadata of an issuer, asked for once and kept."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.tls import Tls
from sidecar.oauth.discovery import LIFE, RETRY, Discovery
from sidecar.oauth.ports import Reply
from sidecar.oauth.token import TokenRequest
from tests.support.clock import FakeClock

ISSUER = "https://auth.test"
OPENID, OAUTH = (
    f"{ISSUER}/.well-known/openid-configuration",
    f"{ISSUER}/.well-known/oauth-authorization-server",
)
REQUEST = TokenRequest(name="t", credentials="c", service="c", issuer=ISSUER)


class Documents:
    """A server that has these documents, and counts the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.has: dict[str, Reply] = {}
        self.out = False

    def publish(self, place: str, endpoint: str) -> None:
        document = {"issuer": ISSUER, "token_endpoint": endpoint}
        self.has[place] = Reply(200, "application/json", json.dumps(document).encode())

    async def get(self, url: str, tls: Tls) -> Reply:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.out:
            raise TokenUnavailable("out", 0.0)
        return self.has.get(url, Reply(404, "", b""))

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        raise AssertionError("nobody posts here")


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def documents() -> Documents:
    return Documents()


@pytest.fixture
async def discovery(documents: Documents, clock: FakeClock) -> Discovery:
    return Discovery(documents, clock)


async def test_a_configured_endpoint_needs_no_question(discovery: Discovery, documents: Documents) -> None:
    """It is the answer."""
    configured = TokenRequest(name="t", credentials="c", service="c", token_endpoint="https://x.test/t")
    assert await discovery.token_endpoint(configured) == "https://x.test/t"
    assert documents.asked == []


@pytest.mark.parametrize(("place", "questions"), [(OPENID, [OPENID]), (OAUTH, [OPENID, OAUTH])])
async def test_b65_metadata_is_asked_for_once_by_all(
    discovery: Discovery, documents: Documents, place: str, questions: list[str]
) -> None:
    """At either URL; callers that arrive during the request wait for the same answer."""
    documents.publish(place, "https://auth.test/t")
    found = await asyncio.gather(*(discovery.token_endpoint(REQUEST) for _ in range(10)))
    assert set(found) == {"https://auth.test/t"}
    assert documents.asked == questions


async def test_what_one_authority_vouches_for_another_does_not(
    discovery: Discovery, documents: Documents
) -> None:
    """Metadata from an authority that one entry trusts is not used by an entry that trusts another authority."""
    documents.publish(OPENID, "https://auth.test/t")
    theirs = replace(REQUEST, tls=Tls(ca_file="/theirs.pem"))
    assert await discovery.token_endpoint(theirs) == "https://auth.test/t"
    documents.publish(OPENID, "https://auth.test/u")
    assert await discovery.token_endpoint(REQUEST) == "https://auth.test/u"
    assert await discovery.token_endpoint(theirs) == "https://auth.test/t"


async def test_b65_metadata_is_looked_at_again_after_its_life(
    discovery: Discovery, documents: Documents, clock: FakeClock
) -> None:
    """A token endpoint may move."""
    documents.publish(OPENID, "https://auth.test/t")
    await discovery.token_endpoint(REQUEST)
    documents.publish(OPENID, "https://auth.test/t2")
    await clock.advance(LIFE - 1)
    assert await discovery.token_endpoint(REQUEST) == "https://auth.test/t"
    await clock.advance(1)
    assert await discovery.token_endpoint(REQUEST) == "https://auth.test/t2"


async def test_known_metadata_outlives_an_outage(
    discovery: Discovery, documents: Documents, clock: FakeClock
) -> None:
    """It is asked for again after a while, not by every request."""
    documents.publish(OPENID, "https://auth.test/t")
    await discovery.token_endpoint(REQUEST)
    documents.out = True
    await clock.advance(LIFE)
    for _ in range(3):
        assert await discovery.token_endpoint(REQUEST) == "https://auth.test/t"
    assert len(documents.asked) == 2
    await clock.advance(RETRY)
    await discovery.token_endpoint(REQUEST)
    assert len(documents.asked) == 3


async def test_b70_nobody_there_is_an_outage_nothing_there_a_refusal(
    discovery: Discovery, documents: Documents
) -> None:
    """And neither is kept: the next request tries again."""
    documents.out = True
    with pytest.raises(TokenUnavailable):
        await discovery.token_endpoint(REQUEST)
    documents.out = False
    documents.has[OPENID] = Reply(503, "", b"")
    with pytest.raises(TokenUnavailable, match=r"the issuer metadata of .* is unavailable"):
        await discovery.token_endpoint(REQUEST)
    del documents.has[OPENID]
    with pytest.raises(TokenRefused, match="publishes no issuer metadata"):
        await discovery.token_endpoint(REQUEST)
    documents.publish(OAUTH, "https://auth.test/t")
    assert await discovery.token_endpoint(REQUEST) == "https://auth.test/t"


async def test_metadata_that_names_no_endpoint_is_a_refusal(
    discovery: Discovery, documents: Documents
) -> None:
    """The configuration or the server must change."""
    documents.publish(OPENID, "http://auth.test/t")
    with pytest.raises(TokenRefused, match="names no token_endpoint that the sidecar may use"):
        await discovery.token_endpoint(REQUEST)
    with pytest.raises(TokenRefused, match="names no jwks_uri that the sidecar may use"):
        await discovery.jwks_uri(ISSUER, Tls())
