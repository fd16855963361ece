"""Which authorization servers a configuration names, and what is forgotten of the others."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from sidecar.app.named_servers import NamedServers
from sidecar.core.tls import Tls
from sidecar.oauth.discovery import Discovery
from sidecar.oauth.observed import ObservedServers
from sidecar.oauth.ports import Reply
from sidecar.oauth.signing_keys import Verification
from sidecar.oauth.token import FromRequest, Presented, TokenRequest
from tests.support.clock import FakeClock

PLAIN = TokenRequest("t", "c", "c", token_endpoint="https://auth.test:8443/{tenant}/token")
OF_TENANTS = TokenRequest("t", "c", "c", issuer="https://{tenant}.idp.test/realm")
RULE = Verification("https://issuer.test", "api", jwks_uri="https://keys.test/jwks")
VERIFYING = replace(PLAIN, subject=Presented(FromRequest(b"x", RULE), "", "urn:jwt"))


@pytest.mark.parametrize(
    ("template", "host", "named"),
    [
        (PLAIN, "auth.test:8443", True),
        (PLAIN, "auth.test", False),
        (PLAIN, "auth.test:84430", False),
        (OF_TENANTS, "acme.idp.test", True),
        (OF_TENANTS, "a.b-c_d.idp.test", True),
        (OF_TENANTS, ".idp.test", False),
        (OF_TENANTS, "acme.idpxtest", False),
        (OF_TENANTS, "acme.idp.test:8443", False),
        (VERIFYING, "issuer.test", True),
        (VERIFYING, "keys.test", True),
        (replace(PLAIN, subject=None, actor=VERIFYING.subject), "keys.test", True),
        (PLAIN, "keys.test", False),
        (PLAIN, "", False),
    ],
)
def test_o1_a_host_is_named_by_any_url_of_a_template(template: TokenRequest, host: str, named: bool) -> None:
    """Token endpoint, issuer, and issuer of the callers' tokens; any tenant."""
    assert NamedServers([template]).has_host(host) is named


@pytest.mark.parametrize(
    ("issuer", "named"),
    [
        ("https://acme.idp.test/realm", True),
        ("https://acme.idp.test/other", False),
        ("https://acme/x.idp.test/realm", False),
        ("https://issuer.test", True),
        ("https://issuer.test/", False),
    ],
)
def test_o1_an_issuer_is_named_as_it_is_written(issuer: str, named: bool) -> None:
    """Any tenant's."""
    assert NamedServers([OF_TENANTS, VERIFYING]).has_issuer(issuer) is named


class Server:
    """Answers every question, with an issuer's metadata."""

    def __init__(self) -> None:
        self.during: Callable[[], None] = lambda: None

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        return await self.get(url, tls)

    async def get(self, url: str, tls: Tls) -> Reply:
        self.during()
        issuer = url.partition("/.well-known")[0]
        document = {
            "issuer": issuer,
            "token_endpoint": "https://tokens.test/x",
            "jwks_uri": "https://keys.test/k",
        }
        return Reply(200, "application/json", json.dumps(document).encode())


async def test_o1_hosts_that_no_configuration_names_are_forgotten() -> None:
    """Those that it names stay, and those that their metadata names."""
    servers = ObservedServers(Server(), FakeClock())
    discovery = Discovery(servers, FakeClock())
    kept = replace(OF_TENANTS, issuer="https://kept.test")
    for request in (kept, replace(kept, issuer="https://gone.test")):
        await servers.post(await discovery.token_endpoint(request), {}, "", Tls())
    assert {host for host, _ in servers.health()} == {"kept.test", "gone.test", "tokens.test"}
    named = NamedServers([kept])
    assert set(discovery.places(named.has_issuer)) == {"https://tokens.test/x", "https://keys.test/k"}
    servers.configure(lambda host: named.has_host(host) or host == "tokens.test")
    assert {host for host, _ in servers.health()} == {"kept.test", "tokens.test"}


async def test_o1_an_answer_after_the_reload_does_not_bring_its_host_back() -> None:
    """The request that is under way ends as it would have."""
    server = Server()
    servers = ObservedServers(server, FakeClock())
    server.during = lambda: servers.configure(lambda host: host != "gone.test")
    assert (await servers.get("https://gone.test/token", Tls())).status == 200
    assert list(servers.health()) == []
