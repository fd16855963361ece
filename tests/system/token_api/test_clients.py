"""The recipes for programs: the code of the documentation against a running sidecar."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType

import grpc
import pytest
import trustme

from tests.support.authorization_server import AuthorizationServer
from tests.support.egress_proxies import EXAMPLES
from tests.support.sidecar import Running, Start
from tests.support.token_api import MARK, SETTINGS, Program
from tests.support.waiting import PATIENCE

FIRST, SECOND = "canary-token-1", "canary-token-2"


@pytest.fixture
async def running(sidecar: Start) -> AsyncIterator[Running]:
    async with sidecar(token_api={**SETTINGS, "authorize": True}) as started:
        yield started


@pytest.fixture
async def program(running: Running, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the documentation, with this sidecar's address."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("program", "grpc_client"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    program = import_module("program")
    host, _, port = (await Program.of(running)).address.rpartition(":")
    monkeypatch.setattr(program, "TOKEN_API", (host, int(port)))
    return program


async def test_a_program_gets_tokens_and_reports_refusals(
    program: ModuleType, authorization_server: AuthorizationServer
) -> None:
    """The successor comes with the answer; a refusal about no token of ours is an error."""
    found = await asyncio.to_thread(program.token, "api")
    assert found["access_token"] == FIRST
    assert (await asyncio.to_thread(program.refused, "api", found["fp"], 401))["access_token"] == SECOND
    with pytest.raises(OSError, match="did not hand out this token") as error:
        await asyncio.to_thread(program.refused, "api", "0" * 12, 401)
    assert error.value.errno == 409


async def test_a_kafka_client_gets_token_and_expiry(program: ModuleType) -> None:
    """The pair that `oauth_cb` returns: a text, and seconds since the epoch."""
    token, expiry = await asyncio.to_thread(program.kafka_token, "api")
    assert token == FIRST
    assert 3000 < expiry - time.time() <= 3600


class Ledger:
    """A gRPC service that accepts some tokens."""

    def __init__(self) -> None:
        self.accepted = {f"Bearer {FIRST}"}
        self.seen: list[str] = []

    def get(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        sent = str(dict(context.invocation_metadata()).get("authorization", ""))
        self.seen.append(sent)
        if sent not in self.accepted:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is revoked")
        return request


@pytest.fixture
def ledger() -> Iterator[tuple[Ledger, str, bytes]]:
    """The service, its address, and the authority of its certificate."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())
    service = Ledger()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Get": grpc.unary_unary_rpc_method_handler(service.get)
    }
    generic = grpc.method_handlers_generic_handler("ledger.Ledger", handlers)
    server = grpc.server(ThreadPoolExecutor(1), handlers=[generic])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield service, f"localhost:{port}", authority.cert_pem.bytes()
    server.stop(None).wait(PATIENCE)


async def test_a_grpc_client_heals(
    program: ModuleType, ledger: tuple[Ledger, str, bytes], authorization_server: AuthorizationServer
) -> None:
    """Call credentials of ten lines; a revoked token costs one further attempt."""
    grpc_client = import_module("grpc_client")
    service, address, authority = ledger
    plugin = grpc_client.SidecarToken("api")
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(authority), grpc.metadata_call_credentials(plugin)
    )

    def use() -> list[bytes]:
        with grpc.secure_channel(address, credentials) as channel:
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/ledger.Ledger/Get")
            answers = [grpc_client.call(method, b"1", plugin)]
            service.accepted = {f"Bearer {SECOND}"}
            return [*answers, grpc_client.call(method, b"2", plugin), grpc_client.call(method, b"3", plugin)]

    assert await asyncio.to_thread(use) == [b"1", b"2", b"3"]
    assert [sent.removeprefix("Bearer ") for sent in service.seen] == [FIRST, FIRST, SECOND, SECOND]
    assert len(authorization_server.requests) == 2


FORWARDED = (
    b"X-Forwarded-Method: POST", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: shop.example",
    b"X-Forwarded-Uri: /orders?x=1", b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-Port: 443",
    b"X-Forwarded-Server: traefik-1", b"X-Real-Ip: 203.0.113.7",
)  # fmt: skip
"""What Traefik adds to the request of ForwardAuth."""


async def test_traefiks_documented_requests(running: Running) -> None:
    """GET, with its client's fields and its own; the mark is from a middleware before."""
    program = await Program.of(running)
    answer = await program.ask(b"GET", b"/authorize/api", *FORWARDED, b"Cookie: canary", MARK)
    assert answer.values("Authorization") == [f"Bearer {FIRST}".encode()]
    assert (await program.ask(b"GET", b"/authorize/api", *FORWARDED)).status == 403
    assert (await program.ask(b"GET", b"/token/api", *FORWARDED, MARK)).status == 403


async def test_an_agent_sdks_documented_requests(running: Running) -> None:
    """It reads one member, and takes off the scheme."""
    program = await Program.of(running)
    answer = await program.ask(
        b"GET", b"/AuthorizationHeaderUnauthenticated/api", b"Accept: application/json"
    )
    assert json.loads(answer.body)["authorizationHeader"].startswith("Bearer ")
    missing = await program.ask(b"GET", b"/AuthorizationHeaderUnauthenticated/none")
    assert (missing.status, missing.values("Content-Type")) == (404, [b"application/problem+json"])
