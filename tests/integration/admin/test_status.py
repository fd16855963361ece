"""What `/status` shows of a sidecar between real servers."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.sidecar import Running, Start
from tests.support.upstream import OK, Exchange, Script, Upstream, closing, hang_up, refusal

TENANTS = {"header": "X-Tenant-Id"}


async def test_a_route_counts_its_requests_and_errors(sidecar: Start, upstream: Upstream) -> None:
    """Values move with traffic: a 5xx and a 401 that could not be healed are errors, a 404 is none."""
    upstream.script(*(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status for status in (200, 503, 404)))
    async with sidecar() as running:
        for _ in range(3):
            await running.get()
            await running.clock.advance(1)
        (route,) = await running.rows("routes")
    assert (route["name"], route["upstream"], route["token"]) == ("api", upstream.url, "api")
    assert (route["requests"], route["errors"], route["errors_by"]) == (3, 1, {"503": 1})
    assert isinstance(route["rate"], float)
    assert round(route["rate"], 2) == 1
    assert route["latency_p99"] == 0.005


ANSWERED, LOST, MALFORMED = OK, hang_up, closing(b"HTTP/1.1 banana\r\n\r\n")


@pytest.mark.parametrize(
    ("answers", "state", "changed"),
    [
        ([ANSWERED, LOST, ANSWERED], "up", 2),
        ([ANSWERED, LOST], "down", 1),
        ([LOST, ANSWERED], "up", 1),
        ([ANSWERED, LOST, LOST], "down", 1),
        ([LOST, ANSWERED, ANSWERED], "up", 1),
        ([LOST, ANSWERED, LOST], "down", 2),
        ([LOST, refusal(b"", 503)], "up", 1),
        ([ANSWERED, MALFORMED], "down", 1),
        ([LOST, MALFORMED], "down", 0),
    ],
)
async def test_h6_the_last_request_tells_how_an_upstream_is(
    sidecar: Start, upstream: Upstream, answers: list[Script], state: str, changed: int
) -> None:
    """Within one tick of the connections' deadlines too; the change is dated by its own moment."""
    upstream.script(*answers)
    async with sidecar() as running:
        moments = []
        for _ in answers:
            moments.append(running.clock.now())
            await running.ask(running.request(b"POST", b"/", b"Content-Length: 0"), "POST")
            await running.clock.advance(0.01)
        shown = [row for row in await running.rows("health") if row["kind"] == "upstream"]
        assert [row["state"] for row in shown] == [state]
        assert shown[0]["since"] == pytest.approx(moments[changed], abs=0.005)


async def test_h6_a_state_is_dated_when_it_changes_not_when_it_is_read(
    sidecar: Start, upstream: Upstream
) -> None:
    """A later or a second reader sees the same moment."""
    upstream.script(LOST, ANSWERED)
    async with sidecar() as running:
        await running.ask(running.request(b"POST", b"/", b"Content-Length: 0"), "POST")
        await running.clock.advance(3)
        began = running.clock.now()
        await running.ask(running.request(b"POST", b"/", b"Content-Length: 0"), "POST")
        seen = set()
        for _ in range(3):
            await running.clock.advance(7)
            (row,) = [row for row in await running.rows("health") if row["kind"] == "upstream"]
            seen.add(row["since"])
    (since,) = seen
    assert since == pytest.approx(began, abs=0.005)


async def test_o5_a_failure_that_goes_on_keeps_its_first_moment_and_shows_the_last(
    sidecar: Start, upstream: Upstream
) -> None:
    """Reading moves neither; an upstream without requests shows when it was last tried."""
    upstream.script(OK, *[hang_up] * 6)
    async with sidecar() as running:
        await running.get()
        assert (await upstream_health(running))["last_failure"] is None
        await running.clock.advance(100)
        began = running.clock.now()
        for _ in range(3):
            await running.clock.advance(20)
            await running.ask(running.request(b"POST", b"/", b"Content-Length: 0"), "POST")
        last = running.clock.now()
        for _ in range(3):
            row = await upstream_health(running)
            assert row["state"] == "down"
            assert number(row["since"]) == pytest.approx(began + 20, abs=1)
            assert number(row["last_failure"]) == pytest.approx(last, abs=1)
            await running.clock.advance(300)


async def test_o5_a_route_fails_since_its_first_error(sidecar: Start, upstream: Upstream) -> None:
    """Whenever it is read, and after any number of windows; after a minute without errors it begins again."""
    async with sidecar() as running:
        for _ in range(2):
            await running.get()
            await running.clock.advance(17)
            began = running.clock.now()
            for pause in (7, 9, 22, 14, 1):
                upstream.script(refusal(b"", 503))
                assert (await running.get()).status == 503
                (finding,) = await running.rows("findings")
                assert (finding["kind"], finding["route"], finding["gravity"]) == (
                    "route_failing",
                    "api",
                    "failing",
                )
                assert number(finding["since"]) == pytest.approx(began, abs=0.5)
                await running.clock.advance(pause)
            for _ in range(8):
                await running.clock.advance(15)
                assert (await running.get()).status == 200
            assert await running.rows("findings") == []


async def test_a_token_is_told_with_its_life_and_where_it_is_from(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """One that was fetched, for a tenant; asked for others there is none."""
    authorization_server.reply["expires_in"] = 100
    async with sidecar(tenant=TENANTS) as running:
        await running.get(b"/", b"X-Tenant-Id: acme")
        await running.clock.advance(20)
        (token,) = await running.rows("tokens", b"?tenant=acme&service=app&x=1")
        assert await running.rows("tokens", b"?tenant=globex") == []
    assert (token["token"], token["tenant"], token["service"]) == ("api", "acme", "app")
    assert (token["state"], token["source"], token["problem"], token["cooling"]) == ("fresh", "fetch", "", 0)
    assert isinstance(token["expires_in"], float)
    assert isinstance(token["age"], float)
    assert (round(token["age"]), round(token["expires_in"])) == (20, 80)


async def test_a_token_that_cannot_be_had_is_told_since_when_and_why(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """From the first failure on, until it is there."""
    authorization_server.script(*[json_answer(503, {})] * 3)
    async with sidecar(tenant=TENANTS) as running:
        began = running.clock.now()
        for _ in range(3):
            assert (await running.get(b"/", b"X-Tenant-Id: acme")).status == 503
            await running.clock.advance(10)
        (token,) = await running.rows("tokens")
        (server,) = [row for row in await running.rows("health") if row["kind"] == "authorization_server"]
        await running.clock.advance(30)
        assert (await running.get(b"/", b"X-Tenant-Id: acme")).status == 200
        (there,) = await running.rows("tokens")
        (again,) = [row for row in await running.rows("health") if row["kind"] == "authorization_server"]
    assert (token["state"], token["tenant"], token["service"], token["fp"]) == ("missing", "acme", "app", "")
    assert "503" in str(token["problem"])
    assert round(number(token["problem_since"]) - began, 2) == 0
    assert (server["state"], server["why"], server["name"]) == (
        "down",
        "answered 503",
        host(authorization_server),
    )
    assert round(number(server["since"]) - began, 2) == 0
    assert (there["state"], there["problem"], there["problem_since"]) == ("fresh", "", None)
    assert (again["state"], again["why"]) == ("up", "answered 503")


async def test_t11_the_servers_own_text_is_on_status_and_in_no_answer(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """With the token that is missing, and with the event."""
    text = "AADSTS7000215: Invalid client secret provided"
    refused = json_answer(401, {"error": "invalid_client", "error_description": text})
    authorization_server.script(*[refused] * 4)
    async with sidecar() as running:
        answer = await running.get()
        (token,) = await running.rows("tokens")
        events = await running.rows("events")
    assert answer.status == 502
    assert b"AADSTS" not in answer.body
    assert token["error_description"] == text
    failed = next(event["fields"] for event in events if event["event"] == "token_fetch_failed")
    assert isinstance(failed, dict)
    assert failed["error_description"] == text


async def test_the_time_line_tells_of_a_refusal_and_what_followed(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Newest first: healed with another token, after the first was bust."""
    async with sidecar() as running:
        await running.get()
        authorization_server.revoke("canary-token-1")
        assert (await running.get()).status == 200
        events = await running.rows("events")
    assert [event["event"] for event in events] == ["resent", "bust_sent", "refused", "started"]
    fields = events[2]["fields"]
    assert isinstance(fields, dict)
    assert (fields["route"], fields["status"], fields["error"], fields["decision"]) == (
        "api",
        401,
        "invalid_token",
        "renew",
    )


async def test_a_token_that_cools_down_says_for_how_long(sidecar: Start, upstream: Upstream) -> None:
    """Its refusals reach the clients meanwhile."""
    upstream.script(refusal(), refusal())
    async with sidecar() as running:
        assert (await running.get()).status == 401
        (token,) = await running.rows("tokens")
        (route,) = await running.rows("routes")
        [finding] = [row for row in await running.rows("findings") if row["kind"] == "cooling_down"]
    assert 0.9 < number(token["cooling"]) <= 1.25
    assert abs(number(token["cooling_since"]) - running.clock.wall()) < 1
    assert finding["since"] == token["cooling_since"]
    assert route["errors"] == 1


async def test_an_upstream_that_takes_no_connections_is_down_since_then(
    sidecar: Start, upstream: Upstream
) -> None:
    """And up again with the next one it takes."""
    async with sidecar() as running:
        assert (await upstream_health(running))["state"] == "unknown"
        await upstream.stop()
        assert (await running.get()).status == 502
        down = await upstream_health(running)
        await upstream.start(int(upstream.url.rpartition(":")[2]))
        assert (await running.get()).status == 200
        up = await upstream_health(running)
        now = running.clock.now()
    assert number(down["since"]) <= number(up["since"]) <= now
    assert (down["state"], down["name"]) == ("down", upstream.url)
    assert "Connection refused" in str(down["why"])
    assert up["state"] == "up"


@pytest.mark.parametrize("ending", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
async def test_an_upstream_that_takes_connections_and_is_silent_is_down_until_it_answers(
    sidecar: Start, upstream: Upstream, ending: bytes
) -> None:
    """That it takes another connection proves nothing."""
    release = asyncio.Event()

    async def silent(exchange: Exchange) -> None:
        await exchange.read()
        await release.wait()
        exchange.close()

    upstream.script(silent, silent, b"HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n" % ending)
    async with sidecar() as running:
        downs = []
        for count in (1, 2):
            asking = asyncio.create_task(running.get())
            await upstream.reached(count)
            downs.append(await upstream_health(running))
            await running.clock.advance(61)
            assert (await asking).status == 504
        downs.append(await upstream_health(running))
        await running.clock.advance(1)
        assert (await running.get()).status == 200
        up = await upstream_health(running)
        release.set()
    assert [down["state"] for down in downs] == ["up", "down", "down"]
    assert downs[1]["since"] == downs[2]["since"]
    assert downs[2]["why"] == "the upstream did not answer in time"
    assert up["state"] == "up"


async def upstream_health(running: Running) -> Mapping[str, object]:
    (row,) = [row for row in await running.rows("health") if row["kind"] == "upstream"]
    return row


def host(server: AuthorizationServer) -> str:
    return server.url.removeprefix("http://")


def number(value: object) -> float:
    assert isinstance(value, float)
    return value


async def test_a_selection_without_tokens_is_explained(sidecar: Start, upstream: Upstream) -> None:
    """And only that; a wrong service is no reason to refuse the status."""
    async with sidecar() as running:
        await running.get()
        (row,) = await running.rows("tokens")
        assert (await running.status())["not_found"] == ""
        assert (await running.status(f"?service={row['service']}".encode()))["not_found"] == ""
        shown = await running.status(f"?service={row['service']}x".encode())
    assert shown["tokens"] == []
    assert str(shown["not_found"]).endswith(f"no such service; did you mean {row['service']}?")
