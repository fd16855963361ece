"""A token of the sidecar for each gRPC call, and one further attempt after UNAUTHENTICATED."""

import grpc
from program import refused, token


class SidecarToken(grpc.AuthMetadataPlugin):
    """Call credentials: `grpc.metadata_call_credentials(SidecarToken("ledger"))`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fp = ""

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        try:
            found = token(self.name)
        except OSError as error:
            callback((), error)
            return
        self.fp = str(found["fp"])
        callback((("authorization", f"Bearer {found['access_token']}"),), None)


def call(method: grpc.UnaryUnaryMultiCallable, request: object, credentials: SidecarToken) -> object:
    """Call a unary method; after UNAUTHENTICATED report the token, and call once more with its successor."""
    try:
        return method(request)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        refused(credentials.name, credentials.fp, 401)
        return method(request)
