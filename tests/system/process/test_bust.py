"""`sidecar bust` at a sidecar as it is deployed."""

from collections.abc import AsyncIterator
from pathlib import Path
from socket import gethostname

import pytest

from tests.support.authorization_server import Strict
from tests.support.commands import command
from tests.support.processes import File, run, with_token
from tests.support.sidecar import SECRET
from tests.support.upstream import Upstream

TOKEN = "an-operators-canary"


@pytest.fixture
async def authorization_server(upstream: Upstream, secret_file: Path) -> AsyncIterator[Strict]:
    async with Strict(upstream) as server:
        server.secrets = {SECRET}
        yield server


async def test_o8_a_sidecar_without_redis_says_what_it_dropped(
    file: File, upstream: Upstream, authorization_server: Strict, secret_file: Path
) -> None:
    """Its own number, first with a token in memory and then without; a tenant that it does not
    have is a warning, and what is no tenant ends with exit code 1.
    """
    document = dict(with_token(upstream, authorization_server, secret_file))
    token = secret_file.with_name("admin-token")
    token.write_text(TOKEN)
    tenant = {"header": "X-Tenant-Id", "default": "acme", "allow": ["acme"]}
    document |= {"tenant": tenant, "admin": {"listen": "127.0.0.1:0", "token": {"file": str(token)}}}
    async with run(file, **document) as process:
        assert await process.get() == (200, b"ok")
        authorization_server.secrets.clear()  # it refuses to renew the token between the two busts
        admin = ("--admin", process.admin, "--token-file", str(token))
        for number in (1, 0):
            done = await command("bust", "--tenant", "acme", *admin)
            said = f"tenant=acme: 1 pod answered: {gethostname()} dropped {number}\n"
            assert (done.code, done.out, done.err) == (0, said, "")
        done = await command("bust", "--tenant", "acmee", *admin)
        assert (done.code, done.out) == (0, said.replace("acme", "acmee"))
        warning = "tenant=acmee: this pod's tenant.allow does not contain it; did you mean acme?"
        assert done.err == f"sidecar: warning: {warning}\n"
        done = await command("bust", "--tenant", "a/b", *admin)
        assert (done.code, done.out) == (1, "")
        assert "422: cannot bust tenant=a/b: it is not a tenant id; " in done.err
        assert TOKEN not in done.err
