"""`sidecar check`: what is there and what is not, in the order in which one needs the other."""

import asyncio
import datetime as dt
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.aws import ENVIRONMENT, REGION, Aws
from tests.support.commands import Done, command
from tests.support.keys import pem
from tests.support.pages import documented_rules
from tests.support.redis_server import RedisServer, Sentinels
from tests.support.sidecar import SECRET
from tests.support.upstream import Exchange, Server, Upstream
from tests.support.waiting import PATIENCE, until

KEY = "A" * 43 + "="
Step = Mapping[str, Any]


class Checking:
    """A configuration, and what the command finds of it."""

    def __init__(
        self, directory: Path, upstream: Upstream, authorization_server: AuthorizationServer
    ) -> None:
        self.file = directory / "config.yaml"
        secret = directory / "secret"
        secret.write_text(SECRET)
        self.token: dict[str, object] = {
            "token_endpoint": authorization_server.token_endpoint,
            "credentials": "app",
        }
        self.document: dict[str, object] = {
            "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret)}}},
            "tokens": {"api": self.token},
            "routes": [{"name": "api", "upstream": upstream.url, "token": "api"}],
        }

    async def run(self, *arguments: str, **environ: str) -> Done:
        self.file.write_text(yaml.safe_dump(self.document))
        return await command("check", "-c", str(self.file), *arguments, environ=environ)

    async def steps(self, *arguments: str, **environ: str) -> dict[str, Step]:
        """What became of each step, by subject and name; the exit code says whether one failed."""
        done = await self.run("--json", *arguments, **environ)
        assert done.code in {0, 1}, done.err
        told = json.loads(done.out)
        failed = [step for step in told["steps"] if step["outcome"] == "failed"]
        assert (done.code, told["ok"], done.err) == (bool(failed), not failed, "")
        return {f"{step['about']} {step['step']}": step for step in told["steps"]}


@pytest.fixture
def checking(tmp_path: Path, upstream: Upstream, authorization_server: AuthorizationServer) -> Checking:
    return Checking(tmp_path, upstream, authorization_server)


async def test_check_of_what_is_there_fetches_each_token_and_sends_it_to_nobody(
    checking: Checking, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Every step is shown with its time; the upstream is connected to, and gets no request."""
    done = await checking.run()
    assert (done.code, done.err) == (0, "")
    lines = [line.split(maxsplit=3) for line in done.out.splitlines()]
    assert {(outcome, unit) for outcome, _, unit, _ in lines[:-1]} == {("ok", "ms")}
    assert lines[-1][:2] == [str(len(lines) - 1), "steps,"]
    assert [rest for _, _, _, rest in lines[:-1]] == [
        f"127.0.0.1:{upstream.port}: resolve: 127.0.0.1",
        f"127.0.0.1:{upstream.port}: connect: 127.0.0.1",
        f"route api: upstream: {upstream.url}",
        f"127.0.0.1:{authorization_server.port}: resolve: 127.0.0.1",
        f"127.0.0.1:{authorization_server.port}: connect: 127.0.0.1",
        "credentials app: read: client id app",
        "token api: fetch: obtained, valid for 3600 s",
    ]
    assert (upstream.connections, upstream.requests, len(authorization_server.issued)) == (1, [], 1)


async def test_check_skips_what_needs_a_step_that_failed_and_goes_on_with_the_rest(
    checking: Checking, unused_tcp_port: int
) -> None:
    """The first one that failed says what to do; those behind it name what they need."""
    checking.document["tokens"] = {
        "api": checking.token,
        "dead": {**checking.token, "token_endpoint": f"https://127.0.0.1:{unused_tcp_port}/token"},
        "nobody": {**checking.token, "token_endpoint": "https://nobody.invalid/token"},
    }
    checking.document["routes"] = [{"name": "gone", "upstream": f"https://127.0.0.1:{unused_tcp_port}/x"}]
    steps = await checking.steps()
    place = f"127.0.0.1:{unused_tcp_port}"
    assert (steps[f"{place} connect"]["outcome"], steps[f"{place} connect"]["detail"]) == (
        "failed",
        "Connection refused",
    )
    assert "check address and port" in steps[f"{place} connect"]["hint"]
    assert steps["route gone upstream"]["detail"] == f"needs {place}: TLS"
    assert steps[f"{place} TLS"]["detail"] == f"needs {place}: connect"
    assert steps["token dead fetch"]["detail"] == f"needs {place}: TLS"
    assert steps["nobody.invalid:443 resolve"]["outcome"] == "failed"
    assert {steps[f"token {name} fetch"]["outcome"] for name in ("dead", "nobody")} == {"skipped"}
    assert steps["token api fetch"]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("answer", "detail", "hint"),
    [
        ((401, "invalid_client"), "does not accept the client's credentials", "client id, client secret"),
        ((400, "invalid_scope"), "refused: 400 invalid_scope", "check scope"),
        ((503, ""), "answered 503", ""),
    ],
)
async def test_check_says_what_the_authorization_server_refused(
    checking: Checking,
    authorization_server: AuthorizationServer,
    answer: tuple[int, str],
    detail: str,
    hint: str,
) -> None:
    """In its own words, and what to look at."""
    status, error = answer
    refusal = json_answer(status, {"error": error, "error_description": f"{SECRET} is wrong"})
    authorization_server.script(refusal, refusal)
    step = (await checking.steps())["token api fetch"]
    assert step["outcome"] == "failed"
    assert detail in step["detail"]
    assert hint in step["hint"]


async def test_t11_check_shows_the_servers_own_text_without_secrets(
    checking: Checking, authorization_server: AuthorizationServer
) -> None:
    """The code in it is what people search for."""
    text = f"AADSTS7000215: the secret {SECRET} is wrong"
    refusal = json_answer(401, {"error": "invalid_client", "error_description": text})
    authorization_server.script(refusal, refusal)
    step = (await checking.steps())["token api fetch"]
    assert step["detail"].endswith('(401 invalid_client): "AADSTS7000215: the secret [removed] is wrong"')


async def test_i5_check_advises_what_a_client_with_an_assertion_can_do(
    checking: Checking, authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    """It has no secret to look at; and the server may accept each assertion only once."""
    (tmp_path / "assertion").write_text("canary-assertion")
    refusal = json_answer(
        400, {"error": "invalid_client", "error_description": "Token reuse: canary-assertion"}
    )
    authorization_server.script(refusal, refusal)
    credentials = {"client_id": "app", "assertion_file": str(tmp_path / "assertion")}
    checking.document["credentials"] = {"app": credentials}
    checking.token["client_auth"] = "client_assertion_file"
    step = (await checking.steps())["token api fetch"]
    assert step["detail"].endswith('refused: 400 invalid_client: "Token reuse: [removed]"')
    assert "accept it only once" in step["hint"]
    assert "secret" not in step["hint"]


async def test_check_names_the_secret_that_cannot_be_read(checking: Checking, tmp_path: Path) -> None:
    """The token that needs it is skipped."""
    credentials = checking.document["credentials"]
    assert isinstance(credentials, dict)
    credentials["app"] = {"file": str(tmp_path / "both.json")}
    (tmp_path / "both.json").write_text("canary")
    steps = await checking.steps()
    assert steps["credentials app read"]["outcome"] == "failed"
    assert "both.json: it is not a JSON object" in steps["credentials app read"]["detail"]
    assert steps["token api fetch"]["detail"] == "needs credentials app: read"


async def test_check_reads_each_secret_in_aws(checking: Checking, aws: Aws) -> None:
    """Of the tenant that is asked for."""
    aws.create("acme/app", {"clientId": "app-of-acme", "clientSecret": "canary"})
    place = {"id": aws.name("{tenant}/app"), "region": REGION, "endpoint": aws.url}
    checking.document.update(credentials={"app": {"aws_secret": place}}, tenant={"header": "X-Tenant-Id"})
    without = await checking.steps(**ENVIRONMENT)
    assert (without["token api fetch"]["outcome"], aws.reads) == ("skipped", [])
    assert without["token api fetch"]["hint"] == "name one with --tenant"
    steps = await checking.steps("--tenant", "acme", **ENVIRONMENT)
    assert steps["credentials app read"]["detail"] == "client id app-of-acme"
    assert steps["token api fetch"]["detail"] == "obtained for tenant acme, valid for 3600 s"
    missing = (await checking.steps("--tenant", "globex", **ENVIRONMENT))["credentials app read"]
    assert "check aws_secret.id, region and stage" in missing["detail"]


async def test_check_looks_up_metadata_and_keys(
    checking: Checking, authorization_server: AuthorizationServer
) -> None:
    """Of the issuer of the tokens, and of the callers'; their own tokens are not there to be exchanged."""
    issuer = authorization_server.url
    metadata = json_answer(
        200,
        {"issuer": issuer, "token_endpoint": f"{issuer}/token", "jwks_uri": f"{issuer}/keys"},
    )
    verify = {"issuer": issuer, "audience": "us", "jwks_uri": f"{issuer}/keys"}
    checking.document["tokens"] = {
        "api": {
            "issuer": issuer,
            "credentials": "app",
            "grant": "token_exchange",
            "subject": {"header": "X-User", "type": "jwt", "verify": verify},
        }
    }

    async def answer(exchange: Exchange) -> None:
        await exchange.read()
        keys = json_answer(200, {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]})
        await exchange.send(keys if b"/keys" in exchange.received.head.target else metadata)

    authorization_server.script(*[answer] * 4)
    steps = await checking.steps()
    assert steps[f"{issuer} discovery"]["detail"] == f"token endpoint {issuer}/token"
    assert steps[f"{issuer} keys"]["detail"] == f"1 at {issuer}/keys"
    assert steps["token api fetch"]["detail"] == "requires a token of each caller"


class TlsServer(Server):
    """Takes connections, and answers nothing."""

    asking = 0
    """How many clients have sent something and wait."""

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            self.asking += 1
            await reader.read()
            self.asking -= 1


def certificate(directory: Path, *names: str, days: int) -> tuple[trustme.LeafCert, Path]:
    """A certificate that lasts so many days, and its authority's file."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    now = dt.datetime.now(dt.UTC)
    begin, end = now - dt.timedelta(days=400), now + dt.timedelta(days=days, hours=1)
    return authority.issue_cert(*names, not_before=begin, not_after=end), directory / "ca.pem"


@pytest.mark.parametrize(
    ("name", "days", "known", "outcome", "detail", "hint"),
    [
        ("127.0.0.1", 90, True, "ok", "certificate for 127.0.0.1, 90 more days", ""),
        ("127.0.0.1", 3, True, "ok", "certificate for 127.0.0.1, 3 more days", "renew it soon"),
        ("127.0.0.1", -3, True, "failed", "certificate has expired", "within its dates"),
        ("127.0.0.2", 90, True, "failed", "IP address mismatch", "for this name"),
        ("127.0.0.1", 90, False, "failed", "unable to get local issuer certificate", "give ca_file"),
    ],
)
async def test_check_shows_the_certificate_or_what_is_wrong_with_it(  # noqa: PLR0917  one row of the table
    checking: Checking,
    tmp_path: Path,
    name: str,
    days: int,
    known: bool,
    outcome: str,
    detail: str,
    hint: str,
) -> None:
    """Its names and how long it lasts."""
    leaf, authority = certificate(tmp_path, name, days=days)
    async with TlsServer(_serving(leaf)) as server:
        tls = {"tls": {"ca_file": str(authority)}} if known else {}
        checking.document["routes"] = [{"name": "api", "upstream": server.url, **tls}]
        step = (await checking.steps())[f"127.0.0.1:{server.port} TLS"]
    assert (step["outcome"], detail in step["detail"], hint in step["hint"]) == (outcome, True, True), step


@pytest.mark.parametrize(
    ("offered", "outcome"), [(["h2", "http/1.1"], "ok"), (["http/1.1"], "failed"), ([], "failed")]
)
async def test_b93_check_agrees_on_http2_where_the_route_uses_it(
    checking: Checking, tmp_path: Path, offered: list[str], outcome: str
) -> None:
    """By ALPN; another route to the same place does not demand it."""
    leaf, authority = certificate(tmp_path, "127.0.0.1", days=90)
    context = _serving(leaf)
    if offered:
        context.set_alpn_protocols(offered)
    async with TlsServer(context) as server:
        new = {"name": "api", "upstream": server.url, "tls": {"ca_file": str(authority)}, "protocol": "http2"}
        checking.document["routes"] = [new]
        step = (await checking.steps())[f"127.0.0.1:{server.port} TLS"]
        checking.document["routes"] = [{**new, "protocol": "http1"}]
        assert (await checking.steps())[f"127.0.0.1:{server.port} TLS"]["outcome"] == "ok"
    assert (step["outcome"], "protocol: http2" in step["hint"]) == (outcome, outcome == "failed"), step


def _serving(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)
    return context


# Redis


async def test_check_of_redis_says_who_we_are_and_what_we_may(
    checking: Checking, each_own_redis: RedisServer, tmp_path: Path
) -> None:
    """The permissions on the page are enough; what is missing is named; nothing stays there."""
    client = each_own_redis.client()
    rules = documented_rules()
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "password").write_text("secret\n")
    redis = {
        "url": each_own_redis.url,
        "username": "sidecar",
        "password": {"file": str(tmp_path / "password")},
        "encryption_keys": [{"id": "k", "key": {"file": str(tmp_path / "key")}}],
    }
    checking.document.update(redis=redis, tenant={"header": "X-Tenant-Id", "default": "acme"})

    async def look(*more: str) -> dict[str, Step]:
        client.execute_command("ACL", "SETUSER", "sidecar", "reset", *rules, *more)  # type: ignore[no-untyped-call]
        return await checking.steps()

    steps = await look()
    assert {name: step["outcome"] for name, step in steps.items() if name.startswith("redis")} == {
        "redis key k read": "ok",
        "redis.password read": "ok",
        "redis log in": "ok",
        "redis version": "ok",
        "redis keys": "ok",
        "redis channels": "ok",
    }
    assert client.keys("*") == []
    found = (await look("-zadd"))["redis keys"]
    assert (found["outcome"], "ZADD" in found["detail"]) == ("failed", True), found
    assert "compare the user with the ACL in docs/how-to/share-through-redis.md" in found["hint"]
    (tmp_path / "password").write_text("wrong")
    found = (await look())["redis log in"]
    assert (found["outcome"], found["hint"]) == ("failed", "check redis.username and redis.password")


async def test_check_finds_redis_behind_sentinels(checking: Checking, sentinels: Sentinels) -> None:
    """The same operations, on the server that they name."""
    hosts = ",".join(f"{host}:{port}" for host, port in sentinels.hosts)
    redis = {"url": f"redis://{hosts}", "sentinel": {"master": Sentinels.MASTER}, "encryption": "none"}
    checking.document["redis"] = redis
    steps = await checking.steps()
    found = {step["step"]: step["outcome"] for step in steps.values() if step["about"] == "redis"}
    assert found == dict.fromkeys(("log in", "version", "keys", "channels"), "ok"), steps


async def test_check_does_not_wait_for_ever(checking: Checking) -> None:
    """What is not done in time has failed; steps that do not need each other do not wait for each other."""
    async with TlsServer() as one, TlsServer() as other:
        checking.document["tokens"] = {
            name: {**checking.token, "token_endpoint": f"{server.url}/token"}
            for name, server in (("one", one), ("other", other))
        }
        checking.document["routes"] = [{"name": "api", "upstream": one.url}]
        looking = asyncio.create_task(checking.steps("--timeout", "2"))
        await until(lambda: one.asking > 0 and other.asking > 0)
        steps = await looking
    assert {steps[f"token {name} fetch"]["detail"] for name in ("one", "other")} == {"not done after 2 s"}


async def test_s1_check_does_not_wait_for_a_file_that_never_ends(
    checking: Checking, authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    """The key of an assertion, which becomes a pipe just before it is read to sign."""
    issuer, key = authorization_server.url, tmp_path / "key.pem"
    key.write_text(pem("p256"))
    checking.document["credentials"] = {"app": {"client_id": "app", "private_key": {"file": str(key)}}}
    checking.document["tokens"] = {
        "api": {"issuer": issuer, "credentials": "app", "client_auth": "private_key_jwt"}
    }

    metadata = json_answer(200, {"issuer": issuer, "token_endpoint": f"{issuer}/token"})

    async def once_more(exchange: Exchange) -> None:
        key.unlink()
        os.mkfifo(key)
        await exchange.send(metadata)

    authorization_server.script(metadata, once_more)  # for the step, then for the fetch
    async with asyncio.timeout(PATIENCE):
        steps = await checking.steps("--timeout", "2")
    assert steps["token api: key read"]["outcome"] == "ok"
    assert "a named pipe" in str(steps["token api fetch"]["detail"])


async def test_check_of_a_bad_configuration_exits_78(checking: Checking) -> None:
    """Nothing is tried then."""
    checking.document["typo"] = 1
    done = await checking.run()
    assert (done.code, done.out) == (78, "")


@pytest.mark.parametrize(
    "arguments", [("--tenant", "a b"), ("--tenant", "acme"), ("--timeout", "0"), ("--timeout", "nan")]
)
async def test_check_tells_wrong_usage(checking: Checking, arguments: tuple[str, str]) -> None:
    """A tenant that is none, one where there are none, and a time that is none."""
    done = await checking.run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert arguments[0] in done.err.splitlines()[-1]


async def test_o10_check_reads_the_secret_of_the_named_tenant(checking: Checking, tmp_path: Path) -> None:
    """From its file or its variable, and names what is missing."""
    checking.document["tenant"] = {"header": "X-Tenant-Id"}
    (tmp_path / "acme.json").write_text(json.dumps({"client_id": "me", "client_secret": SECRET}))
    in_file = {"file": str(tmp_path / "{tenant}.json")}
    in_variable = {"client_id": "me", "client_secret": {"env": "LEDGER_{tenant}"}}
    for entry, place in ((in_file, "initech.json"), (in_variable, "LEDGER_initech")):
        checking.document["credentials"] = {"app": entry}
        steps = await checking.steps("--tenant", "acme", LEDGER_acme=SECRET)
        assert steps["credentials app read"]["detail"] == "client id me"
        assert steps["token api fetch"]["outcome"] == "ok"
        steps = await checking.steps("--tenant", "initech", LEDGER_acme=SECRET)
        assert steps["credentials app read"]["outcome"] == "failed"
        assert place in steps["credentials app read"]["detail"]
        assert (await checking.steps())["token api fetch"]["outcome"] == "skipped"


async def test_o10_check_reads_the_key_of_the_named_tenant(checking: Checking, tmp_path: Path) -> None:
    """Without a tenant no file of one is read."""
    checking.document["tenant"] = {"header": "X-Tenant-Id"}
    (tmp_path / "acme.pem").write_text(pem("rsa"))
    key = {"file": str(tmp_path / "{tenant}.pem")}
    checking.document["credentials"] = {"app": {"client_id": "me", "private_key": key}}
    checking.token["client_auth"] = "private_key_jwt"
    for arguments, outcome in ((("--tenant", "acme"), "ok"), (("--tenant", "initech"), "failed"), ((), None)):
        steps = await checking.steps(*arguments)
        assert steps.get("token api: key read", {}).get("outcome") == outcome
