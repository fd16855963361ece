"""One token request: credentials, form, token endpoint, token."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sidecar.core import oauth
from sidecar.core.credentials import Credentials
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.events import TokenFetched, TokenFetchFailed
from sidecar.core.ports import Clock, CredentialSource, Journal, TokenEndpoint
from sidecar.core.secret import Secret, fingerprint
from sidecar.core.selectors import label
from sidecar.core.token import FetchReason, Freshness, Token, TokenRequest, bearer


class Exchange:
    """The source of tokens that asks authorization servers."""

    def __init__(
        self,
        *,
        credentials: Mapping[str, CredentialSource],
        endpoint: TokenEndpoint,
        clock: Clock,
        journal: Journal,
        fingerprint_key: bytes,
        leeway: float,
    ) -> None:
        """`credentials` by their name in the configuration; `leeway` in seconds."""
        self._credentials = credentials
        self._endpoint = endpoint
        self._clock = clock
        self._journal = journal
        self._fingerprint_key = fingerprint_key
        self._leeway = leeway

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Fetch a token with credentials read after `newer_than`.

        When the server does not accept the credentials they are read again from their source, for they
        may just have been rotated, and it is asked once more. Raises TokenUnavailable or TokenRefused.
        """
        credentials = await self._read(request, newer_than)
        try:
            return await self._ask_and_tell(request, credentials, reason)
        except TokenRefused as refusal:
            if refusal.code != oauth.INVALID_CLIENT:
                raise
        others = await self._read(request, self._clock.now(), rejected=credentials)
        return await self._ask_and_tell(request, others, reason)

    async def _read(
        self, request: TokenRequest, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        source = self._credentials[request.credentials]
        with self._failures_told(request):
            return await source.read(request.tenant, newer_than=newer_than, rejected=rejected)

    async def _ask_and_tell(
        self, request: TokenRequest, credentials: Credentials, reason: FetchReason
    ) -> Token:
        began = self._clock.now()
        with self._failures_told(request):
            token = await self._ask(request, credentials)
        now = self._clock.now()
        self._journal.tell(
            TokenFetched(
                token=request.name,
                service=request.service,
                tenant=request.tenant,
                fp=token.fingerprint,
                expires_in=token.expires_at - now,
                duration_ms=(now - began) * 1000,
                reason=reason,
            )
        )
        return token

    async def _ask(self, request: TokenRequest, credentials: Credentials) -> Token:
        headers, form = oauth.encode(request, credentials)
        began = self._clock.now()
        reply = await self._endpoint.post(request.token_endpoint, headers, form)
        host = oauth.host_of(request.token_endpoint)
        grant = oauth.judge(reply, host=host, now=began)
        secret = Secret(grant.access_token, fingerprint(self._fingerprint_key, grant.access_token))
        labels = request.labels | label("jti", grant.jti)
        token = bearer(secret, fetch_began=began, life=grant.life, leeway=self._leeway, labels=labels)
        if token.freshness(self._clock.now()) is Freshness.STALE:
            raise TokenRefused(f"token endpoint {host} gave a token that has already expired", "")
        return token

    @contextmanager
    def _failures_told(self, request: TokenRequest) -> Iterator[None]:
        began = self._clock.now()
        try:
            yield
        except (TokenRefused, TokenUnavailable) as error:
            self._journal.tell(self._failure(request, error, began))
            raise

    def _failure(
        self, request: TokenRequest, error: TokenRefused | TokenUnavailable, began: float
    ) -> TokenFetchFailed:
        return TokenFetchFailed(
            token=request.name,
            service=request.service,
            tenant=request.tenant,
            outcome="refused" if isinstance(error, TokenRefused) else "unavailable",
            error=str(error),
            duration_ms=(self._clock.now() - began) * 1000,
            retry_after=error.retry_after if isinstance(error, TokenUnavailable) else 0.0,
        )
