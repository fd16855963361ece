"""Where credentials come from."""

import os
from pathlib import Path

import pytest

from sidecar.core.errors import TokenUnavailable
from sidecar.core.secret import Secret
from sidecar.credentials.model import (
    FileCredentials,
    FixedCredentials,
    SecretFileCredentials,
    VariableCredentials,
)
from sidecar.credentials.sources.aws import SecretsManager
from sidecar.credentials.sources.local import MAX_FILES, source_of
from sidecar.system.files import SECRET_LIMIT
from tests.support.aws import Aws
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE

ANY = float("-inf")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def replace(path: Path, content: str) -> None:
    """Put a new file in the place of the old one at once."""
    new = path.with_name("new")
    new.write_text(content)
    new.replace(path)


async def test_every_source_gives_credentials_read_after_what_is_demanded(
    tmp_path: Path, clock: FakeClock, aws: Aws
) -> None:
    """The promise renewals rely on, kept by each kind."""
    aws.create("s", {"client_id": "me", "client_secret": "hunter2"})
    manager = SecretsManager(clock, RecordingJournal(), total_limit=PATIENCE)
    secret, both = tmp_path / "secret", tmp_path / "both.json"
    secret.write_text("hunter2\n")
    both.write_text('{"clientId": "me", "clientSecret": "hunter2"}')
    for source in (
        source_of(FixedCredentials("me", Secret("hunter2")), clock),
        source_of(SecretFileCredentials("me", str(secret)), clock),
        source_of(FileCredentials(str(both)), clock),
        manager.source(aws.spec("s")),
    ):
        first = await source.read("", newer_than=ANY)
        assert (first.client_id, first.client_secret.reveal()) == ("me", "hunter2")
        await clock.advance(5)
        again = await source.read("", newer_than=clock.now() - 1)
        assert again.read_at > clock.now() - 1
        only = await source.read("", newer_than=clock.now() - 1, rejected=again)  # there are no others
        assert (only.client_id, only.client_secret.reveal()) == ("me", "hunter2")
    manager.close()


async def test_a_file_is_not_read_again_while_nothing_demands_it(tmp_path: Path, clock: FakeClock) -> None:
    """Unchanged and young enough: what is held is the answer."""
    path = tmp_path / "secret"
    path.write_text("hunter2")
    source = source_of(SecretFileCredentials("me", str(path)), clock)
    first = await source.read("", newer_than=ANY)
    await clock.advance(5)
    assert await source.read("", newer_than=ANY) is first
    assert await source.read("", newer_than=first.read_at) is not first


async def test_a_changed_file_is_noticed(tmp_path: Path, clock: FakeClock) -> None:
    """Written in place or replaced."""
    path = tmp_path / "secret"
    path.write_text("one")
    source = source_of(SecretFileCredentials("me", str(path)), clock)
    for content in ("one", "two2", "three", "four4"):
        replace(path, content)
        assert (await source.read("", newer_than=ANY)).client_secret.reveal() == content


async def test_a_change_stat_does_not_show_is_found_when_newer_ones_are_demanded(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Same size, same time, same inode."""
    path = tmp_path / "secret"
    path.write_text("one")
    source = source_of(SecretFileCredentials("me", str(path)), clock)
    first = await source.read("", newer_than=ANY)
    stat = path.stat()
    path.write_text("two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (await source.read("", newer_than=first.read_at)).client_secret.reveal() == "two"


async def test_a_mounted_secret_is_replaced_by_swapping_a_link(tmp_path: Path, clock: FakeClock) -> None:
    """As the kubelet does: ..data points to another directory from one moment to the next."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "secret").write_text(f"hunter-{version}")
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "secret").symlink_to("..data/secret")
    source = source_of(SecretFileCredentials("me", str(tmp_path / "secret")), clock)
    assert (await source.read("", newer_than=ANY)).client_secret.reveal() == "hunter-v1"
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(tmp_path / "..data")
    assert (await source.read("", newer_than=ANY)).client_secret.reveal() == "hunter-v2"


async def test_only_line_ends_are_cut_off_a_secret(tmp_path: Path, clock: FakeClock) -> None:
    """Spaces may belong to it."""
    path = tmp_path / "secret"
    path.write_bytes(b" hunter 2 \r\n")
    source = source_of(SecretFileCredentials("me", str(path)), clock)
    assert (await source.read("", newer_than=ANY)).client_secret.reveal() == " hunter 2 "


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"canary", "not a JSON object"),
        (b'["canary"]', "not a JSON object"),
        (b"[" * 60_000, "not a JSON object"),
        (b'{"client_id": "me"}', "client_secret"),
        (b'{"client_id": "me", "client_secret": ""}', "client_secret"),
        (b'{"client_id": 7, "client_secret": "canary"}', "client_id"),
        (b'{"client_id": "\xff", "client_secret": "canary"}', "not UTF-8"),
        (b" " * (SECRET_LIMIT + 1), "larger than"),
        (b"", "not a JSON object"),
    ],
)
async def test_a_file_that_cannot_be_used_is_an_outage(
    tmp_path: Path, clock: FakeClock, content: bytes | None, reason: str
) -> None:
    """The message names file and reason and quotes nothing; the next read tries again."""
    path = tmp_path / "both.json"
    if content is not None:
        path.write_bytes(content)
    source = source_of(FileCredentials(str(path)), clock)
    with pytest.raises(TokenUnavailable, match=reason) as raised:
        await source.read("", newer_than=ANY)
    assert str(path) in str(raised.value)
    assert "canary" not in str(raised.value)
    replace(path, '{"client_id": "me", "client_secret": "hunter2"}')
    assert (await source.read("", newer_than=ANY)).client_id == "me"


async def test_an_empty_secret_is_none(tmp_path: Path, clock: FakeClock) -> None:
    """A mount that is not filled yet."""
    path = tmp_path / "secret"
    path.write_text("\n")
    with pytest.raises(TokenUnavailable, match="empty"):
        await source_of(SecretFileCredentials("me", str(path)), clock).read("", newer_than=ANY)


async def test_o10_each_tenant_has_a_file_of_its_own(tmp_path: Path, clock: FakeClock) -> None:
    """A missing one refuses its tenant only; a rotated one is read again, and no other is."""
    for tenant in ("acme", "globex"):
        (tmp_path / tenant).write_text(f"hunter-{tenant}")
    source = source_of(SecretFileCredentials("me", str(tmp_path / "{tenant}")), clock)
    acme, globex = [await source.read(tenant, newer_than=ANY) for tenant in ("acme", "globex")]
    assert [found.client_secret.reveal() for found in (acme, globex)] == ["hunter-acme", "hunter-globex"]
    with pytest.raises(TokenUnavailable, match=rf"tenant initech in {tmp_path}/initech: No such file"):
        await source.read("initech", newer_than=ANY)
    replace(tmp_path / "acme", "hunter-v2")
    assert (await source.read("acme", newer_than=ANY)).client_secret.reveal() == "hunter-v2"
    assert await source.read("globex", newer_than=ANY) is globex


@pytest.mark.parametrize("tenant", ["", "..", "../secret", "a/b", "a\\b", ".", "{tenant}", "a" * 65])
async def test_o10_a_hostile_tenant_reads_no_file(tmp_path: Path, clock: FakeClock, tenant: str) -> None:
    """Not even one that is there."""
    folder = tmp_path / "of"
    folder.mkdir()
    (tmp_path / "secret").write_text("canary")
    source = source_of(SecretFileCredentials("me", str(folder / "{tenant}")), clock)
    with pytest.raises(TokenUnavailable):
        await source.read(tenant, newer_than=ANY)


async def test_o10_the_files_of_tenants_in_memory_are_bounded(tmp_path: Path, clock: FakeClock) -> None:
    """The least recently used one is read again; what cannot be read takes no place."""
    source = source_of(SecretFileCredentials("me", str(tmp_path / "{tenant}")), clock)
    (tmp_path / "t0").write_text("hunter2")
    first = await source.read("t0", newer_than=ANY)
    for number in range(MAX_FILES):
        with pytest.raises(TokenUnavailable):
            await source.read(f"missing-{number}", newer_than=ANY)
    assert await source.read("t0", newer_than=ANY) is first
    for number in range(1, MAX_FILES + 1):
        (tmp_path / f"t{number}").write_text("hunter2")
        await source.read(f"t{number}", newer_than=ANY)
    assert await source.read("t0", newer_than=ANY) is not first


async def test_o10_each_tenant_has_a_variable_of_its_own(clock: FakeClock) -> None:
    """A missing, empty or unusable one refuses its tenant only, by the names of tenant and variable."""
    found = {"acme": Secret("hunter2"), "blank": Secret(" "), "odd": Secret("two\nlines")}
    source = source_of(VariableCredentials("me", "S_{tenant}", found), clock)
    assert (await source.read("acme", newer_than=ANY)).client_secret.reveal() == "hunter2"
    for tenant in ("globex", "blank", "odd", "../x"):
        with pytest.raises(TokenUnavailable, match=rf"of tenant {tenant} in .* S_{tenant}: "):
            await source.read(tenant, newer_than=ANY)
