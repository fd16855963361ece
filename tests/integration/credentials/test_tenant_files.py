"""Credentials of each tenant in files and variables, through a sidecar."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.support.authorization_server import Strict
from tests.support.in_process import typed
from tests.support.sidecar import Start
from tests.support.upstream import Upstream

HEADER = {"header": "X-Tenant-Id"}


@pytest.fixture
async def authorization_server(upstream: Upstream) -> AsyncIterator[Strict]:
    async with Strict(upstream) as server:
        server.secrets = {"canary-acme", "canary-acme-v2", "canary-globex"}
        yield server
        assert server.malformed == []


def rotate(path: Path, content: str) -> None:
    new = path.with_name("new")
    new.write_text(content)
    new.replace(path)


async def test_o10_each_tenant_gets_tokens_with_the_credentials_in_its_file(
    sidecar: Start, authorization_server: Strict, tmp_path: Path
) -> None:
    """A tenant without a file is refused by its name, in log and status; the others are served, also rotated."""
    folder = tmp_path / "tenants"
    folder.mkdir()
    for tenant in ("acme", "globex"):
        client = {"client_id": f"app-{tenant}", "client_secret": f"canary-{tenant}"}
        (folder / f"{tenant}.json").write_text(json.dumps(client))
    async with sidecar(
        tenant=HEADER, credentials={"app": {"file": str(folder / "{tenant}.json")}}
    ) as running:
        for name, status in ((b"acme", 200), (b"globex", 200), (b"initech", 503), (b"..%2fsecret", 400)):
            assert (await running.get(b"/", b"X-Tenant-Id: " + name)).status == status
        (missing,) = [row for row in await running.rows("tokens") if row["state"] == "missing"]
        assert missing["tenant"] == "initech"
        assert "initech.json: No such file" in str(missing)
        await running.clock.advance(3600)
        authorization_server.secrets -= {"canary-acme"}
        rotate(folder / "acme.json", '{"client_id": "app-acme", "client_secret": "canary-acme-v2"}')
        for name in (b"acme", b"globex"):
            assert (await running.get(b"/", b"X-Tenant-Id: " + name)).status == 200
    assert authorization_server.clients == [
        ("app-acme", "canary-acme"),
        ("app-globex", "canary-globex"),
        ("app-acme", "canary-acme-v2"),
        ("app-globex", "canary-globex"),
    ]
    (failed,) = running.events("token_fetch_failed")
    assert failed["tenant"] == "initech"
    assert "the credentials of tenant initech" in str(failed["error"])


def test_o10_explain_names_the_tenants_file(tmp_path: Path) -> None:
    """It reads none, so that the file need not exist."""
    config = tmp_path / "config.yaml"
    document = {
        "tenant": HEADER,
        "credentials": {"app": {"file": "/secrets/{tenant}.json"}},
        "tokens": {"api": {"token_endpoint": "https://auth.test/token", "credentials": "app"}},
        "routes": [{"name": "api", "upstream": "https://api.test", "token": "api"}],
    }
    config.write_text(yaml.safe_dump(document))
    told = typed("explain", "-c", str(config), "-H", "X-Tenant-Id: acme", "GET", "/x")
    assert (told.code, "/secrets/acme.json" in told.out) == (0, True), told
    assert typed("validate", "-c", str(config)).code == 0
