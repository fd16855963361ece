"""A program that requests tokens of a running sidecar."""

import json
from typing import Self

from tests.support.fleet_of_sidecars import SidecarPod
from tests.support.sidecar import Running
from tests.support.upstream import INVALID_TOKEN
from tests.support.wire_client import Answer, ask

SETTINGS: dict[str, object] = {"listen": "127.0.0.1:0", "tokens": ["api"]}
MARK = b"Sidecar-Request: true"


class Program:
    """Sends well-formed calls, each on a connection of its own."""

    def __init__(self, address: str, name: str = "api") -> None:
        self.address = address
        self.name = name

    @classmethod
    async def of(cls, running: Running | SidecarPod) -> Self:
        """Return one that uses this sidecar."""
        api = (await running.status())["token_api"]
        assert isinstance(api, dict)
        return cls(api["listen"])

    def call(self, method: bytes, path: bytes, *fields: bytes, body: bytes = b"") -> bytes:
        """The bytes of a call; `fields` are whole lines without their CRLF."""
        host = b"localhost" if self.address.startswith("unix:") else self.address.encode()
        length = (b"Content-Length: %d" % len(body),) if body else ()
        lines = (b"%s %s HTTP/1.1" % (method, path), b"Host: " + host, *length, *fields, b"", body)
        return b"\r\n".join(lines)

    async def ask(self, method: bytes, path: bytes, *fields: bytes, body: bytes = b"") -> Answer:
        return await ask(self.address, self.call(method, path, *fields, body=body), method.decode())

    async def get(self, *fields: bytes) -> Answer:
        """`GET /token/{name}`."""
        return await self.ask(b"GET", f"/token/{self.name}".encode(), MARK, *fields)

    async def token(self, *fields: bytes) -> tuple[str, str]:
        """Return the token and its fingerprint."""
        return granted(await self.get(*fields))

    async def report(
        self, fp: str, *fields: bytes, status: int = 401, challenge: bytes = INVALID_TOKEN
    ) -> Answer:
        """Report that an upstream refused the token."""
        members = {"fp": fp, "status": status, "www_authenticate": challenge.decode("latin-1")}
        path = f"/token/{self.name}/refused".encode()
        return await self.ask(b"POST", path, MARK, *fields, body=json.dumps(members).encode())

    async def authorize(self, *fields: bytes, below: bytes = b"") -> bytes:
        """Return the Authorization that a proxy gets."""
        answer = await self.ask(b"GET", f"/authorize/{self.name}".encode() + below, MARK, *fields)
        assert (answer.status, answer.body) == (200, b"")
        (value,) = answer.values("Authorization")
        return value

    async def proxy_reports(
        self, authorization: bytes, *fields: bytes, challenge: bytes = INVALID_TOKEN
    ) -> Answer:
        """Report a refusal as a proxy does."""
        told = (b"Authorization: " + authorization, b"Sidecar-Refused-Status: 401")
        path = f"/refused/{self.name}/orders?x=1".encode()
        return await self.ask(b"GET", path, MARK, *told, b"WWW-Authenticate: " + challenge, *fields)


def granted(answer: Answer) -> tuple[str, str]:
    """Return the token and its fingerprint."""
    assert answer.status == 200, answer.body
    members = json.loads(answer.body)
    return members["access_token"], members["fp"]


def error(answer: Answer) -> tuple[int, str]:
    """Return the status and the word of an error."""
    return answer.status, json.loads(answer.body)["error"]
