"""The token endpoint of an authorization server: as configured, or from its issuer's metadata."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NoReturn

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.ports import Clock
from sidecar.core.tls import Tls
from sidecar.oauth import issuer_metadata
from sidecar.oauth.issuer_metadata import Metadata
from sidecar.oauth.ports import AuthorizationServer
from sidecar.oauth.refusals import unreadable
from sidecar.oauth.remote_document import RemoteDocuments
from sidecar.oauth.token import TokenRequest
from sidecar.telemetry.words import ISSUER_METADATA

LIFE = 3600.0
"""Seconds for which an issuer's metadata is used before it is fetched again."""
RETRY = 60.0
"""Seconds for which the old metadata stays in use after a failed fetch."""
MAX_ISSUERS = 1000


class Discovery:
    """Fetch metadata and keep it. Metadata once fetched stays in use while the server is unreachable."""

    def __init__(self, server: AuthorizationServer, clock: Clock) -> None:
        self._server = server
        self._documents: RemoteDocuments[Metadata] = RemoteDocuments(clock, limit=MAX_ISSUERS, pause=RETRY)

    async def token_endpoint(self, request: TokenRequest) -> str:
        """Return the URL for this request. Raises TokenUnavailable or TokenRefused if it is not known."""
        if request.token_endpoint:
            return request.token_endpoint
        metadata = await self._metadata(request.issuer, request.tls)
        endpoint = metadata.mtls_token_endpoint if request.tls.certificate_file else metadata.token_endpoint
        return endpoint or self._missing(request.issuer, "token_endpoint")

    async def jwks_uri(self, issuer: str, tls: Tls) -> str:
        """Return where the issuer's public keys are. Raises like `token_endpoint`."""
        metadata = await self._metadata(issuer, tls)
        return metadata.jwks_uri or self._missing(issuer, "jwks_uri")

    def places(self, issued: Callable[[str], bool]) -> Iterator[str]:
        """Return the URLs in the metadata of those issuers that have been fetched."""
        for metadata in self._documents.known():
            if issued(metadata.issuer):
                yield from (metadata.token_endpoint, metadata.mtls_token_endpoint, metadata.jwks_uri)

    def _missing(self, issuer: str, name: str) -> NoReturn:
        raise TokenRefused(f"the {ISSUER_METADATA} of {issuer} names no {name} that the sidecar may use", "")

    async def _metadata(self, issuer: str, tls: Tls) -> Metadata:
        source = ascii([issuer, tls])  # with other TLS settings, another server may answer for this issuer
        return await self._documents.get(source, partial(self._find, issuer, tls), age=LIFE)

    async def _find(self, issuer: str, tls: Tls) -> Metadata:
        """Try each URL in turn."""
        out, why = False, ""
        for place in issuer_metadata.places(issuer):
            reply = await self._server.get(place, tls)
            metadata = issuer_metadata.read(reply, issuer)
            if metadata is not None:
                return metadata
            out = out or reply.status == 429 or reply.status >= 500
            why = why or (unreadable.why(reply) if reply.status == 200 else "")
        if out:
            raise TokenUnavailable(f"the {ISSUER_METADATA} of {issuer} is unavailable", 0.0)
        cause = f" ({why})" if why else ""
        raise TokenRefused(
            f"{issuer} publishes no {ISSUER_METADATA}{cause}: check issuer, or write token_endpoint", ""
        )
