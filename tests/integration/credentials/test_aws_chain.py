"""AWS's ordinary credential chain, in a real sidecar: each way that a pod gets AWS credentials leads to the secret."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidecar.core.errors import TokenUnavailable
from sidecar.credentials.sources.aws import SecretsManager
from sidecar.telemetry.events import SecretUnread
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.aws import REGION, Aws, Key
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.processes import File, Process, route, serving, spawn
from tests.support.upstream import Exchange, Scripted, Upstream
from tests.support.waiting import PATIENCE

NOBODY = {
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The environment of a pod that has no AWS credentials, whatever machine the tests run on."""
ROLE = "arn:aws:iam::123456789012:role/sidecar"


class PodIdentity(Scripted):
    """The agent on the node: gives a key, soon to expire, to clients that show the token file's current content."""

    def __init__(self, token: Path) -> None:
        super().__init__()
        self._token = token

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        if exchange.received.values("Authorization") != [self._token.read_bytes()]:
            await exchange.send(json_answer(403, {"message": "not this pod"}))
            return
        number = len(self.requests)
        answer = {
            "AccessKeyId": f"AKIDPOD{number}",
            "SecretAccessKey": "canary-pod-key",
            "Token": f"canary-session-{number}",
            "Expiration": (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        await exchange.send(json_answer(200, answer))


@pytest.fixture
async def pod_identity(tmp_path: Path) -> AsyncIterator[PodIdentity]:
    token = tmp_path / "pod-identity-token"
    token.write_text("canary-of-the-pod")
    async with PodIdentity(token) as server:
        yield server
        assert server.malformed == []


class Rig:
    """A secret in AWS, and a sidecar process that needs it."""

    def __init__(
        self, file: File, upstream: Upstream, authorization_server: AuthorizationServer, aws: Aws
    ) -> None:
        self._file = file
        self._upstream = upstream
        self.authorization_server = authorization_server
        self.aws = aws
        self.tmp_path = file.path.parent
        aws.create("app", {"client_id": "me", "client_secret": "canary-1"})

    def written(self, name: str, content: str) -> str:
        path = self.tmp_path / name
        path.write_text(content)
        return str(path)

    @asynccontextmanager
    async def process(self, environ: Mapping[str, str], region: str = REGION) -> AsyncIterator[Process]:
        """Start it with nothing else in its environment; it prints nothing secret."""
        secret = {
            "id": self.aws.name("app"),
            "endpoint": self.aws.url,
            **({"region": region} if region else {}),
        }
        token = {"token_endpoint": self.authorization_server.token_endpoint, "credentials": "app"}
        changes = {
            "routes": [route(self._upstream, token="api")],
            "credentials": {"app": {"aws_secret": secret}},
            "tokens": {"api": token},
        }
        async with serving(await spawn(self._file, changes, environ={**NOBODY, **environ})) as process:
            yield process
            assert b"canary" not in process.stdout + process.stderr

    async def key(self, environ: Mapping[str, str], region: str = REGION) -> Key:
        """Whose key a request made the sidecar show to AWS."""
        async with self.process(environ, region) as process:
            assert (await process.get())[0] == 200
        assert self.authorization_server.clients == [("me", "canary-1")]
        (key,) = self.aws.keys
        return key


@pytest.fixture
def rig(file: File, upstream: Upstream, authorization_server: AuthorizationServer, aws: Aws) -> Rig:
    return Rig(file, upstream, authorization_server, aws)


async def test_b60_the_environment_has_the_key(rig: Rig) -> None:
    """A temporary one, with its session."""
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIDENV",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "AWS_SESSION_TOKEN": "canary-session",
    }
    assert await rig.key(environ) == Key("AKIDENV", "canary-session")


async def test_b60_a_profile_has_the_key_and_the_region(rig: Rig) -> None:
    """Named by AWS_PROFILE, in the two files of AWS's own tools."""
    keys = "[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = canary\n"
    keys += "[ours]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = canary\n"
    environ = {
        "AWS_PROFILE": "ours",
        "AWS_SHARED_CREDENTIALS_FILE": rig.written("credentials", keys),
        "AWS_CONFIG_FILE": rig.written("config", f"[profile ours]\nregion = {REGION}\n"),
    }
    assert await rig.key(environ, region="") == Key("AKIDPROFILE", "")


async def test_b60_a_service_accounts_token_is_exchanged_for_a_key(rig: Rig) -> None:
    """IRSA: STS gets the projected token, and what it gives is shown to Secrets Manager."""
    environ = {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": rig.written("token", "canary-service-account"),
        "AWS_ENDPOINT_URL_STS": rig.aws.url,
        "AWS_REGION": REGION,
    }
    key = await rig.key(environ)
    assert rig.aws.assumed == [(ROLE, "canary-service-account")]
    assert key.id.startswith("ASIA")
    assert key.session


async def test_b60_a_pods_identity_is_asked_for_a_key(rig: Rig, pod_identity: PodIdentity) -> None:
    """EKS Pod Identity: asked with what the token file holds, again with its successor before the key expires."""
    token = rig.tmp_path / "pod-identity-token"
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{pod_identity.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
    }
    async with rig.process(environ) as process:
        assert (await process.get())[0] == 200
        first = len(pod_identity.requests)
        assert rig.aws.keys == [Key(f"AKIDPOD{first}", f"canary-session-{first}")]
        token.write_text("canary-of-the-pod-renewed")
        rig.authorization_server.revoke("canary-token-1")
        assert (await process.get())[0] == 200  # healed with a secret read again
    last = len(pod_identity.requests)
    assert rig.aws.keys[1:] == [Key(f"AKIDPOD{last}", f"canary-session-{last}")]
    assert pod_identity.requests[-1].values("Authorization") == [b"canary-of-the-pod-renewed"]


@pytest.mark.parametrize(
    "environ",
    [
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nonexistent",
        },
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary\n",
        },
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://agent.example.com/"},
        {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent"},
        {},
    ],
    ids=["no token file", "no header value", "not on this machine", "no service account's token", "nothing"],
)
async def test_b61_a_chain_that_leads_nowhere_is_said(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]
) -> None:
    """An outage, because the file may be about to come; never an internal fault, and nothing of it is quoted."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name, value in {**NOBODY, **environ}.items():
        monkeypatch.setenv(name, value)
    journal = RecordingJournal()
    manager = SecretsManager(FakeClock(), journal, total_limit=PATIENCE)
    with pytest.raises(TokenUnavailable, match="can be sent to AWS") as raised:
        await manager.source(aws.spec("app")).read("", newer_than=float("-inf"))
    manager.close()
    (event,) = journal.events
    assert isinstance(event, SecretUnread)
    assert event.reason == "unconfigured"
    assert "canary" not in str(raised.value) + json.dumps(event.error)
    assert aws.reads == []
