"""`sidecar status`: what is asked, and how the answer is shown."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from sidecar import __version__
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.commands import command, on_terminal
from tests.support.processes import File, run, with_token
from tests.support.upstream import Exchange, Upstream, closing
from tests.support.waiting import until

AT = 1_800_000_000.0
SHOWN: dict[str, object] = {
    "version": "1.2.3",
    "pod": "ledger-7d9f",
    "mode": "distributed",
    "at": AT,
    "uptime": 7300.0,
    "ready": {"ok": True, "degraded": True, "detail": "Redis is unavailable: no answer in time"},
    "findings": [
        {
            "kind": "token_missing",
            "gravity": "failing",
            "what": "No token for tenants acme, b, c and 2 more, service app, token ledger",
            "cause": "token endpoint auth.test answered 503",
            "effect": "",
            "action": "check the server",
            "since": AT - 90,
            "last_tried": AT - 3,
            "neighbour": "",
            "name": "",
            "route": "",
            "token": "ledger",
            "service": "app",
            "tenants": ["acme", "b", "c", "d", "e"],
        },
        {
            "kind": "store_down",
            "gravity": "warning",
            "what": "Redis r:6379 is unavailable",
            "cause": "no answer in time",
            "effect": "requests go on",
            "action": "",
            "since": None,
            "last_tried": None,
            "neighbour": "store",
            "name": "r:6379",
            "route": "",
            "token": "",
            "service": "",
            "tenants": [],
        },
    ],
    "routes": [
        {
            "name": "ledger",
            "host": "",
            "prefix": "/ledger",
            "upstream": "https://ledger.test/api",
            "token": "ledger",
            "requests": 1200,
            "errors": 3,
            "rate": 12.5,
            "error_rate": 0.1,
            "latency": 0.0123,
            "latency_p99": None,
        }
    ],
    "tokens": [
        {
            "token": "ledger",
            "tenant": "acme",
            "service": "app",
            "state": "missing",
            "fp": "",
            "source": "",
            "expires_in": 0.0,
            "last_used": 0.0,
            "cooling": 0.0,
            "problem": "token endpoint auth.test answered 503",
            "problem_since": AT - 90,
        },
        {
            "token": "ledger",
            "tenant": "globex",
            "service": "app",
            "state": "fresh",
            "fp": "0123456789ab",
            "source": "store",
            "expires_in": 3540.0,
            "last_used": 4.0,
            "cooling": 8.0,
            "problem": "",
            "problem_since": None,
        },
    ],
    "health": [
        {
            "kind": "store",
            "name": "r:6379",
            "state": "down",
            "since": AT - 30,
            "why": "no answer in time",
            "last_failure": AT - 2,
        },
        {"kind": "authorization_server", "name": "auth.test", "state": "up", "since": AT, "why": "once"},
    ],
    "events": [
        {
            "event": "refused",
            "level": "warning",
            "first": AT - 60,
            "last": AT - 5,
            "count": 7,
            "fields": {"route": "ledger", "tenant": "", "fp": "0123456789ab", "decision": "renew"},
        }
    ],
}


class Admin(Upstream):
    """An admin server whose `/status` is what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = SHOWN

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(json_answer(200, self.shown))


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with Admin() as server:
        yield server


async def test_status_is_a_table_of_what_status_tells(admin: Admin) -> None:
    """What is wrong now comes first; why something is down or missing stands below it, whole."""
    done = await command("status", "--admin", admin.url)
    assert (done.code, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines == [
        "sidecar 1.2.3, on ledger-7d9f, cache distributed, up for 2 h, 08:00:00 UTC",
        "degraded: Redis is unavailable: no answer in time",
        "",
        "what is wrong now",
        "failing No token for tenants acme, b, c and 2 more, service app, token ledger",
        "since 07:58:30, 90 s; last tried 3 s ago",
        "token endpoint auth.test answered 503",
        "tenants: acme, b, c, d, e",
        "to do: check the server",
        "warning Redis r:6379 is unavailable",
        "no answer in time",
        "requests go on",
        "",
        "health",
        "of since last tried",
        "down Redis r:6379 30 s 2 s ago",
        "no answer in time",
        "up authorization server auth.test 0 s",
        "",
        "routes",
        "route match token requests errors mean p99 upstream",
        "ledger /ledger ledger 12/s 0.8 % 12.3 ms - https://ledger.test/api",
        "",
        "tokens",
        "token tenant service state fp expires in source used",
        "ledger acme app missing - - - -",
        "for 90 s: token endpoint auth.test answered 503",
        "ledger globex app fresh 0123456789ab 59 min Redis 4 s ago",
        "cooling down for 8 s",
        "",
        "recent events",
        "07:59:55 7 times refused route=ledger fp=0123456789ab decision=renew",
    ]


async def test_o7_where_nothing_is_wrong_status_says_so(admin: Admin) -> None:
    """An older sidecar reports no findings, which is not the same."""
    cases: tuple[tuple[dict[str, object], str], ...] = (
        ({"findings": []}, "nothing found in this pod"),
        ({}, "this sidecar is too old to report it: see below"),
    )
    for findings, line in cases:
        admin.shown = {name: value for name, value in SHOWN.items() if name != "findings"} | findings
        lines = (await command("status", "--admin", admin.url)).out.splitlines()
        assert lines[lines.index("what is wrong now") + 1] == line


@pytest.mark.parametrize("environ", [{}, {"COLUMNS": "40"}, {"COLUMNS": "0"}], ids=str)
async def test_o7_nothing_is_cut_without_a_terminal(admin: Admin, environ: Mapping[str, str]) -> None:
    """In a pipe or a file every name, reason and field is whole, and on one line, however long."""
    texts = {
        name: f"{name}-{'long ' * 100}end"
        for name in ("name", "upstream", "what", "cause", "action", "error")
    }
    admin.shown = {
        "routes": [{**texts, "prefix": "/"}],
        "tokens": [{"token": texts["name"], "state": "missing", "problem": texts["cause"]}],
        "findings": [{**texts, "gravity": "failing"}],
        "health": [{"kind": "upstream", "name": texts["name"], "state": "down", "why": texts["cause"]}],
        "events": [{"event": "failed", "fields": {"error": texts["error"]}}],
    }
    done = await command("status", "--admin", admin.url, environ=environ)
    assert "…" not in done.out
    times = {"name": 3, "upstream": 1, "what": 1, "cause": 3, "action": 1, "error": 1}
    assert {name: done.out.count(text) for name, text in texts.items()} == times


async def test_status_asks_for_the_tokens_of_a_tenant_and_a_service(admin: Admin) -> None:
    """The labels go to the admin server, which has more tokens than it shows."""
    await command("status", "--admin", admin.url, "--tenant", "a&b", "--service", "app")
    assert admin.requests[0].head.target == b"/status?tenant=a%26b&service=app"


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize(
    ("member", "told"),
    [
        (
            {"not_found": "this pod cannot have a token with tenant=acmee; did you mean acme?"},
            "did you mean acme?",
        ),
        ({"not_found": "\x1b[31mred"}, "red"),
        ({"not_found": ""}, "this pod has no token with tenant=acmee service=app"),
        ({}, "this pod has no token with tenant=acmee service=app"),
    ],
)
async def test_status_of_tokens_that_do_not_exist_fails_and_says_so(
    admin: Admin, form: tuple[str, ...], member: dict[str, object], told: str
) -> None:
    """Exit code 1, with what the pod knows about the labels; an older sidecar knows nothing."""
    admin.shown = {**SHOWN, "tokens": [], **member}
    done = await command("status", "--admin", admin.url, "--tenant", "acmee", "--service", "app", *form)
    assert (done.code, done.err.count("\n"), done.err[:9]) == (1, 1, "sidecar: ")
    assert told in done.err
    assert "\x1b" not in done.err
    assert "1.2.3" in done.out
    everything = await command("status", "--admin", admin.url, *form)
    assert (everything.code, everything.err) == (0, "")


async def test_status_for_programs_is_the_answer(admin: Admin) -> None:
    """All of it."""
    done = await command("status", "--admin", admin.url, "--json")
    assert json.loads(done.out) == SHOWN


@pytest.mark.parametrize("width", [100, 40, 12])
async def test_status_fits_the_terminal_and_colours_it(admin: Admin, width: int) -> None:
    """No line is wider; colours are not counted as text."""
    async with on_terminal("status", "--admin", admin.url, columns=width) as screen:
        assert await screen.ends() == 0
        await screen.shows(b"recent events")
    text = screen.shown.decode()
    assert "\x1b[31mdown" in text
    plain = re.sub(r"\x1b\[\d+m", "", text)
    notes = max(20, width - 4) + 4
    assert max(map(len, plain.splitlines())) <= max(width, notes if width < 24 else 0)


@pytest.mark.parametrize("no_colour", [{"NO_COLOR": "1"}, {}])
async def test_status_has_no_colours_elsewhere(admin: Admin, no_colour: Mapping[str, str]) -> None:
    """With NO_COLOR set, and in a pipe."""
    if no_colour:
        async with on_terminal("status", "--admin", admin.url, environ=no_colour) as screen:
            assert await screen.ends() == 0
            await screen.shows(b"recent events")
        assert b"\x1b" not in screen.shown
    else:
        assert "\x1b" not in (await command("status", "--admin", admin.url)).out


async def test_status_shows_hostile_text_harmlessly(admin: Admin) -> None:
    """Escape sequences, line ends and marks of direction from any server do nothing to the terminal."""
    evil = "\x1b]0;owned\x07\r\n\u202egnp\x9b31m\ud800"
    admin.shown = {
        "version": evil,
        "mode": evil,
        "routes": [{"name": evil, "prefix": evil, "requests": evil}],
        "tokens": [{"token": evil, "state": evil, "problem": evil, "expires_in": evil, evil: evil}],
        "health": [{"kind": evil, "state": "down", "why": evil, "since": "x"}, evil, 3],
        "events": [{"event": evil, "last": 1e300, "count": evil, "fields": {evil: evil}}],
        "findings": [
            {"gravity": evil, "what": evil, "cause": evil, "since": evil, "tenants": [evil] * 9},
            evil,
            {},
        ],
        "ready": {"detail": evil},
        evil: evil,
    }
    done = await command("status", "--admin", admin.url)
    assert (done.code, done.err) == (0, "")
    assert [one for one in done.out if not one.isprintable() and one != "\n"] == []
    assert "\\x1b]0;owned" in done.out


async def test_status_reckons_with_no_number_that_is_none(admin: Admin) -> None:
    """Numbers as long as JSON lets them be, infinite ones and none at all."""
    for number in (10**400, -(10**400), float("inf"), float("nan")):
        row = dict.fromkeys(
            (
                *("requests", "errors", "rate", "error_rate", "latency", "expires_in"),
                *("since", "last_tried", "count", "last"),
            ),
            number,
        )
        admin.shown = {
            "uptime": number,
            "at": number,
            **{of: [row] for of in ("findings", "routes", "tokens", "health", "events")},
        }
        done = await command("status", "--admin", admin.url)
        assert (done.code, done.err) == (0, "")


async def test_status_watches_until_ctrl_c(admin: Admin) -> None:
    """Each look is written over the one before; a sidecar that goes away may come back; the end is clean."""
    async with on_terminal("status", "--admin", admin.url, "--watch", "0.1", rows=10) as screen:
        await screen.shows(b"1.2.3", 2)
        admin.script(*[closing(b"")] * 2)
        await screen.shows(b"it closed the connection", 2)
        admin.shown = {**SHOWN, "version": "4.5.6"}
        await screen.shows(b"4.5.6", 2)
        await screen.types(b"\x03")
        assert await screen.ends() == 0
    looks = screen.shown.split(b"\x1b[H")[1:]
    assert max(look.count(b"\n") for look in looks) <= 10
    assert b"Traceback" not in screen.shown


async def test_status_for_programs_watches_line_by_line(admin: Admin) -> None:
    """One JSON object a line, on a terminal too; without an answer there is none."""
    async with on_terminal("status", "--admin", admin.url, "--watch", "0.1", "--json") as screen:
        await screen.shows(b'"events"', 2)
        admin.script(closing(b""))
        await screen.shows(b"sidecar: no answer from")
        await screen.shows(b'"events"', 4)
    lines = screen.shown.splitlines()[:-1]
    assert b"\x1b" not in screen.shown
    assert [json.loads(line) for line in lines if line.startswith(b"{")] == [SHOWN] * (len(lines) - 1)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
async def test_healthcheck_is_an_exit_code(admin: Admin, status: int, code: int) -> None:
    """0 while requests should come, else 1; nothing is printed."""
    admin.script(json_answer(status, {"ok": status == 200}))
    assert await command("status", "--healthcheck", "--admin", admin.url) == (code, "", "")
    assert admin.requests[0].head.target == b"/readyz"


async def test_healthcheck_of_nobody_fails_and_says_why(unused_tcp_port: int) -> None:
    """1, the one code that means unhealthy to Docker; the address is also the sidecar's configured one."""
    told = {"SIDECAR_ADMIN_LISTEN": f"0.0.0.0:{unused_tcp_port}"}
    done = await command("status", "--healthcheck", environ=told)
    assert (done.code, done.out) == (1, "")
    assert f"no answer from http://127.0.0.1:{unused_tcp_port}: connection refused" in done.err


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "x"])
async def test_status_tells_wrong_usage(interval: str) -> None:
    """An interval that is none."""
    done = await command("status", "--watch", interval, "--admin", "http://127.0.0.1:1")
    assert (done.code, done.out) == (2, "")


async def test_status_of_a_running_sidecar(
    file: File,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    secret_file: Path,
    tmp_path: Path,
) -> None:
    """Over a Unix socket: every column of its routes, tokens and neighbours has something in it."""
    where = tmp_path / "admin.sock"
    document = with_token(upstream, authorization_server, secret_file)
    routes = document["routes"]
    assert isinstance(routes, list)
    more = {name: value for name, value in document.items() if name != "routes"}
    async with run(file, *routes, **more, admin={"listen": f"unix:{where}"}) as process:
        await process.get()
        done = await command("status", "--admin", f"unix:{where}")
        healthy = await command("status", "--healthcheck", environ={"SIDECAR_ADMIN_LISTEN": f"unix:{where}"})
    assert (done.code, healthy) == (0, (0, "", ""))
    fp = process.events("token_fetched")[0]["fp"]
    span, time = r"\d+ (?:s|min|h)", r"[\d.]+(e-\d+)? ms"
    for line in (
        rf"sidecar {__version__}, on .+, cache local, up for {span}, [\d:]+ UTC",
        rf"up +authorization server +127.0.0.1:{authorization_server.port} +{span}",
        rf"up +upstream +{upstream.url} +{span}",
        "nothing found in this pod",
        rf"api +/ +api +[\d.]+/(?:s|min) +0 % +{time} +{time} +{upstream.url}",
        rf"api +- +app +fresh +{fp} +{span} +fetch +{span} ago",
        r"[\d:]+ +started +version=.+",
    ):
        assert re.search(f"^{line}$", done.out, re.MULTILINE), (line, done.out)


async def test_o7_status_of_a_running_sidecar_begins_with_what_is_wrong(
    file: File, upstream: Upstream, authorization_server: AuthorizationServer, secret_file: Path
) -> None:
    """The same findings as the JSON of `/status`, in its order; when it is over, nothing."""
    document = with_token(upstream, authorization_server, secret_file)
    routes = document["routes"]
    assert isinstance(routes, list)
    more = {name: value for name, value in document.items() if name != "routes"}
    refused = json_answer(400, {"error": "invalid_scope", "error_description": "no such scope"})
    authorization_server.script(*[refused] * 20)
    async with run(file, *routes, **more) as process:

        async def answered() -> bool:
            return (await process.get())[0] == 200

        assert not await answered()
        admin = f"http://{process.admin}"
        shown = json.loads((await command("status", "--json", "--admin", admin)).out)["findings"]
        lines = (await command("status", "--admin", admin)).out.splitlines()
        authorization_server.scripts.clear()
        await until(answered)
        after = json.loads((await command("status", "--json", "--admin", admin)).out)["findings"]
    assert [each["kind"] for each in shown] == ["token_missing", "route_failing"]
    assert (shown[0]["service"], shown[0]["token"], shown[1]["route"]) == ("app", "api", "api")
    begin, end = lines.index("what is wrong now"), lines.index("health")
    section = lines[begin + 1 : end]
    heads = [line for line in section if not line.startswith("    ")][:-1]
    assert heads == [f"failing  {each['what']}" for each in shown]
    assert {f"    {shown[0]['cause']}", *(f"    to do: {each['action']}" for each in shown)} <= set(section)
    assert "invalid_scope" in shown[0]["cause"]
    assert "no such scope" in shown[0]["cause"]
    assert "token_missing" not in [each["kind"] for each in after]


class Guarded(Admin):
    """Shows its state as `localhost` only."""

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        ours = exchange.received.values("Host") == [b"localhost"]
        await exchange.send(
            json_answer(200, self.shown) if ours else json_answer(421, {"detail": "admin.hosts"})
        )


@pytest.mark.parametrize("arguments", [("status",), ("bust", "--all")], ids=lambda arguments: arguments[0])
async def test_s14_commands_reach_a_sidecar_by_a_name_that_is_not_in_admin_hosts(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its guard is against web pages; the name is tried first, for a proxy that goes by it."""
    monkeypatch.setenv("SIDECAR_ADMIN_TOKEN", "an-operators-token")
    async with Guarded() as server:
        server.shown = {**SHOWN, "select": "all", "pods": 1}
        done = await command(*arguments, "--admin", server.url)
        assert (done.code, done.err) == (0, "")
        hosts = [request.values("Host") for request in server.requests]
    assert hosts == [[server.url.removeprefix("http://").encode()], [b"localhost"]]
