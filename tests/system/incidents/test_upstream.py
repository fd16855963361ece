"""Incidents at the upstream."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.support.incidents import INCIDENTS
from tests.support.processes import File, route, run
from tests.support.upstream import Upstream
from tests.system.incidents.operators_view import OperatorsView

pytestmark = pytest.mark.unmeasured

AT_ONCE = 10
"""Requests between two looks."""


async def test_the_upstream_is_down(file: File, upstream: Upstream, tmp_path: Path) -> None:
    """It closes its port."""
    async with run(file, route(upstream)) as process:
        assert (await process.get())[0] == 200
        view = OperatorsView(process, tmp_path)
        await view.begin()
        await upstream.stop()
        await view.shows(INCIDENTS["upstream_down"], process.get)


async def test_the_upstreams_name_does_not_resolve(file: File, upstream: Upstream, tmp_path: Path) -> None:
    """As after a typing error."""
    async with run(file, {**route(upstream), "upstream": "http://ledger.invalid"}) as process:
        view = OperatorsView(process, tmp_path)
        await view.begin()
        await view.shows(INCIDENTS["dns"], process.get)


async def test_the_upstreams_certificate_has_expired(file: File, tmp_path: Path) -> None:
    """A day ago."""
    authority, tls, now = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), datetime.now(UTC)
    day = timedelta(days=1)
    authority.issue_cert("127.0.0.1", not_before=now - 90 * day, not_after=now - day).configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with (
        Upstream(tls) as secure,
        run(file, route(secure, tls={"ca_file": str(tmp_path / "ca.pem")})) as process,
    ):
        view = OperatorsView(process, tmp_path)
        await view.begin()
        await view.shows(INCIDENTS["certificate"], process.get)
