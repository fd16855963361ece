"""`sidecar explain`: what it foretells is what the running sidecar then does."""

import base64
import json
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.support.authorization_server import AuthorizationServer
from tests.support.in_process import Done, typed_aside
from tests.support.processes import File
from tests.support.redis_server import RedisServer
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream, refusal

USER = "canary-of-a-user"


class Rig:
    """A sidecar with one route inside another, one of a host, tenants, and a token got with the caller's."""

    def __init__(
        self, start: Start, upstream: Upstream, authorization_server: AuthorizationServer, config: Path
    ) -> None:
        self.upstream = upstream
        self.authorization_server = authorization_server
        self._start = start
        self._config = config

    def start(self, redis: Mapping[str, object] | None = None) -> AbstractAsyncContextManager[Running]:
        url = self.upstream.url
        strict = {"strip_prefix": True, "on_401": "strict", "refused_statuses": [401, 403]}
        wanted = {
            "token_endpoint": self.authorization_server.token_endpoint,
            "credentials": "app",
            "audience": "for-{tenant}",
        }
        exchange = {**wanted, "grant": "token_exchange", "subject": {"header": "X-User"}}
        mine = {"name": "mine", "match": {"prefix": "/api/mine"}, "upstream": url, "token": "mine"}
        return self._start(
            {"name": "api", "match": {"prefix": "/api"}, "upstream": f"{url}/base", "token": "api", **strict},
            {**mine, "isolate": "caller"},
            {"name": "host", "match": {"host": "api.internal"}, "upstream": url},
            tenant={"header": "X-Tenant-Id", "allow": ["acme", "globex"]},
            tokens={"api": {**wanted, "scope": ["read", "write"]}, "mine": exchange},
            **({"redis": redis} if redis else {}),
        )

    async def explain(self, url: str, *fields: str) -> Done:
        headers = [part for field in fields for part in ("-H", field)]
        return await typed_aside("explain", "-c", str(self._config), *headers, "GET", url)

    async def told(self, url: str, *fields: str) -> dict[str, Any]:
        headers = [part for field in fields for part in ("-H", field)]
        done = await typed_aside("explain", "-c", str(self._config), "--json", *headers, "GET", url)
        told: dict[str, Any] = json.loads(done.out)
        assert (done.code, done.err) == (0 if told["answer"] is None else 1, "")
        return told


@pytest.fixture
def rig(sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, tmp_path: Path) -> Rig:
    return Rig(sidecar, upstream, authorization_server, tmp_path / "config.yaml")


FIELDS = (
    "X-Tenant-Id: globex",
    "X_Tenant_Id: acme",
    "X_User: another",
    f"X-User: Bearer {USER}",
    "Origin: http://localhost:9180",
    "Accept: */*",
    "Authorization: Bearer canary-of-the-client",
    "Connection: close, X-Hop",
    "X-Hop: 1",
)


@pytest.mark.parametrize("path", ["/api/accounts", "/api/mine/1"])
async def test_explain_foretells_what_everybody_gets(
    rig: Rig, redis_server: RedisServer, tmp_path: Path, path: str
) -> None:
    """Target and fields at the upstream, the form at the token endpoint, and the key in Redis."""
    (tmp_path / "key").write_text("A" * 43 + "=")
    keys = [{"id": "k", "key": {"file": str(tmp_path / "key")}}]
    fleet = {"url": redis_server.url, "key_prefix": f"{uuid4().hex}:", "encryption_keys": keys}
    async with rig.start(redis=fleet) as running:
        told = await rig.told(f"{path}?canary", *FIELDS)
        assert (rig.upstream.connections, rig.authorization_server.connections) == (0, 0)
        await running.get(f"{path}?canary".encode(), *(field.encode() for field in FIELDS))
    with redis_server.client() as redis:
        assert redis.exists(told["token"]["key"]) == 1
    [received], [form] = rig.upstream.requests, rig.authorization_server.forms
    sent, foretold = told["sent"], dict(told["token"]["form"])
    assert (sent["upstream"], sent["method"]) == (rig.upstream.url, "GET")
    assert sent["target"].replace("?…", "?canary") == received.head.target.decode()
    kept = [name.lower() for name, fate in sent["fields"] if not fate.startswith("left out")]
    assert kept == [name.decode().lower() for name, _ in received.head.fields]
    assert foretold.keys() == form.keys()
    assert {name: [value] for name, value in foretold.items() if "<" not in value}.items() <= form.items()


async def test_s6_explain_says_whose_connection_it_would_be(rig: Rig) -> None:
    """Only if it is not shared by all."""
    async with rig.start():
        own, shared = await rig.told("/api/mine/1", *FIELDS), await rig.told("/api/accounts", *FIELDS)
        text = (await rig.explain("/api/mine/1", *FIELDS)).out
    assert (own["sent"]["connections"], shared["sent"]["connections"]) == ("of this caller only", "")
    assert re.search(r"connections +of this caller only", text)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/none", FIELDS),
        ("/api/../none", FIELDS),
        ("/api", ("X-Tenant-Id: nobody",)),
        ("/api", ()),
        ("/api/mine", ("X-Tenant-Id: acme",)),
        ("/api", (*FIELDS, "Host: evil.test")),
        ("/api", (*FIELDS, "Origin: https://evil.test")),
        ("/api", (*FIELDS, "Content-Length: 1", "Transfer-Encoding: chunked")),
    ],
)
async def test_explain_answers_what_the_proxy_answers(rig: Rig, path: str, fields: tuple[str, ...]) -> None:
    """The same status and the same problem, to the letter; exit code 1."""
    lines = [f"GET {path} HTTP/1.1", *fields]
    if not any(field.startswith("Host") for field in fields):
        lines.append("Host: localhost")
    async with rig.start() as running:
        told = (await rig.told(path, *fields))["answer"]
        answer = await running.ask("\r\n".join((*lines, "", "")).encode())
    real = json.loads(answer.body)
    assert (told["status"], told["instance"]) == (answer.status, "")
    assert {**told, "instance": real["instance"]} == real


TARGETS = (
    "//evil/x", "//evil", "///", "//evil:80/a?b", "/http://evil/x", "/a//b", "/a;b?c://d", "/[x]", "/a:b@c",
    "/..a", "/%2e%2e%3b/", "/a#b", "//evil/../x", "*", "x",
)  # fmt: skip


async def test_s17_explain_reads_a_target_as_the_proxy_does(rig: Rig) -> None:
    """To the byte: what begins with a slash is a path, whatever another parser would take it for."""
    host = "Host: api.internal"
    async with rig.start() as running:
        for target in TARGETS:
            told = await rig.told(target, host)
            answer = await running.ask(f"GET {target} HTTP/1.1\r\n{host}\r\n\r\n".encode())
            if told["answer"] is None:
                received = rig.upstream.requests.pop().head.target.decode()
                assert told["sent"]["target"].replace("?…", received[received.find("?") :]) == received
            else:
                assert told["answer"]["detail"] == json.loads(answer.body)["detail"]
            assert rig.upstream.requests == []


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://api.internal", "/"),
        ("HTTP://Api.Internal:80/a//b", "/a//b"),
        ("http://api.internal?x", "/?…"),
        ("http://api.internal//evil/x", "//evil/x"),
        ("http://api.internal/a?b=http://c", "/a?…"),
    ],
)
async def test_s17_a_url_is_taken_apart_by_the_proxys_own_parser(rig: Rig, url: str, target: str) -> None:
    """Host and target are those of the absolute-form."""
    async with rig.start():
        told = await rig.told(url)
    assert (told["route"], told["sent"]["target"]) == ("host", target)


async def test_h5_explain_says_what_becomes_of_origin(rig: Rig) -> None:
    """The sidecar's own becomes the upstream's, another one stays; and so it is."""
    for origin, fate in (
        ("http://api.internal", f"replaced by the upstream's: {rig.upstream.url}"),
        ("http://localhost:3000", "relayed"),
    ):
        fields = ("Host: api.internal", f"Origin: {origin}")
        async with rig.start() as running:
            told = dict((await rig.told("/x", *fields))["sent"]["fields"])
            await running.ask("\r\n".join(("GET /x HTTP/1.1", *fields, "", "")).encode())
        assert told["Origin"] == fate
        assert rig.upstream.requests[-1].values("Origin") == [
            (origin if fate == "relayed" else rig.upstream.url).encode()
        ]


async def test_explain_says_why_the_other_routes_do_not_match(rig: Rig) -> None:
    """Another path, another host, or less specific than the one that does."""

    async def verdicts(*request: str) -> list[str]:
        return [route["verdict"] for route in (await rig.told(*request))["routes"]]

    async with rig.start():
        tenant = "X-Tenant-Id: acme"
        assert await verdicts("/api/x", tenant) == ["matches", "another path", "another host"]
        assert await verdicts("http://127.0.0.1:9180/api/mine", tenant, f"X-User: {USER}") == [
            "matches too, but mine is more specific",
            "matches",
            "another host",
        ]
        assert await verdicts("http://api.internal/x") == ["another path", "another path", "matches"]
        assert await verdicts("http://evil.test/api") == []


async def test_explain_says_what_follows_each_refusal(rig: Rig) -> None:
    """On a strict route only `invalid_token` makes the sidecar send once more: so it says, and so it is."""
    challenges = {
        '401 with error="invalid_token"': b'Bearer error="invalid_token"',
        "401 with another error": b'Bearer error="insufficient_scope"',
        "401 without an error": b"",
        "401 with other schemes only": b"Basic",
    }
    tenant = "X-Tenant-Id: acme"
    async with rig.start() as running:
        told = dict((await rig.told("/api/x", tenant))["refusals"])
        assert told.keys() == challenges.keys() | {"403"}
        for answer, challenge in challenges.items():
            rig.upstream.script(refusal(challenge))
            before = len(rig.upstream.requests)
            await running.get(b"/api/x", tenant.encode())
            twice = len(rig.upstream.requests) - before == 2
            assert told[answer] == ("new token, sent once more" if twice else "relayed")


async def test_explain_for_people_shows_no_secret_and_no_escape_sequence(rig: Rig) -> None:
    """The caller's token is there by its fingerprint; a hostile path is written harmlessly."""
    async with rig.start():
        done = await rig.explain("/api/mine", *FIELDS)
        hostile = await rig.explain("/api/\x1b[31m\u202e", *FIELDS)
    assert re.search(r"subject +fp [0-9a-f]{12}\n", done.out)
    assert re.search(r"Authorization +left out: the sidecar's takes its place", done.out)
    assert (hostile.code, hostile.out.isascii()) == (1, True)
    assert "\x1b" not in hostile.out


def jwt(**claims: object) -> str:
    """A token without a valid signature."""
    parts = ({"alg": "RS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "canary"))


async def test_explain_believes_a_callers_token_without_asking_for_keys(file: File) -> None:
    """Its tenant is the one it names; one of another issuer, or an expired one, is refused as by the proxy."""
    verify = {"issuer": "https://issuer.invalid", "audience": "us"}
    document = {
        "tenant": {"claim": "tid"},
        "credentials": {"app": {"client_id": "app", "client_secret": {"env": "SECRET"}}},
        "tokens": {
            "api": {
                "grant": "token_exchange",
                "token_endpoint": "https://auth.invalid/{tenant}",
                "credentials": "app",
                "subject": {"header": "Authorization", "type": "jwt", "verify": verify},
            }
        },
        "routes": [{"name": "api", "upstream": "https://api.invalid", "token": "api"}],
    }
    file.put(yaml.safe_dump(document).encode())

    async def told(**claims: object) -> dict[str, Any]:
        token = jwt(**{"iss": "https://issuer.invalid", "aud": "us", "exp": 4e9, "tid": "acme", **claims})
        field = ("-H", f"Authorization: Bearer {token}")
        done = await typed_aside(
            "explain", "-c", str(file.path), "--json", *field, "GET", "/", environ={"SECRET": "canary"}
        )
        found: dict[str, Any] = json.loads(done.out)
        return found

    found = (await told())["token"]
    assert (found["tenant"], found["endpoint"]) == ("acme", "https://auth.invalid/acme")
    for wrong in ({"iss": "https://other.invalid"}, {"exp": 1}, {"aud": "them"}):
        assert (await told(**wrong))["answer"]["status"] == 401
    assert (await told(tid="a:b"))["answer"]["status"] == 400


async def test_explain_knows_how_long_a_head_may_be(file: File) -> None:
    """431 beyond that, as the proxy answers."""
    file.put(b'routes: [{name: a, upstream: "http://127.0.0.1:1"}]')
    for size, code in ((32_000, 0), (66_000, 1)):
        done = await typed_aside("explain", "-c", str(file.path), "-H", f"X-Long: {size * 'x'}", "GET", "/")
        assert (done.code, "431 fields_too_large" in done.out) == (code, code == 1)


@pytest.mark.parametrize("rewrite", ["false", "true"])
async def test_h8_explain_says_what_becomes_of_a_redirect(file: File, rewrite: str) -> None:
    """Where the route rewrites locations."""
    file.put(f"routes: [{{name: a, upstream: 'http://127.0.0.1:1', rewrite_location: {rewrite}}}]".encode())
    done = await typed_aside("explain", "-c", str(file.path), "GET", "/")
    assert (done.code, "Location to the upstream" in done.out) == (0, rewrite == "true")


async def test_explain_ends_no_head_before_its_end(file: File) -> None:
    """An empty field, such as of a shell variable that is not set, would hide those behind it."""
    file.put(b'routes: [{name: a, upstream: "http://127.0.0.1:1"}]')
    done = await typed_aside("explain", "-c", str(file.path), "-H", "", "-H", "X-Other: 1", "GET", "/")
    assert (done.code, done.out) == (2, "")
    assert "one line each" in done.err


@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "ftp://x", "http:///x"])
async def test_explain_wants_a_url_that_the_sidecar_could_be_asked_for(file: File, url: str) -> None:
    """Wrong usage, before anything is looked at."""
    file.put(b'routes: [{name: a, upstream: "http://127.0.0.1:1"}]')
    done = await typed_aside("explain", "-c", str(file.path), "GET", url)
    assert (done.code, done.out) == (2, "")
    assert "write the URL as http://host:port/path" in done.err


async def test_b93_explain_shows_the_version_of_a_route_of_http2(
    sidecar: Start, upstream: Upstream, tmp_path: Path
) -> None:
    """The upstream's name is `:authority` there."""
    async with sidecar({"name": "far", "upstream": upstream.url, "protocol": "http2"}):
        done = await typed_aside("explain", "-c", str(tmp_path / "config.yaml"), "--json", "GET", "/a")
        shown = await typed_aside("explain", "-c", str(tmp_path / "config.yaml"), "GET", "/a")
    sent = json.loads(done.out)["sent"]
    assert (sent["protocol"], sent["fields"][0]) == ("http2", [":authority", f"127.0.0.1:{upstream.port}"])
    assert re.search(r"protocol +http2", shown.out)
