"""A sidecar's life: new configurations while it serves, and its end; in process."""

import asyncio
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigError
from tests.support.authorization_server import AuthorizationServer
from tests.support.environment import BUILD
from tests.support.processes import File, answering, get, route
from tests.support.sidecar import Running, Start
from tests.support.upstream import Exchange, Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import ask


async def reload(running: Running, file: File, **changes: object) -> None:
    file.change(**changes)
    await running.app.reload(load(str(file.path), {}))


async def metrics(running: Running) -> list[str]:
    answer = await ask(running.app.admin_address, get(b"/metrics"))
    return answer.body.decode().splitlines()


async def status(running: Running) -> Mapping[str, object]:
    answer = await ask(running.app.admin_address, get(b"/status"))
    found: Mapping[str, object] = json.loads(answer.body)
    return found


async def test_the_log_names_the_build(sidecar: Start, plain: Mapping[str, object]) -> None:
    """As `sidecar --version` does."""
    async with sidecar(plain) as running:
        pass
    assert [event["build"] for event in running.events("started")] == [BUILD]


# Reloading, in process


async def test_b81_a_new_route_is_in_force_for_the_next_request(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Also for the next request on a connection that is open, and the log says so."""
    other.script(answering(b"new"))
    async with await relay.connect() as client:
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"
        await reload(relay, file, routes=[route(upstream), route(other, "new", match={"prefix": "/new"})])
        assert (await client.ask(relay.request(b"GET", b"/new"))).body == b"new"
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"
    await relay.app.stop()
    assert [line["routes"] for line in relay.events("reloaded")] == [2]
    assert [line["route"] for line in relay.events("request")] == ["plain", "new", "api"]


async def test_a_route_that_is_gone_is_gone(relay: Running, file: File, upstream: Upstream) -> None:
    """What no route matches any more is our 404."""
    await reload(relay, file, routes=[route(upstream, match={"prefix": "/only"})])
    assert (await relay.get(b"/other")).status == 404
    assert upstream.requests == []


async def test_b81_requests_in_flight_keep_the_old_route(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """A request at the old upstream is answered by it, bodies in both directions included."""
    go = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nold")
        await exchange.read()
        await go.wait()
        await exchange.send(bytes(exchange.received.body))

    upstream.script(slow)
    async with await relay.connect() as client:
        await client.send(relay.request(b"POST", b"/", b"Content-Length: 6") + b"bod")
        await upstream.reached(1)
        await reload(relay, file, routes=[route(other)])
        await client.send(b"ies")
        go.set()
        assert (await client.answer()).body == b"oldbodies"
    assert (await relay.get()).status == 200
    assert (len(upstream.requests), len(other.requests)) == (1, 1)
    await until(lambda: upstream.open_connections == 0)


async def test_b81_requests_in_line_for_a_connection_keep_the_old_route(
    sidecar: Start, file: File, upstream: Upstream, other: Upstream
) -> None:
    """A request that waits for a connection to an origin that no route uses any longer still gets one."""
    go = asyncio.Event()
    upstream.script(*(answering(b"old", go) for _ in range(2)))
    async with sidecar({**route(upstream), "max_connections": 1}) as running, asyncio.timeout(PATIENCE):
        asking = [asyncio.create_task(running.get()) for _ in range(2)]
        await upstream.reached(1)
        async with asyncio.timeout(PATIENCE):
            while "http_server_active_requests 2.0" not in await metrics(running):
                pass
        await reload(running, file, routes=[route(other)])
        go.set()
        assert [answer.body for answer in await asyncio.gather(*asking)] == [b"old"] * 2
        await until(lambda: upstream.open_connections == 0)


async def test_b81_requests_waiting_for_a_token_keep_the_old_route(
    sidecar: Start, file: File, upstream: Upstream, other: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The reload does not disturb the fetch, nor the request behind it."""
    authorization_server.hold = asyncio.Event()
    async with sidecar() as running, asyncio.timeout(PATIENCE):
        asking = asyncio.create_task(running.get())
        await authorization_server.reached(1)
        await reload(running, file, routes=[route(other)], tokens=None, credentials=None)
        authorization_server.hold.set()
        assert (await asking).status == 200
    assert upstream.tokens == ["canary-token-1"]
    assert other.requests == []


async def test_tokens_and_connections_are_kept(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """What the new configuration can use is not made again: one token, one connection, whatever else changes."""
    async with sidecar() as running:
        await running.get()
        routes = [route(upstream, name, match={"prefix": f"/{name}"}, token="api") for name in ("a", "b")]
        await reload(running, file, routes=routes, drain_timeout="2ms")
        await running.clock.advance(2)  # the warm-up's time
        assert [(await running.get(target)).status for target in (b"/a", b"/b")] == [200, 200]
    assert upstream.tokens == ["canary-token-1"] * 3
    assert upstream.connections == 1
    assert len(authorization_server.requests) == 1


async def test_a_token_asked_for_differently_is_fetched(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Another scope is another token, from the next request on."""
    async with sidecar() as running:
        await running.get()
        tokens = {
            "api": {
                "token_endpoint": authorization_server.token_endpoint,
                "credentials": "app",
                "scope": ["write"],
            }
        }
        await reload(running, file, tokens=tokens)
        await running.get()
    assert upstream.tokens == ["canary-token-1", "canary-token-2"]
    assert [form["scope"] for form in authorization_server.forms] == [["read"], ["write"]]


async def test_what_is_new_is_warmed_up(
    relay: Running,
    file: File,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    secret_file: Path,
) -> None:
    """A reload fetches the tokens its routes will need before the first request, with its own credentials."""
    credentials = {"new": {"client_id": "new", "client_secret": {"file": str(secret_file)}}}
    wanted = {"token_endpoint": authorization_server.token_endpoint, "credentials": "new"}
    routes = [route(upstream, token="new")]
    await reload(relay, file, credentials=credentials, tokens={"new": wanted}, routes=routes)
    await relay.clock.advance(2)
    await authorization_server.reached(1)
    assert [name for name, _ in authorization_server.clients] == ["new"]
    assert upstream.requests == []


async def test_connections_that_nobody_can_use_are_closed(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Idle connections to an origin without a route end with the reload."""
    await relay.get()
    assert upstream.open_connections == 1
    await reload(relay, file, routes=[route(other)])
    await until(lambda: upstream.open_connections == 0)
    await reload(relay, file, routes=[route(upstream)])
    assert (await relay.get()).status == 200
    assert upstream.connections == 2


async def test_the_admin_server_shows_what_is_in_force(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Status lists the new routes, and metrics have series for them before their first request."""
    await relay.get()
    await reload(relay, file, routes=[route(other, "new", match={"prefix": "/n"})])
    routes = (await status(relay))["routes"]
    assert isinstance(routes, list)
    assert [(shown["name"], shown["prefix"], shown["upstream"]) for shown in routes] == [
        ("new", "/n", other.url)
    ]
    series = [line for line in await metrics(relay) if "_count{" in line]
    assert any('="new"' in line for line in series)
    assert not any('="plain"' in line for line in series)


async def test_a_routes_new_token_is_counted(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A route that keeps its name and gets another token counts for that one."""
    async with sidecar() as running:
        await running.get()
        wanted = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
        await reload(running, file, tokens={"new": wanted}, routes=[route(upstream, token="new")])
        await running.get()
        await running.get()
        await running.get()
        counted = [
            line for line in await metrics(running) if line.startswith("m2m_credential_cache_hits_total")
        ]
        assert counted == ['m2m_credential_cache_hits_total{level="memory",token="new"} 2.0']


@pytest.mark.parametrize(
    ("log", "lines"), [({"level": "error"}, 1), ({"requests": "errors"}, 1), ({"level": "debug"}, 2)]
)
async def test_what_is_logged_changes_with_a_reload(
    relay: Running, file: File, upstream: Upstream, log: Mapping[str, str], lines: int
) -> None:
    """A sidecar in trouble need not be restarted to log more of it."""
    assert (await relay.get()).status == 200
    await reload(relay, file, routes=[route(upstream)], log=log)
    assert (await relay.get()).status == 200
    await relay.app.stop()
    assert len(relay.events("request")) == lines


async def test_o13_a_doubtful_value_is_logged_and_in_force(
    relay: Running, file: File, upstream: Upstream
) -> None:
    """After a reload too."""
    doubtful = route(upstream, "doubtful", match={"prefix": "/$API"})
    await reload(relay, file, routes=[route(upstream), doubtful])
    assert (await relay.get(b"/$API")).status == 200
    await relay.app.stop()
    assert relay.events("request")[0]["route"] == "doubtful"
    (told,) = relay.events("config_doubtful")
    assert told["level"] == "warning"
    assert "routes[1].match.prefix: $NAME is taken literally" in str(told["warning"])


RESTART = {
    "listen": ("listen", "127.0.0.1:1"),
    "admin.listen": ("admin", {"listen": "127.0.0.1:1"}),
    "cache.max_entries": ("cache", {"max_entries": 7}),
    "log.format": ("log", {"format": "console"}),
}


@pytest.mark.parametrize("path", RESTART)
async def test_what_takes_a_restart_is_refused_whole(
    relay: Running, file: File, upstream: Upstream, other: Upstream, path: str
) -> None:
    """Nothing of such a configuration comes into force, its routes neither; the log says which key it was."""
    key, value = RESTART[path]
    file.change(routes=[route(other)], **{key: value})
    with pytest.raises(ConfigError, match=rf"{path}.*restart"):
        await relay.app.reload(load(str(file.path), {}))
    await relay.app.try_reload(lambda: load(str(file.path), {}))
    assert (await relay.get()).status == 200
    assert len(upstream.requests) == 1
    assert [shown["name"] for shown in (await status(relay))["routes"]] == ["plain"]  # type: ignore[attr-defined]
    await relay.app.stop()
    (failed,) = relay.events("reload_failed")
    assert (failed["level"], path in str(failed["error"])) == ("error", True)
    assert relay.events("reloaded") == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"routes: [", b"[]", b"routes: []", b"a: &a [*a]", b"? [1]\n: 2", None],
    ids=["empty", "not UTF-8", "not YAML", "a list", "no routes", "endless", "odd key", "missing"],
)
async def test_b81_what_cannot_be_read_keeps_the_old_configuration(
    relay: Running, file: File, content: bytes | None
) -> None:
    """Whatever the file holds, the fault is logged and nothing else happens."""
    file.path.unlink() if content is None else file.put(content)
    await relay.app.try_reload(partial(load, str(file.path), {}))
    assert (await relay.get()).status == 200
    await relay.app.stop()
    (failed,) = relay.events("reload_failed")
    assert str(file.path) in str(failed["error"])


async def test_b81_what_cannot_be_put_together_changes_nothing(
    relay: Running, file: File, upstream: Upstream, other: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sound file, but its secrets are in AWS and there is no boto3 on this machine: the old one goes on whole."""
    monkeypatch.setitem(sys.modules, "sidecar.credentials.sources.aws", None)
    before = (await status(relay))["routes"]
    credentials = {"app": {"aws_secret": {"id": "app", "region": "eu-west-1"}}}
    tokens = {"api": {"token_endpoint": "https://auth.test/token", "credentials": "app"}}
    settings = {"credentials": credentials, "tokens": tokens, "cache": {"memory_ttl": "1s"}}
    with pytest.raises(ImportError):
        await reload(relay, file, routes=[route(other, "new", token="api")], **settings)
    assert (await status(relay))["routes"] == before
    assert (await relay.get()).status == 200
    assert (len(upstream.requests), other.requests) == (1, [])
    assert all('"new"' not in line for line in await metrics(relay))


async def test_b81_no_request_fails_while_configurations_change(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Two hundred requests on ten connections, five reloads from one upstream to the other and back."""
    answers: list[int] = []

    async def one() -> None:
        async with await relay.connect() as client:
            for _ in range(20):
                answer = await client.ask(relay.request(b"GET", b"/"))
                answers.append(answer.status)

    asking = [asyncio.create_task(one()) for _ in range(10)]
    for turn in range(5):
        await until(lambda: len(answers) >= 30 * (turn + 1))  # noqa: B023  awaited within the turn
        await reload(relay, file, routes=[route((other, upstream)[turn % 2])])
    await asyncio.gather(*asking)
    assert answers == [200] * 200
    assert len(upstream.requests) + len(other.requests) == 200
    assert min(len(upstream.requests), len(other.requests)) >= 30


# The end, in process


async def test_b80_whoever_waits_for_a_token_does_not_hold_up_the_end(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """Neither does an authorization server that is silent."""
    authorization_server.hold = asyncio.Event()
    async with sidecar(drain_timeout="10ms") as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        await authorization_server.reached(1)
        async with asyncio.timeout(PATIENCE):
            await running.app.stop()
        assert await client.ending() == "reset"
    assert running.log()[-1]["event"] == "stopped"
