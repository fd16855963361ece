"""Credentials in AWS Secrets Manager, on boto3, in a few threads of their own."""

import asyncio
import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Protocol

import boto3.session
import botocore.session
from botocore import exceptions as boto
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from sidecar.core.errors import NoToken, TokenRefused, TokenUnavailable
from sidecar.core.foreign_text import decoded
from sidecar.core.ports import Clock
from sidecar.core.secret import Secret
from sidecar.core.tenants import PLACE
from sidecar.credentials.model import AwsSecretCredentials, Credentials
from sidecar.credentials.secret_json import client_of
from sidecar.system import causes, response_heads, tls_faults
from sidecar.system.client_tls import context_without_authorities
from sidecar.telemetry.events import SecretRead, SecretUnread
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import NEIGHBOURS, SecretFault

CONNECT_LIMIT = 1.0
READ_LIMIT = 2.0
ATTEMPTS = 3
"""Attempts of one request, spaced by boto's standard retries; throttling and outages are retried."""
TOTAL_LIMIT = 6.0
"""Limit: time to read a secret from AWS, with AWS credentials included (seconds). Beyond: AWS counts as
unavailable."""
SIZE_LIMIT = 1 << 20
"""Limit: response of AWS (bytes). Beyond: AWS counts as unavailable."""
THREADS = 4

CURRENT = "AWSCURRENT"
IN_ROTATION = ("AWSPENDING", "AWSPREVIOUS")
"""Versions to read when the current one has just been rejected: the authorization server may have the next one
already, or not yet have this one.
"""

_MISSING = (
    """ResourceNotFoundException InvalidRequestException InvalidParameterException ValidationException"""
)
_DENIED = """AccessDenied AccessDeniedException DecryptionFailure ExpiredToken ExpiredTokenException IDPRejectedClaim
    IncompleteSignature IncompleteSignatureException InvalidClientTokenId InvalidIdentityToken
    InvalidSignatureException MissingAuthenticationToken MissingAuthenticationTokenException NotAuthorized
    OptInRequired SignatureDoesNotMatch UnrecognizedClientException"""
_THROTTLED = """LimitExceededException RequestLimitExceeded RequestThrottled RequestThrottledException SlowDown
    ThrottledException Throttling ThrottlingException TooManyRequestsException"""
_CODES: Mapping[str, SecretFault] = {
    **dict.fromkeys(_MISSING.split(), "missing"),
    **dict.fromkeys(_DENIED.split(), "denied"),
    **dict.fromkeys(_THROTTLED.split(), "throttled"),
}
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], SecretFault], ...] = (
    (boto.ParamValidationError, "missing"),
    (boto.NoCredentialsError, "unconfigured"),
    (boto.PartialCredentialsError, "unconfigured"),
    (boto.CredentialRetrievalError, "unconfigured"),
    ((OSError, ValueError, LookupError), "unconfigured"),
)
"""Errors of boto's own; all others mean that no answer arrived."""
_UNUSABLE = (boto.BotoCoreError, OSError, ValueError, LookupError)
"""Errors of the credential chain, those from files and answers that it does not check included."""
_SLICE = 65_536
_HINTS: Mapping[SecretFault, str] = {
    "missing": "there is no such secret or version: check aws_secret.id, region and stage",
    "denied": "AWS denies access: check the role's policy for secretsmanager:GetSecretValue, its trust, "
    "and kms:Decrypt on the secret's key",
    "malformed": "its content cannot be used",
    "throttled": "AWS throttles the requests, and the sidecar retries; if this goes on, raise cache.store_ttl "
    "or the account's quota",
    "unreachable": "AWS does not answer: check region, endpoint, the network policy and the VPC endpoint",
    "unconfigured": "no request can be sent to AWS: give a region, and credentials by the role of the service account "
    "or by the environment",
}
_REMEMBERED = frozenset[SecretFault]({"missing", "denied", "malformed"})
"""Faults that an operator must fix are refusals. The others pass, and are outages."""


class _Client(Protocol):
    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> Mapping[str, object]:  # noqa: N803
        """As in boto."""


class _Raw(Protocol):
    def read1(self, amount: int) -> bytes:
        """As in urllib3: return the available bytes, at most that many."""

    def close(self) -> None:
        """As in urllib3."""


class _Unread(Exception):
    """Why there are no credentials; `detail` may be logged."""

    def __init__(self, fault: SecretFault, detail: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Found:
    client_id: str
    client_secret: Secret
    stage: str

    def is_not(self, credentials: Credentials) -> bool:
        return (self.client_id, self.client_secret) != (credentials.client_id, credentials.client_secret)


class _Threads:
    """A few threads for which the process does not wait at its end, even if a request hangs."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for number in range(THREADS):
            threading.Thread(target=self._run, name=f"secrets-{number}", daemon=True).start()

    def submit(self, question: Callable[[], _Found]) -> Future[_Found]:
        """Run the request in one of the threads; skip one that was cancelled before its turn."""
        future: Future[_Found] = Future()
        self._work.put(partial(_answer, future, question))
        return future

    def close(self) -> None:
        """End each thread after its request."""
        for _ in range(THREADS):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _answer(future: Future[_Found], question: Callable[[], _Found]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(question())
    except Exception as error:  # noqa: BLE001  raised where the result is awaited
        future.set_exception(error)


class SecretsManager:
    """The shared parts of all sources: the threads, and a client for each region and endpoint."""

    def __init__(self, clock: Clock, journal: Journal, *, total_limit: float = TOTAL_LIMIT) -> None:
        """Take `total_limit` in seconds: how long a caller waits."""
        self.clock = clock
        self.journal = journal
        self._total_limit = total_limit
        self._threads = _Threads()
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], _Client] = {}

    def source(self, spec: AwsSecretCredentials) -> "SecretSource":
        """Return the source that reads the secret."""
        return SecretSource(self, spec)

    async def ask(self, region: str, endpoint: str, question: Callable[[_Client], _Found]) -> _Found:
        """Run `question` in a thread, within the limit. Raises its errors, and TimeoutError."""
        future = self._threads.submit(lambda: question(self._client(region, endpoint)))
        async with asyncio.timeout(self._total_limit):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Start no further request; those under way end within their own limits."""
        self._threads.close()

    def _client(self, region: str, endpoint: str) -> _Client:
        with self._lock:  # making one is not thread-safe, using one is
            client = self._clients.get((region, endpoint))
            if client is None:
                try:
                    client = self._clients[region, endpoint] = _new_client(region, endpoint)
                except _UNUSABLE as error:
                    raise _Unread("unconfigured", causes.in_words(error)) from None
            return client


def _new_client(region: str, endpoint: str) -> _Client:
    response_heads.bound()
    config = Config(
        connect_timeout=CONNECT_LIMIT,
        read_timeout=READ_LIMIT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=THREADS,
        user_agent_extra="credential-sidecar",
    )
    core = botocore.session.get_session()
    core.set_default_client_config(config)  # for STS, from which the chain may fetch our own credentials
    authorities = core.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE") or True
    core.register("before-send", partial(_send, authorities))
    session = boto3.session.Session(botocore_session=core)
    client: _Client = session.client(
        "secretsmanager",
        region_name=region or session.region_name or os.environ.get("AWS_REGION"),
        endpoint_url=endpoint or None,
    )
    return client


class _Whole(io.BytesIO):
    """The body of an answer that has been read."""

    def stream(self) -> Iterator[bytes]:
        """As in boto, of a body that has not been read."""
        return iter((self.getvalue(),))


class _Session(URLLib3Session):  # type: ignore[misc]  # boto has no types
    """As in boto, but with another TLS context: boto's accepts a name from a certificate's common name."""

    def _get_ssl_context(self) -> object:
        return context_without_authorities()


def _send(authorities: str | bool, request: AWSPreparedRequest, **_: object) -> AWSResponse:
    """Send a request as boto does, and return the answer with what has been read of its body.

    Boto itself reads a body to its end, which may never come. Raises _Unread, and boto's HTTPClientError.
    """
    request.stream_output = True  # leaves the body to us
    session = _Session(
        verify=authorities,
        proxies=get_environ_proxies(request.url),
        timeout=(CONNECT_LIMIT, READ_LIMIT),
        max_pool_connections=1,
    )
    try:
        answer = session.send(request)
        body = _read(answer.raw)
    finally:
        session.close()
    return AWSResponse(answer.url, answer.status_code, answer.headers, _Whole(body))


def _read(raw: _Raw) -> bytes:
    end, body = time.monotonic() + TOTAL_LIMIT, bytearray()
    try:
        while (data := raw.read1(_SLICE)) and len(body) <= SIZE_LIMIT and time.monotonic() < end:
            body += data
    except Exception as error:  # noqa: BLE001  urllib3's own: boto takes all of them for this
        raise boto.HTTPClientError(error=error) from None
    finally:
        raw.close()
    if data:
        raise _Unread("unreachable", f"its answer has no end within {SIZE_LIMIT} bytes and {TOTAL_LIMIT:g} s")
    return bytes(body)


class SecretSource:
    """One secret, or one for each tenant. Each read is a request to AWS; the cache is in another module."""

    def __init__(self, manager: SecretsManager, spec: AwsSecretCredentials) -> None:
        self._manager = manager
        self._spec = spec
        self._region = spec.region or _region_of(spec.id)

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        """Return the credentials. While the secret rotates, look for a version other than the rejected one."""
        began = self._manager.clock.now()
        name = self._spec.id.replace("{service}", self._spec.service).replace(PLACE, tenant)
        question = partial(self._ask, name, rejected)
        try:
            version = await self._manager.ask(self._region, self._spec.endpoint, question)
        except _Unread as unread:
            raise self._fault(tenant, name, unread, began) from None
        except TimeoutError:
            raise self._fault(tenant, name, _Unread("unreachable", "no answer in time"), began) from None
        self._manager.journal.tell(
            SecretRead(self._spec.service, tenant, name, version.stage, self._milliseconds(began))
        )
        interim = version.stage != self._spec.stage
        return Credentials(version.client_id, version.client_secret, began, interim)

    def _ask(self, name: str, rejected: Credentials | None, client: _Client) -> _Found:
        """Read the secret; runs in a thread."""
        version = self._version(client, name, self._spec.stage)
        if rejected is None or version.is_not(rejected) or self._spec.stage != CURRENT:
            return version
        for stage in IN_ROTATION:
            try:
                other = self._version(client, name, stage)
            except _Unread:
                continue  # most secrets have none
            if other.is_not(rejected):
                return other
        return version

    def _version(self, client: _Client, name: str, stage: str) -> _Found:
        try:
            answer = client.get_secret_value(SecretId=name, VersionStage=stage)
        except (boto.ClientError, *_UNUSABLE) as error:
            raise _unread(error) from None
        content = answer.get("SecretString", answer.get("SecretBinary"))
        try:
            text = decoded(content) if isinstance(content, bytes) else str(content)
            client_id, client_secret = client_of(text, self._spec.pointer)
        except ValueError as error:
            raise _Unread("malformed", str(error)) from None
        return _Found(client_id, Secret(client_secret), stage)

    def _fault(self, tenant: str, name: str, unread: _Unread, began: float) -> NoToken:
        detail = f" ({unread.detail})" if unread.detail else ""
        error = f"secret {name} in {NEIGHBOURS['secret_store'].name}: {_HINTS[unread.fault]}{detail}"
        service, duration = self._spec.service, self._milliseconds(began)
        self._manager.journal.tell(SecretUnread(service, tenant, name, unread.fault, error, duration))
        if unread.fault in _REMEMBERED:
            return TokenRefused(error, "", of_secret=True)
        return TokenUnavailable(error, 0.0, of_secret=unread.fault == "unconfigured")

    def _milliseconds(self, began: float) -> float:
        return (self._manager.clock.now() - began) * 1000


def _region_of(name: str) -> str:
    """Return the region in an ARN, "" for a plain name."""
    parts = name.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 else ""


def _unread(error: Exception) -> _Unread:
    """Return the fault, with AWS's own error code, or the cause in our words, and no other quote."""
    if not isinstance(error, boto.ClientError):
        fault: SecretFault = "unreachable"
        if tls_faults.within(error) is None:
            fault = next((fault for kind, fault in _KINDS if isinstance(error, kind)), fault)
        return _Unread(fault, causes.in_words(error))
    code = str(error.response.get("Error", {}).get("Code", ""))
    code = code if re.fullmatch(r"[A-Za-z.]{1,64}", code) else ""
    return _Unread(_CODES.get(code, "unreachable"), code or "no error code")
