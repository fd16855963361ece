"""What a reload drops: the state of a configuration that is gone."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from sidecar.cache.carry_over import FAREWELL
from sidecar.config.load import load
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.aws import Aws
from tests.support.processes import File, get, route
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import ask

BAD = json_answer(400, {"error": "invalid_scope"})


async def reload(running: Running, file: File, **changes: object) -> None:
    file.change(**changes)
    await running.app.reload(load(str(file.path), {}))


def token(server: AuthorizationServer, **more: object) -> Mapping[str, object]:
    return {"token_endpoint": server.token_endpoint, "credentials": "app", **more}


async def tokens(running: Running) -> list[tuple[object, object, object]]:
    rows = await running.rows("tokens")
    return [(row["token"], row["tenant"], row["state"]) for row in rows]


async def servers(running: Running) -> list[object]:
    return [row["name"] for row in await running.rows("health") if row["kind"] == "authorization_server"]


async def test_o1_a_reload_that_fixes_a_scope_ends_the_old_need(
    sidecar: Start, file: File, authorization_server: AuthorizationServer
) -> None:
    """The token that was refused is not shown as missing any more, and the new one is there."""
    authorization_server.script(BAD)
    async with sidecar() as running:
        assert (await running.get()).status == 502
        assert await tokens(running) == [("api", "", "missing")]
        await reload(running, file, tokens={"api": token(authorization_server, scope=["write"])})
        assert await tokens(running) == []
        assert (await running.get()).status == 200
        assert await tokens(running) == [("api", "", "fresh")]


async def test_o1_what_is_still_needed_keeps_its_state(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A token that is missing goes on being so, since the same moment, and is not asked for before its time."""
    authorization_server.script(BAD)
    async with sidecar() as running:
        assert (await running.get()).status == 502
        (before,) = await running.rows("tokens")
        await reload(running, file, routes=[route(upstream, "renamed", token="api")])
        assert (await running.get()).status == 502
        (after,) = await running.rows("tokens")
    assert after == before
    assert len(authorization_server.requests) == 1


async def test_o1_a_server_that_is_no_longer_configured_is_not_shown(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Its health goes, and that of an upstream without a route; tokens of removed tenants go, too."""
    allow = {"header": "X-Tenant-Id", "allow": ["acme", "globex"]}
    async with sidecar(tenant=allow) as running, AuthorizationServer(upstream) as moved:
        for tenant in (b"acme", b"globex"):
            assert (await running.get(b"/", b"X-Tenant-Id: " + tenant)).status == 200
        await reload(running, file, tenant={**allow, "allow": ["acme"]})
        assert await tokens(running) == [("api", "acme", "fresh")]
        await running.clock.advance(FAREWELL)  # and then they leave memory
        authorization_server.script(json_answer(503, {}))
        await reload(running, file, tenant=allow)
        assert (await running.get(b"/", b"X-Tenant-Id: globex")).status == 503
        assert len(await servers(running)) == 1
        await reload(running, file, tokens={"api": token(moved)})
        assert await servers(running) == []
        assert await tokens(running) == []
        metrics = (await ask(running.app.admin_address, get(b"/metrics"))).body
        assert b"sidecar_token_expires_in_seconds{" not in metrics
        assert (await running.get(b"/", b"X-Tenant-Id: acme")).status == 200
        assert len(await servers(running)) == 1


async def test_o1_a_fetch_under_way_at_the_reload_leaves_nothing(
    sidecar: Start, file: File, authorization_server: AuthorizationServer
) -> None:
    """Its failure is its own request's."""
    authorization_server.hold = asyncio.Event()
    authorization_server.reply["token_type"] = "mac"
    async with sidecar() as running, asyncio.timeout(PATIENCE):
        asking = asyncio.create_task(running.get())
        await authorization_server.reached(1)
        await reload(running, file, tokens={"api": token(authorization_server, scope=["write"])})
        authorization_server.hold.set()
        assert (await asking).status == 502
        assert await tokens(running) == []


async def test_o1_secrets_of_a_removed_entry_are_not_shown(
    sidecar: Start, file: File, aws: Aws, secret_file: Path, authorization_server: AuthorizationServer
) -> None:
    """A secret store that nothing is read from any more has no health."""
    aws.faults.extend([(503, "InternalServiceError")] * 9)
    where = {"id": aws.name("app"), "region": "eu-west-1", "endpoint": aws.url}
    async with sidecar(credentials={"app": {"aws_secret": where}}) as running:
        assert (await running.get()).status == 503
        kinds = [row["kind"] for row in await running.rows("health")]
        assert "secret_store" in kinds
        await reload(
            running,
            file,
            credentials={"app": {"client_id": "app", "client_secret": {"file": str(secret_file)}}},
        )
        assert "secret_store" not in [row["kind"] for row in await running.rows("health")]
        assert await tokens(running) == []
        assert (await running.get()).status == 200
        await until(lambda: len(authorization_server.requests) == 1)
