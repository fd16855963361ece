"""A fleet as its operators see it: busts by hand, what the pages show, what a reload may change, what it loads."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.config.load import load
from sidecar.core.errors import ConfigError
from tests import ROOT
from tests.support.authorization_server import AuthorizationServer
from tests.support.environment import bare
from tests.support.fleet_of_sidecars import ENVIRON, SidecarFleet, SidecarPod, at_leisure
from tests.support.pages import documented_rules
from tests.support.processes import get, redis_health
from tests.support.redis_server import RedisServer
from tests.support.sidecar import FleetOn
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE
from tests.support.wire_client import ask

TOKEN = "an-operators-canary"
OF_THE_FLEET = {"redis", "cryptography"}


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """What operators show is read from here."""
    path = tmp_path / "admin-token"
    path.write_text(f"{TOKEN}\n")
    return path


async def started(fleet: SidecarFleet, token_file: Path, count: int = 1) -> list[SidecarPod]:
    admin = {"listen": "127.0.0.1:0", "token": {"file": str(token_file)}}
    return await fleet.start(count, admin=admin)


def rotate(token_file: Path, token: str) -> Path:
    """Put another token there; returns where the old one is now."""
    old = token_file.rename(token_file.with_suffix(".old"))
    if token:
        token_file.write_text(token)
    return old


async def bust(pod: SidecarPod, token_file: Path, *labels: str) -> tuple[int, str]:
    """`sidecar bust …` at this pod: exit code and what is printed."""
    admin = ("--admin", f"http://{pod.app.admin_address}", "--token-file", str(token_file))
    command = [sys.executable, "-m", "sidecar", "bust", *labels, *admin]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env=bare(), cwd=ROOT, check=False
    )
    return done.returncode, done.stdout + done.stderr


async def page(pod: SidecarPod, path: bytes) -> bytes:
    return (await ask(pod.app.admin_address, get(path))).body


async def held(pod: SidecarPod) -> int:
    """How many tokens memory holds."""
    tokens = (await pod.status())["tokens"]
    assert isinstance(tokens, list)
    return len(tokens)


async def emptied(*pods: SidecarPod) -> None:
    async with asyncio.timeout(PATIENCE):
        while any([await held(pod) for pod in pods]):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("labels", [("--all",), ("--service", "app")])
async def test_b52_a_bust_by_hand_reaches_every_pod(
    frail: SidecarFleet, token_file: Path, authorization_server: AuthorizationServer, labels: tuple[str, ...]
) -> None:
    """All drop the token, none asks for it before it is needed, and then one fetches for all."""
    pods = await started(frail, token_file, 3)
    select = labels[0].strip("-") if len(labels) == 1 else "=".join(labels).strip("-")
    code, said = await bust(pods[1], token_file, *labels)
    one = rf"{re.escape(gethostname())} \([0-9a-f]{{16}}\)"  # they are on one machine
    # the fleet's own listener in the test subscribes too
    answered = rf"{select}: 3 of 4 pods answered: {one} dropped 1, {one} 1, {one} 1; 1 did not answer\n"
    assert (code, re.fullmatch(answered, said) is not None) == (0, True), said
    await emptied(*pods)
    assert len(authorization_server.issued) == 1
    assert [await pod.get() for pod in pods] == [200] * 3
    assert len(authorization_server.issued) == 2


async def test_b52_what_does_not_carry_the_labels_stays(
    frail: SidecarFleet, token_file: Path, authorization_server: AuthorizationServer
) -> None:
    """Every label must be carried."""
    (pod,) = await started(frail, token_file)
    for labels in (("--jti", "other"), ("--user", "acme"), ("--service", "app", "--user", "alice")):
        assert (await bust(pod, token_file, *labels))[0] == 0
    assert await held(pod) == 1
    assert await pod.get() == 200
    assert len(authorization_server.issued) == 1


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (
            ("--tenant", "acmee"),
            "tenant=acmee: this pod's tenant.allow does not contain it; did you mean acme?",
        ),
        (
            ("--service", "ap", "--tenant", "acme"),
            "service=ap: this pod's configuration has no such service; did you mean app?",
        ),
        (
            ("--service", "api"),
            "service=api: this pod's configuration has no such service; did you mean app, the service of token api?",
        ),
    ],
)
async def test_o8_a_bust_that_this_pods_configuration_does_not_know_is_sent_with_a_warning(
    frail: SidecarFleet, token_file: Path, labels: tuple[str, ...], warning: str
) -> None:
    """Other pods may know it. A reload brings names that count at once."""
    tenant = {"header": "X-Tenant-Id", "allow": ["acme"], "default": "acme"}
    (pod,) = await frail.start(
        admin={"listen": "127.0.0.1:0", "token": {"file": str(token_file)}}, tenant=tenant
    )
    code, said = await bust(pod, token_file, *labels)
    assert (code, said.endswith(f"sidecar: warning: {warning}\n")) == (0, True), said
    assert await held(pod) == 1
    assert len(frail.busts) == 1
    assert "warning" not in (await bust(pod, token_file, "--tenant", "acme"))[1]
    changed = frail.changed(tenant={**tenant, "allow": ["acme", "acmee"]})
    await pod.app.reload(at_leisure(load(str(changed), ENVIRON)))
    code, said = await bust(pod, token_file, "--tenant", "acmee")
    assert (code, "warning" in said) == (0, False)


async def test_o8_a_tenant_that_was_removed_from_one_pod_is_bust_in_the_others(
    frail: SidecarFleet, token_file: Path
) -> None:
    """During a rollout, the pod with the new configuration receives the bust for a tenant that it no longer has."""
    tenant = {"header": "X-Tenant-Id", "allow": ["acme", "globex"], "default": "globex"}
    old, new = await frail.start(
        2, admin={"listen": "127.0.0.1:0", "token": {"file": str(token_file)}}, tenant=tenant
    )
    changed = frail.changed(tenant={**tenant, "allow": ["acme"], "default": "acme"})
    await new.app.reload(at_leisure(load(str(changed), ENVIRON)))
    before = await held(old)
    code, said = await bust(new, token_file, "--tenant", "globex")
    assert (code, "this pod's tenant.allow does not contain it; it has acme" in said) == (0, True), said
    assert before == 1
    await emptied(old)


async def test_o8_a_bust_by_what_no_pod_can_have_is_refused(frail: SidecarFleet, token_file: Path) -> None:
    """Exit code 1 and the reason; nothing is published."""
    (pod,) = await started(frail, token_file)
    code, said = await bust(pod, token_file, "--tenant", "a/b")
    reason = " answered 422: cannot bust tenant=a/b: it is not a tenant id; use at most 64 letters"
    assert (code, reason in said) == (1, True), said
    assert (await held(pod), frail.busts) == (1, [])


async def test_b52_a_pod_that_comes_later_does_not_use_what_was_bust(
    frail: SidecarFleet, token_file: Path, upstream: Upstream
) -> None:
    """The token still lies in Redis when it starts; what was revoked lies there too."""
    (first,) = await started(frail, token_file)
    assert (await bust(first, token_file, "--all"))[0] == 0
    (second,) = await started(frail, token_file)
    assert await second.get() == 200
    assert upstream.tokens == ["canary-token-2"]


async def test_b52_a_bust_without_redis_is_told_to_be_half_done(
    frail: SidecarFleet, token_file: Path, own_redis: RedisServer
) -> None:
    """This pod drops the token all the same; the caller gets the result that the others did not receive it."""
    (pod,) = await started(frail, token_file)
    own_redis.kill()
    code, said = await bust(pod, token_file, "--all")
    assert code == 1
    assert "answered 503: dropped in this pod only: Redis did not publish the bust" in said
    assert await held(pod) == 0


async def test_the_operators_token_is_read_at_each_bust(frail: SidecarFleet, token_file: Path) -> None:
    """A rotated one counts at once; without its file busting is disabled."""
    (pod,) = await started(frail, token_file)
    old = rotate(token_file, "another-operators-canary")
    assert "answered 401" in (await bust(pod, old, "--all"))[1]
    assert (await bust(pod, token_file, "--all"))[0] == 0
    new = rotate(token_file, "")
    assert "answered 403" in (await bust(pod, new, "--all"))[1]


async def test_b05_the_pages_tell_whether_the_fleet_is_one(
    frail: SidecarFleet, own_redis: RedisServer
) -> None:
    """Ready at any time, `degraded` while Redis is away; gauges and questions on /metrics."""
    (pod,) = await frail.start(1, cache={"memory_ttl": "1ms"})
    assert (await pod.status())["mode"] == "distributed"
    assert await series(pod) >= {("sidecar_store_up", 1.0), ("sidecar_bus_up", 1.0)}
    assert await page(pod, b"/readyz") == b'{"ok": true, "degraded": false, "detail": ""}\n'
    before = (await pod.status())["at"]
    own_redis.kill()
    async with asyncio.timeout(PATIENCE):
        while redis_health(await pod.status()) != {"store": "down", "bus": "down"}:
            assert await pod.get() == 200
    rows = (await pod.status())["health"]
    assert isinstance(rows, list)
    for row in rows:
        if row["kind"] in ("store", "bus"):
            assert row["why"]
            assert row["name"] in own_redis.url
            assert row["since"] > before
    ready = json.loads(await page(pod, b"/readyz"))
    assert (ready["ok"], ready["degraded"]) == (True, True)
    assert re.fullmatch(
        r"Redis is unavailable: (Connection refused|it closed the connection|no answer in time)",
        ready["detail"],
    )
    assert await series(pod) >= {("sidecar_store_up", 0.0), ("sidecar_bus_up", 0.0)}


async def series(pod: SidecarPod) -> set[tuple[str, float]]:
    """The names and values on /metrics."""
    families = text_string_to_metric_families((await page(pod, b"/metrics")).decode())
    return {(sample.name, sample.value) for family in families for sample in family.samples}


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("cache.mode", {"cache": {"mode": "local"}}),
        ("cache.store_ttl", {"cache": {"store_ttl": "1s"}}),
        ("redis", {"redis": {"url": "redis://127.0.0.1:1", "encryption": "none"}}),
        ("busts", {"busts": {"listen": [{"channel": "c", "dialect": "lerian"}]}}),
    ],
)
async def test_what_makes_the_fleet_takes_a_restart(
    frail: SidecarFleet, path: str, changes: dict[str, object]
) -> None:
    """A reload that changes it is refused as a whole."""
    (pod,) = await frail.start()
    with pytest.raises(ConfigError) as caught:
        await pod.app.reload(at_leisure(load(str(frail.changed(**changes)), ENVIRON)))
    assert path in {fault.path for fault in caught.value.faults}


async def test_a_reloaded_fleet_is_still_one(
    frail: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A new token of the new configuration is fetched once for all."""
    pods = await frail.start(2)
    token = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app", "scope": ["new"]}
    config = at_leisure(load(str(frail.changed(tokens={"api": token})), ENVIRON))
    for pod in pods:
        await pod.app.reload(config)
    assert [await pod.get() for pod in pods] == [200] * 2
    assert upstream.tokens == ["canary-token-2"] * 2


async def test_plaintext_is_warned_about(frail: SidecarFleet, own_redis: RedisServer) -> None:
    """One line at the start."""
    await frail.start(1, redis={"url": own_redis.url, "key_prefix": frail.prefix, "encryption": "none"})
    await frail.stop()
    assert [line["level"] for line in frail.pods[0].events("unencrypted")] == ["warning"]


async def test_the_documented_permissions_are_enough(
    fleet_on: FleetOn,
    each_own_redis: RedisServer,
    token_file: Path,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
) -> None:
    """A user with just these shares tokens, receives busts and sends them; Redis denies it nothing."""
    rules = documented_rules()
    with each_own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "documented", *rules)
    keys = [{"id": "k1", "key": {"env": "FLEET_KEY"}}]
    password = {"file": str(written(token_file.with_name("password"), "secret"))}
    redis = {
        "url": each_own_redis.url,
        "username": "documented",
        "password": password,
        "encryption_keys": keys,
    }
    admin = {"listen": "127.0.0.1:0", "token": {"file": str(token_file)}}
    async with fleet_on(each_own_redis) as fleet:
        one, other = await fleet.start(2, redis=redis, admin=admin)
        assert (await one.get(), await other.get(), len(authorization_server.issued)) == (200, 200, 1)
        authorization_server.revoke("canary-token-1")
        assert await one.get() == 200
        await emptied(other)
        assert (await other.get(), upstream.tokens[-1]) == (200, "canary-token-2")
        assert (await bust(one, token_file, "--all"))[1].startswith("all: 2 pods answered: ")
        await fleet.stop()
        assert [pod.events("store_down") + pod.events("store_denied") for pod in fleet.pods] == [[], []]
    assert each_own_redis.denied() == []


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("mode", ["local", "distributed"])
def test_a_sidecar_on_its_own_loads_nothing_of_a_fleet(tmp_path: Path, mode: str) -> None:
    """Neither redis-py nor cryptography: they would cost start-up time and memory for nothing."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"cache: {{mode: {mode}}}\n"
        "redis: {url: redis://127.0.0.1:1, encryption: none}\n"
        "routes: [{name: a, upstream: http://127.0.0.1:1}]"
    )
    program = f"""
import sys
from sidecar.app.sidecar import Sidecar
from sidecar.config.load import load
Sidecar(load({str(config)!r}, {{}}))
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert OF_THE_FLEET & set(done.stdout.split()) == (OF_THE_FLEET if mode == "distributed" else set())
