"""Incidents at the upstream."""

import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.support.incidents import INCIDENTS
from tests.support.processes import route
from tests.support.upstream import Upstream
from tests.system.incidents.conftest import Start, Watched

pytestmark = pytest.mark.unmeasured


def with_routes(watched: Start, *routes: Mapping[str, object]) -> AbstractAsyncContextManager[Watched]:
    """Start with these routes and no token."""
    return watched(credentials={}, tokens={}, routes=list(routes))


async def test_the_upstream_is_down(watched: Start, upstream: Upstream) -> None:
    """It closes its port."""
    async with with_routes(watched, route(upstream)) as pod:
        assert await pod.requests(1) == [200]
        await pod.view.begin()
        await upstream.stop()
        await pod.view.shows(INCIDENTS["upstream_down"], pod.requests)


async def test_the_upstreams_name_does_not_resolve(watched: Start, upstream: Upstream) -> None:
    """As after a typing error."""
    async with with_routes(watched, {**route(upstream), "upstream": "http://ledger.invalid"}) as pod:
        await pod.view.begin()
        await pod.view.shows(INCIDENTS["dns"], pod.requests)


async def test_the_upstreams_certificate_has_expired(watched: Start, tmp_path: Path) -> None:
    """A day ago."""
    authority, tls, now = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), datetime.now(UTC)
    day = timedelta(days=1)
    authority.issue_cert("127.0.0.1", not_before=now - 90 * day, not_after=now - day).configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Upstream(tls) as secure:
        trust = {"ca_file": str(tmp_path / "ca.pem")}
        async with with_routes(watched, route(secure, tls=trust)) as pod:
            await pod.view.begin()
            await pod.view.shows(INCIDENTS["certificate"], pod.requests)
