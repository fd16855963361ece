"""Where an authorization server is asked for tokens: as configured, or as its issuer's metadata says."""

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
"""Seconds an issuer's metadata is used without another look."""
RETRY = 60.0
"""Seconds the old metadata goes on being used after a look that failed."""
MAX_ISSUERS = 1000


class Discovery:
    """Looks metadata up and keeps it. What was once known stays in use while the server cannot be asked."""

    def __init__(self, server: AuthorizationServer, clock: Clock) -> None:
        self._server = server
        self._documents: RemoteDocuments[Metadata] = RemoteDocuments(clock, limit=MAX_ISSUERS, pause=RETRY)

    async def token_endpoint(self, request: TokenRequest) -> str:
        """Return where this request goes. Raises TokenUnavailable or TokenRefused when nobody says."""
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
        """Return the URLs in the metadata of those issuers, as far as it is known."""
        for metadata in self._documents.known():
            if issued(metadata.issuer):
                yield from (metadata.token_endpoint, metadata.mtls_token_endpoint, metadata.jwks_uri)

    def _missing(self, issuer: str, name: str) -> NoReturn:
        raise TokenRefused(f"the {ISSUER_METADATA} of {issuer} names no {name} that the sidecar may use", "")

    async def _metadata(self, issuer: str, tls: Tls) -> Metadata:
        source = ascii([issuer, tls])  # what others take for this issuer need not be it
        return await self._documents.get(source, partial(self._find, issuer, tls), age=LIFE)

    async def _find(self, issuer: str, tls: Tls) -> Metadata:
        """Ask at each place in turn."""
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
