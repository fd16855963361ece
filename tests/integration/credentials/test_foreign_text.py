"""Every source of a secret reads text from outside in the same way."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigError, TokenRefused, TokenUnavailable
from sidecar.core.secret import Secret, SecretFile
from sidecar.credentials.model import Credentials, FileCredentials, FixedCredentials, SecretFileCredentials
from sidecar.credentials.sources.aws import SecretsManager
from sidecar.credentials.sources.local import source_of
from sidecar.credentials.sources.secret_files import SecretReader, read_secret
from sidecar.fleet.redis.connect import Passwords
from tests.support.aws import Aws
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE

MARK = "\ufeff"
SECRET = "aHVudGVyMi1jYW5hcnkgMzIgYnl0ZXMgbG9uZyBrZXk="
"""Fit for a key of 32 bytes too."""
ONE_ROUTE = {
    "SIDECAR_UPSTREAM": "https://u.test",
    "SIDECAR_TOKEN_ENDPOINT": "https://a.test/token",
    "SIDECAR_CLIENT_ID": "me",
    "SIDECAR_CLIENT_SECRET": "hunter2",
}


def file(folder: Path, content: str) -> str:
    (folder / "x").write_text(content, newline="")
    return str(folder / "x")


def both(name: str, content: str) -> str:
    """JSON credentials with a byte order mark before them, and `content` as a member."""
    return MARK + json.dumps({"client_id": "me", "client_secret": "hunter2", name: content})


def alone(**environ: str) -> FixedCredentials | SecretFileCredentials:
    credentials = load(None, ONE_ROUTE | environ).credentials["default"]
    assert isinstance(credentials, FixedCredentials | SecretFileCredentials)
    return credentials


def read_now(secret: Secret | SecretFile | None) -> str:
    assert secret is not None
    return read_secret(secret).reveal()


def fixed_secret(credentials: FixedCredentials | SecretFileCredentials) -> str:
    assert isinstance(credentials, FixedCredentials)
    return credentials.client_secret.reveal()


def key(**environ: str) -> str:
    redis = load(None, ONE_ROUTE | {"REDIS_URL": "redis://r.test"} | environ).redis
    assert redis is not None
    return read_now(redis.encryption_keys[0].key)


async def in_file(content: str, folder: Path) -> Credentials:
    return await source_of(FileCredentials(file(folder, content)), FakeClock()).read("", newer_than=0)


async def secret_file(content: str, folder: Path) -> str:
    return (await SecretReader().read(SecretFile(file(folder, content)))).reveal()


async def client_secret(content: str, folder: Path) -> str:
    source = source_of(SecretFileCredentials("me", file(folder, content)), FakeClock())
    return (await source.read("", newer_than=0)).client_secret.reveal()


async def secret_in_json(content: str, folder: Path) -> str:
    return (await in_file(both("client_secret", content), folder)).client_secret.reveal()


async def client_id_in_json(content: str, folder: Path) -> str:
    return (await in_file(both("client_id", content), folder)).client_id


async def redis_password(content: str, folder: Path) -> str:
    return Passwords("", SecretFile(file(folder, content))).get_credentials()[0]


async def secret_in_variable(content: str, _: Path) -> str:
    return fixed_secret(alone(SIDECAR_CLIENT_SECRET=content))


async def client_id_in_file(content: str, folder: Path) -> str:
    return alone(SIDECAR_CLIENT_ID="", SIDECAR_CLIENT_ID_FILE=file(folder, content)).client_id


async def admin_token(content: str, folder: Path) -> str:
    return read_now(load(None, ONE_ROUTE | {"SIDECAR_ADMIN_TOKEN_FILE": file(folder, content)}).admin.token)


async def admin_variable(content: str, _: Path) -> str:
    return read_now(load(None, ONE_ROUTE | {"SIDECAR_ADMIN_TOKEN": content}).admin.token)


async def key_file(content: str, folder: Path) -> str:
    return key(SIDECAR_ENCRYPTION_KEY_FILE=file(folder, content))


async def key_variable(content: str, _: Path) -> str:
    return key(SIDECAR_ENCRYPTION_KEY=content)


SOURCES: Mapping[str, Callable[[str, Path], Awaitable[str]]] = {
    "secret, subject or assertion file": secret_file,
    "client secret file": client_secret,
    "client secret in JSON": secret_in_json,
    "client id in JSON": client_id_in_json,
    "password of Redis": redis_password,
    "variable": secret_in_variable,
    "client id file": client_id_in_file,
    "admin token file": admin_token,
    "admin token variable": admin_variable,
    "encryption key file": key_file,
    "encryption key variable": key_variable,
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("form", ["{}", "{}\n", "{}\r\n", MARK + "{}", MARK + "{}\r\n\r\n"])
async def test_t4_t7_every_source_reads_the_same_value(tmp_path: Path, source: str, form: str) -> None:
    """Without a byte order mark before it and line breaks after it."""
    assert await SOURCES[source](form.format(SECRET), tmp_path) == SECRET


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("form", ["{}\n{}", "\t{}", "{}\x7f", "{}\x1b[0m\n", "\n{}"])
async def test_t7_every_source_refuses_control_characters(tmp_path: Path, source: str, form: str) -> None:
    """In the same words."""
    with pytest.raises(
        (ConfigError, TokenUnavailable, ValueError), match="it holds a control character or a line"
    ):
        await SOURCES[source](form.format(SECRET, SECRET), tmp_path)


@pytest.mark.parametrize("binary", [False, True])
async def test_t4_t7_a_secret_of_aws_is_read_the_same_way(aws: Aws, binary: bool) -> None:
    """Text or binary, with a byte order mark before the JSON and a line break at the end of a value."""
    content = both("client_secret", "hunter3\n")
    bad = both("client_secret", "hunter3\nhunter4")
    aws.create("good", content.encode() if binary else content)
    aws.create("bad", bad.encode() if binary else bad)
    manager = SecretsManager(FakeClock(), RecordingJournal(), total_limit=PATIENCE)
    try:
        found = await manager.source(aws.spec("good")).read("", newer_than=float("-inf"))
        assert (found.client_id, found.client_secret.reveal()) == ("me", "hunter3")
        with pytest.raises(TokenRefused, match=r"client_secret .* it holds a control character or a line"):
            await manager.source(aws.spec("bad")).read("", newer_than=float("-inf"))
    finally:
        manager.close()


async def test_t4_a_member_without_content_leaves_its_place_to_the_other_spelling(tmp_path: Path) -> None:
    """A serializer writes each field of its class, filled in or not."""
    content = '{"client_id": null, "clientId": "me", "client_secret": "", "clientSecret": "hunter2"}'
    found = await in_file(content, tmp_path)
    assert (found.client_id, found.client_secret.reveal()) == ("me", "hunter2")


def test_t7_each_variable_is_read_without_a_line_break_at_its_end() -> None:
    """As `$(cat file)` in a manifest, or a Secret made of a file, writes it; paths and addresses too."""
    config = load(None, {name: f"{MARK}{value}\r\n" for name, value in ONE_ROUTE.items()})
    assert config == load(None, ONE_ROUTE)
