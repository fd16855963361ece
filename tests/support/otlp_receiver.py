"""A real OTLP receiver over HTTP: it decodes what it is sent, and can be scripted to fail."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.upstream import Exchange, Scripted
from tests.support.waiting import PATIENCE

TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def attributes(pairs: "list[KeyValue]") -> dict[str, str | int]:
    """Return the attributes by name."""
    return {
        pair.key: pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value
        for pair in pairs
    }


class Collector(Scripted):
    """Keeps what was sent to `/v1/traces` and `/v1/metrics`."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.exports: list[list[Metric]] = []
        self.resources: list[dict[str, str | int]] = []
        self._came = asyncio.Condition()

    @property
    def raw(self) -> bytes:
        """Every byte that was sent."""
        return b"".join(request.head.raw + request.body for request in self.requests)

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until what has come is enough."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(enough)

    async def traced(self, count: int) -> list[Span]:
        """Wait for that many spans."""
        await self.until(lambda: len(self.spans) >= count)
        return self.spans

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        body = bytes(exchange.received.body)
        if exchange.received.values("Content-Encoding") == [b"gzip"]:
            body = gzip.decompress(body)
        try:
            self._keep(exchange.received.head.target, body)
        except DecodeError as error:
            self.malformed.append(str(error))
        async with self._came:
            self._came.notify_all()
        with suppress(ConnectionError):
            await exchange.send(TAKEN)

    def _keep(self, target: bytes, body: bytes) -> None:
        if target == b"/v1/traces":
            for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(attributes(list(traced.resource.attributes)))
                self.spans += [span for scope in traced.scope_spans for span in scope.spans]
        elif target == b"/v1/metrics":
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.resources.append(attributes(list(measured.resource.attributes)))
                self.exports.append([metric for scope in measured.scope_metrics for metric in scope.metrics])
        else:
            self.malformed.append(f"nobody asked for {target!r}")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A receiver that accepts only well-formed requests."""
    async with Collector() as server:
        yield server
        assert server.malformed == []
