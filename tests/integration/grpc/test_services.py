"""Health checks and server reflection: gRPC's own clients and services of both, with the sidecar between them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import DESCRIPTOR, HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub, add_HealthServicer_to_server
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION
from grpc_reflection.v1alpha.reflection import enable_server_reflection

from tests.support.authorization_server import AuthorizationServer
from tests.support.grpc_server import GrpcServer
from tests.support.sidecar import Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

CHECKED: Final = "bank.Ledger"
AUTHORITY: Final = "ledger.internal"
Response = HealthCheckResponse


class Services:
    """Health checks and reflection of a server."""

    def __init__(self) -> None:
        self.health = HealthServicer()

    def register(self, server: grpc.Server) -> None:
        add_HealthServicer_to_server(self.health, server)
        enable_server_reflection([HEALTH, REFLECTION], server)


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def far(upstream: Upstream, services: Services) -> Iterator[GrpcServer]:
    """The server, which accepts the tokens that were issued and not revoked."""
    with GrpcServer(lambda: upstream.accepts, services.register) as server:
        yield server


@pytest.fixture
async def channel(sidecar: Start, far: GrpcServer) -> AsyncIterator[grpc.Channel]:
    """A channel whose authority is that of the route, so that it includes these services."""
    route = {
        "name": "far",
        "match": {"host": AUTHORITY},
        "upstream": far.url,
        "protocol": "http2",
        "token": "api",
    }
    options = [("grpc.default_authority", AUTHORITY), ("grpc.use_local_subchannel_pool", 1)]
    async with sidecar(route) as running:
        with grpc.insecure_channel(running.address, options=options) as channel:
            yield channel


def check(channel: grpc.Channel, service: str = CHECKED) -> int:
    answer: HealthCheckResponse = HealthStub(channel).Check(
        HealthCheckRequest(service=service), timeout=PATIENCE
    )
    return int(answer.status)


async def test_a_health_check(channel: grpc.Channel, far: GrpcServer, services: Services) -> None:
    """Its answers are the server's, also that there is no such service; each check carries a token."""
    services.health.set(CHECKED, Response.SERVING)
    assert await asyncio.to_thread(check, channel) == Response.SERVING
    services.health.set(CHECKED, Response.NOT_SERVING)
    assert await asyncio.to_thread(check, channel) == Response.NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(check, channel, "unknown")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert far.tokens == ["canary-token-1"] * 3


async def test_b94_a_health_check_is_healed(
    channel: grpc.Channel, far: GrpcServer, authorization_server: AuthorizationServer
) -> None:
    """As any call is."""
    assert await asyncio.to_thread(check, channel, "") == Response.SERVING
    authorization_server.revoke(authorization_server.issued[-1])
    assert await asyncio.to_thread(check, channel, "") == Response.SERVING
    assert far.tokens == ["canary-token-1", "canary-token-1", "canary-token-2"]


async def test_a_watch_of_a_services_health(channel: grpc.Channel, services: Services) -> None:
    """Each change arrives when it happens, in a call that goes on; the client ends it."""
    services.health.set(CHECKED, Response.SERVING)

    def watch() -> tuple[list[int], grpc.StatusCode]:
        answers = HealthStub(channel).Watch(HealthCheckRequest(service=CHECKED), timeout=PATIENCE)
        seen = [next(answers).status]
        for status in (Response.NOT_SERVING, Response.SERVING):
            services.health.set(CHECKED, status)
            seen.append(next(answers).status)
        answers.cancel()
        return seen, answers.code()

    seen, code = await asyncio.to_thread(watch)
    assert seen == [Response.SERVING, Response.NOT_SERVING, Response.SERVING]
    assert code is grpc.StatusCode.CANCELLED


def described(channel: grpc.Channel) -> tuple[list[str], list[str]]:
    """Return the services that the server lists, and the methods of one, from what it describes."""
    database = ProtoReflectionDescriptorDatabase(channel)
    found = DescriptorPool(database).FindServiceByName(HEALTH)
    return sorted(database.get_services()), [method.name for method in found.methods]


@pytest.mark.parametrize("revoked", [False, True])
async def test_server_reflection(
    channel: grpc.Channel, far: GrpcServer, authorization_server: AuthorizationServer, *, revoked: bool
) -> None:
    """A client lists the services, and gets the description of one; also with a token that was revoked."""
    if revoked:
        await asyncio.to_thread(check, channel, "")
        authorization_server.revoke(authorization_server.issued[-1])
    services, methods = await asyncio.to_thread(described, channel)
    assert services == [HEALTH, REFLECTION]
    assert methods == [method.name for method in DESCRIPTOR.services_by_name["Health"].methods]
    assert set(far.tokens[2 * revoked :]) == {authorization_server.issued[-1]}
