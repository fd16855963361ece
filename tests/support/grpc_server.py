"""A real gRPC server, of grpcio, that refuses tokens. Its methods are the interoperability cases of the gRPC project.

It runs on threads of its own. Messages are plain bytes: numbers and texts that the methods define.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Self, TypeVar

import grpc

SERVICE = "test.Calls"
CALLERS = 32
"""Calls at the same time."""

Context = grpc.ServicerContext
Unary = Callable[[bytes, Context], bytes]
Sent = TypeVar("Sent")
Received = TypeVar("Received")


class GrpcServer:
    """Records the token of each call. Those that are not in `accepts` get UNAUTHENTICATED before any message."""

    def __init__(
        self,
        accepts: Callable[[], set[str] | None] = lambda: None,
        services: Callable[[grpc.Server], None] = lambda server: None,
    ) -> None:
        """Take `services`: it adds services of others, whose calls are recorded and refused in the same way."""
        self.accepts = accepts
        self.tokens: list[str] = []
        self.refuses_late: Callable[[str], bool] = lambda token: False
        """Whether a stream ends with UNAUTHENTICATED after its messages."""
        self.metadata: list[tuple[tuple[str, str | bytes], ...]] = []
        self.cancelled = Event()
        """Set when a client has cancelled `Forever`."""
        self._pool = ThreadPoolExecutor(CALLERS)
        self._server = grpc.server(self._pool, interceptors=[_OtherServices(self._enter)])
        self._server.add_generic_rpc_handlers((self._methods(),))
        services(self._server)
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
        self._pool.shutdown()

    def _methods(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Echo": grpc.unary_unary_rpc_method_handler(self._echo),
                "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
                "Count": grpc.unary_stream_rpc_method_handler(self._count),
                "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
                "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
                "Forever": grpc.unary_stream_rpc_method_handler(self._forever),
            },
        )

    def _enter(self, context: Context) -> str:
        """Record the call, and refuse its token."""
        sent = tuple((key, value) for key, value in context.invocation_metadata())
        values = [value for key, value in sent if key == "authorization"]
        token = "".join(map(str, values)).removeprefix("Bearer ")
        self.tokens.append(token)
        self.metadata.append(sent)
        accepted = self.accepts()
        if accepted is not None and token not in accepted:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token was revoked")
        return token

    def _leave(self, token: str, context: Context) -> None:
        if self.refuses_late(token):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token was revoked meanwhile")

    def _echo(self, message: bytes, context: Context) -> bytes:
        self._enter(context)
        echoed = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-echo")]
        context.send_initial_metadata(tuple(pair for pair in echoed if not pair[0].endswith("-bin")))
        context.set_trailing_metadata(tuple(pair for pair in echoed if pair[0].endswith("-bin")))
        return message

    def _sum(self, messages: Iterator[bytes], context: Context) -> bytes:
        """Return the sum of the messages' sizes."""
        self._enter(context)
        return b"%d" % sum(map(len, messages))

    def _count(self, message: bytes, context: Context) -> Iterator[bytes]:
        """Send messages of these sizes."""
        token = self._enter(context)
        for size in message.split():
            yield b"x" * int(size)
        self._leave(token, context)

    def _chat(self, messages: Iterator[bytes], context: Context) -> Iterator[bytes]:
        """Answer each message with itself."""
        token = self._enter(context)
        yield from messages
        self._leave(token, context)

    def _fail(self, message: bytes, context: Context) -> bytes:
        """End with the status and the text in the message."""
        self._enter(context)
        code, _, text = message.decode().partition(" ")
        known = {status.value[0]: status for status in grpc.StatusCode}
        context.abort(known[int(code)], text)
        return b""

    def _forever(self, message: bytes, context: Context) -> Iterator[bytes]:
        """Send one message, then nothing until the client leaves."""
        self._enter(context)
        context.add_callback(self.cancelled.set)
        if message:
            yield message
        while context.is_active():
            time.sleep(0.005)


class _OtherServices(grpc.ServerInterceptor):
    """Calls `enter` for each call of another service, before its method."""

    def __init__(self, enter: Callable[[Context], str]) -> None:
        self._enter = enter

    def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Sent, Received] | None]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Sent, Received] | None":
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(f"/{SERVICE}/"):
            return handler
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._entering(handler.unary_unary), handler.request_deserializer, handler.response_serializer
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._entering(handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        assert handler.stream_stream is not None
        return grpc.stream_stream_rpc_method_handler(
            self._entering(handler.stream_stream), handler.request_deserializer, handler.response_serializer
        )

    def _entering(self, method: Callable[[Sent, Context], Received]) -> Callable[[Sent, Context], Received]:
        def entered(sent: Sent, context: Context) -> Received:
            self._enter(context)
            return method(sent, context)

        return entered


class GrpcClient:
    """A channel to the sidecar."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def unary(self, method: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
        return self._channel.unary_unary(f"/{SERVICE}/{method}")

    def upload(self, method: str) -> "grpc.StreamUnaryMultiCallable[bytes, bytes]":
        return self._channel.stream_unary(f"/{SERVICE}/{method}")

    def download(self, method: str) -> "grpc.UnaryStreamMultiCallable[bytes, bytes]":
        return self._channel.unary_stream(f"/{SERVICE}/{method}")

    def both(self, method: str) -> "grpc.StreamStreamMultiCallable[bytes, bytes]":
        return self._channel.stream_stream(f"/{SERVICE}/{method}")
