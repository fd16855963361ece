"""AWS Secrets Manager over HTTP, by moto: every call is counted, and can be answered with a fault instead."""

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import uuid4
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sidecar.credentials.model import AwsSecretCredentials

REGION = "eu-west-1"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "canary-aws-key"}
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "canary-aws-key"}

Fault = tuple[int, str]
"""A status and AWS's code for it."""


class Key(NamedTuple):
    """The key that signed a request to AWS."""

    id: str
    session: str


class Aws:
    """The server as one test sees it: its own secrets, its own counts."""

    def __init__(self, url: str, client: Any) -> None:
        self.url = url
        self.prefix = uuid4().hex
        self.reads: list[tuple[str, str]] = []
        """Name and stage of each GetSecretValue, answered with a fault or not."""
        self.keys: list[Key] = []
        """Of each of them, by which key it was signed."""
        self.assumed: list[tuple[str, str]] = []
        """Role and token of each AssumeRoleWithWebIdentity."""
        self.faults: deque[Fault] = deque()
        """Faults that the next reads are answered with."""
        self.hold: threading.Event | None = None
        self._client = client

    def name(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def create(self, name: str, content: str | bytes | Mapping[str, object]) -> str:
        """Make a secret and return its ARN."""
        answer = self._client.create_secret(Name=self.name(name), **_parameters(content))
        return str(answer["ARN"])

    def put(
        self, name: str, content: str | bytes | Mapping[str, object], *stages: str, version: str = ""
    ) -> str:
        """Add a version, the current one if no stages are given, and return its id."""
        answer = self._client.put_secret_value(
            SecretId=self.name(name),
            ClientRequestToken=version or str(uuid4()),
            VersionStages=list(stages or ("AWSCURRENT",)),
            **_parameters(content),
        )
        return str(answer["VersionId"])

    def delete(self, name: str) -> None:
        self._client.delete_secret(SecretId=self.name(name), RecoveryWindowInDays=7)

    def spec(self, name: str, **more: Any) -> AwsSecretCredentials:
        """Return the secret's entry in the configuration."""
        defaults = {"id": self.name(name), "service": "ledger", "region": REGION, "endpoint": self.url}
        return AwsSecretCredentials(**{**defaults, **more})

    def hears(self, environ: WSGIEnvironment) -> Fault | None:
        """Count a read of one of our secrets; return the fault to answer with, None for the real answer."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        if not environ.get("HTTP_X_AMZ_TARGET", "").endswith("GetSecretValue"):
            form = dict(parse_qsl(body.decode()))
            if form.get("Action") == "AssumeRoleWithWebIdentity":
                self.assumed.append((form["RoleArn"], form["WebIdentityToken"]))
            return None
        members = json.loads(body)
        name = str(members["SecretId"])
        if self.prefix not in name:
            return None
        self.reads.append((name.rpartition("/")[2], members.get("VersionStage", "")))
        id_ = environ["HTTP_AUTHORIZATION"].partition("Credential=")[2].partition("/")[0]
        self.keys.append(Key(id_, environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")))
        if self.hold is not None:
            self.hold.wait(30)
        return self.faults.popleft() if self.faults else None


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  werkzeug's
        """Nothing."""


class Moto:
    """The server of a whole test process."""

    def __init__(self) -> None:
        self.tests: list[Aws] = []
        self._app: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # of the threaded kind
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.client = boto3.client("secretsmanager", region_name=REGION, endpoint_url=self.url, **KEYS)
        """One for all tests: each would read the service's description, which takes 50 ms."""

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        for test in self.tests:
            fault = test.hears(environ)
            if fault is not None:
                return _refuse(start, *fault)
        return self._app(environ, start)


def _refuse(start: StartResponse, status: int, code: str) -> Iterable[bytes]:
    body = json.dumps({"__type": code, "message": "canary"}).encode()
    head = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start(f"{status} Fault", [*head, ("x-amzn-ErrorType", code)])
    return [body]


def _parameters(content: str | bytes | Mapping[str, object]) -> dict[str, str | bytes]:
    if isinstance(content, bytes):
        return {"SecretBinary": content}
    return {"SecretString": content if isinstance(content, str) else json.dumps(content)}


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    server = Moto()
    yield server
    server.close()


@pytest.fixture
def aws(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """AWS, and an environment in which its credential chain finds keys."""
    with own(moto) as test:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        yield test


@contextmanager
def own(moto: Moto) -> Iterator[Aws]:
    test = Aws(moto.url, moto.client)
    moto.tests.append(test)
    try:
        yield test
    finally:
        moto.tests.remove(test)
        if test.hold is not None:
            test.hold.set()
