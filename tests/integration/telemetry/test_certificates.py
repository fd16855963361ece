"""Which certificates have a metric: those of each tenant, and those of upstreams that were received lately."""

import asyncio
import ssl
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import yaml

from sidecar.app.own_certificates import MOST, OwnCertificates
from sidecar.config.load import load
from sidecar.config.settings import Config
from tests.support.sidecar import Start
from tests.support.token_cache_rig import LEDGER, Rig
from tests.support.upstream import Upstream
from tests.support.waiting import until

AUTHORITY = trustme.CA()
BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86400.0


def issued(folder: Path, tenant: str, days: int = 365) -> None:
    """Write the tenant's key and certificate."""
    one = AUTHORITY.issue_cert("tenant", not_before=BEGINS, not_after=BEGINS + timedelta(days=days))
    one.private_key_pem.write_to_path(str(folder / f"{tenant}.key"))
    one.cert_chain_pems[0].write_to_path(str(folder / f"{tenant}.pem"))


def configured(folder: Path, **tenant: object) -> Config:
    """Return a configuration in which each tenant has a key and a certificate."""
    key = {"file": f"{folder}/{{tenant}}.key", "certificate_file": f"{folder}/{{tenant}}.pem"}
    document = {
        "tenant": {"header": "x-tenant", **tenant},
        "credentials": {"app": {"client_id": "app", "private_key": key}},
        "tokens": {
            "ledger": {
                "token_endpoint": "https://auth.test/token",
                "credentials": "app",
                "client_auth": "private_key_jwt",
            }
        },
        "routes": [{"name": "ledger", "upstream": "https://ledger.test", "token": "ledger"}],
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(document))
    return load(str(file), {})


async def measured(config: Config, in_use: Sequence[str], count: int, most: int = MOST) -> dict[str, float]:
    """Return the days of each tenant's certificate once there are so many; tenants in use have a token."""
    rig = Rig(max_entries=2000)
    for tenant in in_use:
        await rig.token(replace(LEDGER, tenant=tenant))
    own = OwnCertificates(rig.clock, most)
    task = asyncio.create_task(own.run(lambda: config, rig.cache))
    await until(lambda: len(own.validities) == count)
    task.cancel()
    return {Path(path).stem: (each.ends - each.begins) / DAY for path, each in own.validities.items()}


@pytest.mark.parametrize(
    ("tenant", "in_use", "found"),
    [
        ({"allow": ["acme", "initech"]}, [], {"acme", "initech"}),
        ({"allow": ["acme"], "default": "initech"}, [], {"acme", "initech"}),
        ({"default": "acme"}, [], {"acme"}),
        ({}, ["initech"], {"initech"}),
        ({"default": "acme"}, ["initech", "umbrella"], {"acme", "initech", "umbrella"}),
        ({"allow": ["acme", "no-file"]}, [], {"acme"}),
    ],
)
async def test_o4_each_tenants_certificate_has_a_metric(
    tmp_path: Path, tenant: dict[str, object], in_use: list[str], found: Collection[str]
) -> None:
    """Of the tenants in `allow`, else of those that have a token; a file that cannot be read has none."""
    for name in ("acme", "initech", "umbrella"):
        issued(tmp_path, name)
    config = configured(tmp_path, **{key: each for key, each in tenant.items() if key != "allow"})
    allow = tenant.get("allow", ())
    assert isinstance(allow, list | tuple)
    assert config.tenants is not None
    config = replace(config, tenants=replace(config.tenants, allow=frozenset(allow)))
    assert await measured(config, in_use, len(found)) == dict.fromkeys(found, 365)


async def test_o4_of_many_certificates_those_that_expire_first_have_a_metric(
    tmp_path: Path,
) -> None:
    """However late in the list their tenants are."""
    days = {"acme": 300, "initech": 200, "umbrella": 10, "zorg": 20}
    for name, life in days.items():
        issued(tmp_path, name, life)
    config = configured(tmp_path, default="acme")
    assert await measured(config, list(days), 2, most=2) == {"umbrella": 10, "zorg": 20}


async def test_o4_an_idle_pod_forgets_the_certificate_of_an_upstream(sidecar: Start, tmp_path: Path) -> None:
    """An hour after the handshake: it may have been renewed since, and the alert would not end."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old = AUTHORITY.issue_cert("127.0.0.1", not_before=BEGINS, not_after=BEGINS + timedelta(days=36500))
    old.configure_cert(tls)
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Upstream(tls) as secure:
        route = {"name": "up", "upstream": secure.url, "tls": {"ca_file": str(tmp_path / "ca.pem")}}
        async with sidecar(route) as running:
            for _ in range(2):
                assert (await running.get()).status == 200
                assert b"sidecar_certificate_expires_in_seconds{" in await running.app.metrics()
                await running.clock.advance(3500)
                assert b"sidecar_certificate_expires_in_seconds{" in await running.app.metrics()
                await running.clock.advance(101)
                assert b"sidecar_certificate_expires_in_seconds{" not in await running.app.metrics()
