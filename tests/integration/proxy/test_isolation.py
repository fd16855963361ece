"""Routes whose tenants or callers have connections of their own."""

from collections.abc import Sequence

import pytest

from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream, refusal

TENANT = {"header": "X-Tenant-Id", "default": "initech"}
OWN = {"grant": "token_exchange", "subject": {"header": "X-Subject", "type": "access_token"}}


def entry(upstream: Upstream, isolate: str, name: str = "api", **more: object) -> dict[str, object]:
    return {"name": name, "upstream": upstream.url, "token": "api", "isolate": isolate, **more}


async def send(running: Running, whose: Sequence[str], path: bytes = b"/") -> None:
    """One request after the other, each `tenant/caller`; "-" for none."""
    for each in whose:
        tenant, _, caller = each.partition("/")
        fields = [b"X-Tenant-Id: " + tenant.encode()] if tenant != "-" else []
        fields += [b"X-Subject: canary-" + caller.encode()]
        assert (await running.get(path, *fields)).status == 200


def connections(upstream: Upstream) -> list[int]:
    return [received.connection for received in upstream.requests]


@pytest.mark.parametrize(
    ("isolate", "whose", "expected"),
    [
        ("none", ["a/1", "b/1", "a/2", "-/1"], [1, 1, 1, 1]),
        ("tenant", ["a/1", "a/1", "b/1", "a/1", "b/1"], [1, 1, 2, 1, 2]),
        ("tenant", ["a/1", "a/2", "a/3"], [1, 1, 1]),
        ("tenant", ["-/1", "initech/1", "a/1", "-/1"], [1, 1, 2, 1]),
        ("caller", ["a/1", "a/1", "a/2", "a/1", "a/2"], [1, 1, 2, 1, 2]),
        ("caller", ["a/1", "b/1", "a/1", "b/1"], [1, 2, 1, 2]),
        ("caller", ["-/1", "initech/1", "-/2"], [1, 1, 2]),
    ],
)
async def test_s6_the_same_reuses_a_connection_and_another_does_not(
    sidecar: Start, upstream: Upstream, isolate: str, whose: Sequence[str], expected: list[int]
) -> None:
    """Tenants by their id, callers by what they bring and for which tenant."""
    async with sidecar(entry(upstream, isolate), token=OWN, tenant=TENANT) as running:
        await send(running, whose)
    assert connections(upstream) == expected


async def test_s6_the_limit_holds_and_the_longest_idle_makes_way(sidecar: Start, upstream: Upstream) -> None:
    """With more tenants than connections: never more are open, and each request is answered."""
    route = entry(upstream, "tenant", max_connections=2)
    async with sidecar(route, tenant=TENANT) as running:
        await send(running, ["a/", "b/", "c/", "b/", "a/", "c/"])
        assert upstream.open_connections <= 2
    assert connections(upstream) == [1, 2, 3, 2, 4, 5]


async def test_s6_routes_to_one_upstream_isolate_each_in_its_own_way(
    sidecar: Start, upstream: Upstream
) -> None:
    """They share the limit, and no connection."""
    routes: list[dict[str, object]] = [
        entry(upstream, "tenant", match={"prefix": "/tenant"}),
        entry(upstream, "none", "shared", match={"prefix": "/shared"}),
        {"name": "bare", "upstream": upstream.url, "match": {"prefix": "/bare"}},
    ]
    async with sidecar(*routes, tenant=TENANT) as running:
        for path in (b"/tenant", b"/shared", b"/bare", b"/tenant", b"/shared"):
            await send(running, ["a/"], path)
    assert connections(upstream) == [1, 2, 2, 1, 2]


async def test_s6_a_second_send_stays_with_its_owner(sidecar: Start, upstream: Upstream) -> None:
    """A refused token's request goes out again on a connection of its tenant's."""
    async with sidecar(entry(upstream, "tenant"), tenant=TENANT) as running:
        await send(running, ["a/", "b/"])
        upstream.script(refusal())
        await send(running, ["a/", "b/"])
    assert connections(upstream) == [1, 2, 1, 1, 2]
