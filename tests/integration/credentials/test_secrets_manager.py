"""AWS Secrets Manager, asked over HTTP: which secret, which version, and what is said when there is none."""

import asyncio
import json
import threading
import tracemalloc
from collections.abc import AsyncIterator, Mapping

import pytest

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.secret import Secret
from sidecar.credentials.model import AwsSecretCredentials, Credentials
from sidecar.credentials.sources.aws import ATTEMPTS, SecretsManager
from sidecar.telemetry.events import SecretRead, SecretUnread
from tests.support.aws import REGION, Aws
from tests.support.clock import FakeClock
from tests.support.flooding import CHUNKED, MEMORY, OK, Flood, flooding
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE

ANY = float("-inf")
SNAKE = {"client_id": "me", "client_secret": "canary-1"}


class Reader:
    """Reads secrets as a sidecar does."""

    def __init__(self, total_limit: float = PATIENCE) -> None:
        self.journal = RecordingJournal()
        self.manager = SecretsManager(FakeClock(), self.journal, total_limit=total_limit)

    async def read(
        self, spec: AwsSecretCredentials, *, tenant: str = "", rejected: Credentials | None = None
    ) -> tuple[str, str]:
        source = self.manager.source(spec)
        found = await source.read(tenant, newer_than=ANY, rejected=rejected)
        return found.client_id, found.client_secret.reveal()

    def unread(self) -> SecretUnread:
        (event,) = [each for each in self.journal.events if isinstance(each, SecretUnread)]
        return event


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    reader = Reader()
    yield reader
    reader.manager.close()


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (SNAKE, ""),
        ({"clientId": "me", "clientSecret": "canary-1"}, ""),
        (json.dumps(SNAKE).encode(), ""),
        ({"m2m": {"a/b": [{}, SNAKE]}}, "/m2m/a~1b/1"),
        ({"": SNAKE, "client_id": "other"}, "/"),
        ({"client_id": "me", "client_secret": "canary-1", "more": [1, None]}, ""),
    ],
    ids=["snake", "camel", "binary", "pointer", "empty member", "more"],
)
async def test_b60_each_form_of_a_secret_is_understood(
    aws: Aws, reader: Reader, content: Mapping[str, object] | bytes, pointer: str
) -> None:
    """Text or binary, both spellings, nested; one call each."""
    aws.create("s", content)
    assert await reader.read(aws.spec("s", pointer=pointer)) == ("me", "canary-1")
    assert aws.reads == [("s", "AWSCURRENT")]
    assert "canary" not in repr(reader.journal.events)


async def test_b60_the_service_is_part_of_the_name(aws: Aws, reader: Reader) -> None:
    """Braces are filled in."""
    aws.create("ledger", SNAKE)
    assert await reader.read(aws.spec("{service}")) == ("me", "canary-1")
    assert [type(event) for event in reader.journal.events] == [SecretRead]


async def test_b60_an_arn_brings_its_region(aws: Aws, reader: Reader) -> None:
    """Nothing else says where the secret is."""
    arn = aws.create("s", SNAKE)
    assert f":{REGION}:" in arn
    assert await reader.read(aws.spec("s", id=arn, region="")) == ("me", "canary-1")


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
async def test_b60_the_environment_may_say_where_and_at_which_endpoint(
    aws: Aws, reader: Reader, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A region by either name, the endpoint by AWS's own variable."""
    aws.create("s", SNAKE)
    monkeypatch.setenv(name, REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.url)
    assert await reader.read(aws.spec("s", region="", endpoint="")) == ("me", "canary-1")


async def test_b60_another_stage_is_another_version(aws: Aws, reader: Reader) -> None:
    """The one that is asked for, and no other even if it is rejected."""
    aws.create("s", SNAKE)
    aws.put("s", {**SNAKE, "client_secret": "canary-2"}, "BLUE")
    spec = aws.spec("s", stage="BLUE")
    assert await reader.read(spec) == ("me", "canary-2")
    rejected = Credentials("me", Secret("canary-2"), 0.0)
    assert await reader.read(spec, rejected=rejected) == ("me", "canary-2")
    assert [stage for _, stage in aws.reads] == ["BLUE", "BLUE"]


@pytest.mark.parametrize(
    ("stages", "rejected", "expected"),
    [
        ({"canary-1": "AWSCURRENT", "canary-2": "AWSPENDING"}, "canary-1", "canary-2"),
        ({"canary-1": "AWSPREVIOUS", "canary-2": "AWSCURRENT"}, "canary-2", "canary-1"),
        ({"canary-1": "AWSPREVIOUS", "canary-2": "AWSCURRENT"}, "canary-1", "canary-2"),
        ({"canary-1": "AWSCURRENT"}, "canary-1", "canary-1"),
        ({"canary-1": "AWSCURRENT", "canary-2": "AWSPENDING"}, "canary-0", "canary-1"),
    ],
    ids=["set before current", "current before set", "late reader", "no rotation", "older still"],
)
async def test_b60_a_rotation_leaves_working_credentials_at_every_moment(
    aws: Aws, reader: Reader, stages: Mapping[str, str], rejected: str, expected: str
) -> None:
    """Whichever the server has just not accepted, another version is given if there is one."""
    aws.create("s", {**SNAKE, "client_secret": "canary-1"})
    if "canary-2" in stages:
        stage = stages["canary-2"]
        aws.put("s", {**SNAKE, "client_secret": "canary-2"}, *(() if stage == "AWSCURRENT" else (stage,)))
    credentials = Credentials("me", Secret(rejected), 0.0)
    assert await reader.read(aws.spec("s"), rejected=credentials) == ("me", expected)


async def test_b60_a_next_version_that_is_not_ready_is_passed_over(aws: Aws, reader: Reader) -> None:
    """Rubbish in AWSPENDING, the working one in AWSPREVIOUS."""
    aws.create("s", {**SNAKE, "client_secret": "canary-1"})
    aws.put("s", {**SNAKE, "client_secret": "canary-2"})
    aws.put("s", "canary", "AWSPENDING")
    rejected = Credentials("me", Secret("canary-2"), 0.0)
    assert await reader.read(aws.spec("s"), rejected=rejected) == ("me", "canary-1")


@pytest.mark.parametrize(
    ("fault", "reason", "calls"),
    [
        ((400, "AccessDeniedException"), "denied", 1),
        ((403, "UnrecognizedClientException"), "denied", 1),
        ((400, "DecryptionFailure"), "denied", 1),
        ((400, "ThrottlingException"), "throttled", ATTEMPTS),
        ((500, "InternalServiceError"), "unreachable", ATTEMPTS),
        ((503, "<canary>"), "unreachable", ATTEMPTS),
    ],
)
async def test_b61_faults_are_told_apart(
    aws: Aws, reader: Reader, fault: tuple[int, str], reason: str, calls: int
) -> None:
    """By event and kind of error; a passing fault is retried at once, one that an operator must fix is not."""
    aws.create("s", SNAKE)
    aws.faults.extend([fault] * calls)
    with pytest.raises(TokenRefused if reason == "denied" else TokenUnavailable) as raised:
        await reader.read(aws.spec("s"))
    assert reader.unread().reason == reason
    assert aws.name("s") in str(raised.value)
    assert "canary" not in repr(reader.journal.events) + str(raised.value)
    assert len(aws.reads) == calls
    assert await reader.read(aws.spec("s")) == ("me", "canary-1")


async def test_b61_a_secret_that_is_not_there_is_missing(aws: Aws, reader: Reader) -> None:
    """Never made, or on its way out."""
    aws.create("gone", SNAKE)
    aws.delete("gone")
    for name in ("never", "gone"):
        with pytest.raises(TokenRefused, match=r"no such secret.*aws_secret\.id"):
            await reader.read(aws.spec(name))
        assert reader.unread().reason == "missing"
        reader.journal.events.clear()
    assert len(aws.reads) == 2


@pytest.mark.parametrize(
    "content", ["canary", "[]", '{"client_id": "me"}', b"\xff", '{"client_id": "me", "client_secret": ""}']
)
async def test_b61_content_that_cannot_be_used_is_malformed(
    aws: Aws, reader: Reader, content: str | bytes
) -> None:
    """A refusal that says what is missing and quotes nothing."""
    aws.create("s", content)
    with pytest.raises(TokenRefused) as raised:
        await reader.read(aws.spec("s"))
    assert reader.unread().reason == "malformed"
    assert "canary" not in str(raised.value)


async def test_b61_nobody_there_is_unreachable(aws: Aws, reader: Reader) -> None:
    """An outage."""
    with pytest.raises(TokenUnavailable, match=r"AWS does not answer.*Connection refused"):
        await reader.read(aws.spec("s", endpoint="http://127.0.0.1:1"))
    assert reader.unread().reason == "unreachable"


async def test_b61_an_answer_that_does_not_come_is_not_waited_for(aws: Aws) -> None:
    """The caller is free after the limit, whatever the threads still do."""
    reader = Reader(total_limit=0.2)
    aws.create("s", SNAKE)
    aws.hold = threading.Event()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TokenUnavailable, match="no answer in time"):
            await reader.read(aws.spec("s"))
    reader.manager.close()
    assert reader.unread().reason == "unreachable"


@pytest.mark.parametrize("missing", ["region", "keys", "profile"])
async def test_b61_what_the_environment_lacks_is_said(
    aws: Aws, reader: Reader, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """No region, no AWS credentials, no such profile."""
    aws.create("s", SNAKE)
    if missing == "keys":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    if missing == "profile":
        monkeypatch.setenv("AWS_PROFILE", "nobody")
    spec = aws.spec("s", region="" if missing == "region" else REGION)
    with pytest.raises(TokenUnavailable, match="can be sent to AWS"):
        await reader.read(spec)
    assert reader.unread().reason == "unconfigured"


@pytest.mark.parametrize(
    "flood",
    [
        Flood(OK + b"\r\n", b"x" * 1000, "no end within"),
        Flood(OK + b"Content-Length: 99999999999\r\n\r\n", b"x" * 1000, "no end within"),
        Flood(CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n", "no end within"),
        Flood(OK, b"a:b\r\n", "AWS does not answer"),
        Flood(OK + b"X: ", b"x" * 1000, "AWS does not answer"),
        Flood(CHUNKED + b"1;", b"x" * 1000, "AWS does not answer"),
    ],
    ids=["body", "announced body", "chunks", "fields", "field", "extension"],
)
async def test_s5_an_answer_of_aws_without_end_takes_no_more_memory_than_its_bounds(
    aws: Aws, reader: Reader, flood: Flood
) -> None:
    """Boto's own reading has none for bodies. What boto keeps of its own is there after the first."""
    async with flooding(flood) as server:
        spec = aws.spec("s", endpoint=server.url.removesuffix("/token"))
        with pytest.raises(TokenUnavailable, match=flood.cause):
            await reader.read(spec)
        tracemalloc.start()
        try:
            with pytest.raises(TokenUnavailable, match=flood.cause):
                await reader.read(spec)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2 * MEMORY
