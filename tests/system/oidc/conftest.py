"""The certified authorization server that a module's CLIENTS are registered at, and an upstream that asks it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.system.oidc.clients import AskingUpstream
from tests.system.oidc.server import OidcServer


@pytest.fixture(scope="module")
def oidc(request: pytest.FixtureRequest) -> Iterator[OidcServer]:
    with OidcServer(request.module.CLIENTS) as server:
        yield server


@pytest.fixture
async def upstream(oidc: OidcServer) -> AsyncIterator[AskingUpstream]:
    async with AskingUpstream(oidc) as server:
        yield server
        assert server.malformed == []
