"""One token request: credentials, form, token endpoint, token."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.labels import label
from sidecar.core.ports import Clock, SecretReader
from sidecar.core.secret import Secret, SecretFile, fingerprint
from sidecar.credentials.model import Credentials
from sidecar.credentials.ports import CredentialSource
from sidecar.oauth import request_form, subject_token, token_response
from sidecar.oauth.ports import AuthorizationServer, Discovery, Signer
from sidecar.oauth.refusals import clock_skew
from sidecar.oauth.refusals.causes import is_of_caller
from sidecar.oauth.refusals.clock_skew import Exchange
from sidecar.oauth.refusals.hints import hint
from sidecar.oauth.refusals.proven import ProvenEntries
from sidecar.oauth.request_form import Carried
from sidecar.oauth.signing_keys import SigningKey
from sidecar.oauth.token import FetchReason, Freshness, FromRequest, Presented, Token, TokenRequest, bearer
from sidecar.telemetry.events import TokenFetched, TokenFetchFailed
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import FetchFault

_WORKED = frozenset[FetchReason]({"aging", "refused"})
"""Why a token is fetched that replaces another one."""


class TokenFetcher:
    """The source of tokens that sends requests to authorization servers."""

    def __init__(
        self,
        *,
        credentials: Mapping[str, CredentialSource],
        server: AuthorizationServer,
        discovery: Discovery,
        secrets: SecretReader,
        signer: Signer | None,
        proven: ProvenEntries,
        clock: Clock,
        journal: Journal,
        fingerprint_key: bytes,
        leeway: float,
    ) -> None:
        """`credentials` by their name in the configuration; `leeway` in seconds.

        Without a `signer` no request may need one.
        """
        self._proven = proven
        self._credentials = credentials
        self._server = server
        self._discovery = discovery
        self._secrets = secrets
        self._signer = signer
        self._clock = clock
        self._journal = journal
        self._fingerprint_key = fingerprint_key
        self._leeway = leeway

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Fetch a token with credentials read after `newer_than`.

        Servers use many error codes for a rotated secret, and return `invalid_client` for other faults too. So after
        any refusal the source of the credentials is read again, and only its content decides: if it has others, the
        request is sent once more with them. Raises TokenUnavailable or TokenRefused.
        """
        credentials = await self._read(request, newer_than)
        try:
            return await self._ask_and_tell(request, credentials, reason)
        except TokenRefused as refusal:
            others = await self._others(request, credentials, refusal, reason)
            if others is None:
                raise
        token = await self._ask_and_tell(request, others, reason)
        if others.interim:
            await self._credentials[request.credentials].adopt(request.tenant, others, refused=credentials)
        return token

    async def _read(self, request: TokenRequest, newer_than: float) -> Credentials:
        with self._failures_told(request):
            return await self._credentials[request.credentials].read(request.tenant, newer_than=newer_than)

    async def _others(
        self, request: TokenRequest, refused: Credentials, refusal: TokenRefused, reason: FetchReason
    ) -> Credentials | None:
        """Return the credentials to try in place of refused ones, None if the refusal stands."""
        if not refusal.of_request or refusal.code in request_form.blaming_caller(request):
            return None
        source, now = self._credentials[request.credentials], self._clock.now()
        try:
            with self._failures_told(request):
                others = await source.read(
                    request.tenant, newer_than=now, rejected=refused, worked=reason in _WORKED
                )
        except (TokenRefused, TokenUnavailable):  # the server's refusal has more information
            return None
        return None if others.same_as(refused) else others

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
                expires_in=token.left(now, self._clock.wall()),
                duration_ms=(now - began) * 1000,
                reason=reason,
            )
        )
        return token

    async def _ask(self, request: TokenRequest, credentials: Credentials) -> Token:
        endpoint = await self._discovery.token_endpoint(request)
        carried = await self._carried(request, credentials.client_id, endpoint)
        headers, form = request_form.encode(request, credentials, carried)
        began, today = self._clock.now(), self._clock.wall()
        reply = await self._server.post(endpoint, headers, form, request.tls)
        host = token_response.host_of(endpoint)
        try:
            grant = token_response.judge(
                reply,
                host=host,
                now=today,
                types=request_form.token_types(request),
                of_others=request_form.blaming_caller(request),
                sent=request_form.secrets_sent(credentials, carried, headers),
            )
        except TokenRefused as refusal:
            raise self._explained(
                request, refusal, Exchange(today, self._clock.wall()).skew(reply.date)
            ) from None
        secret = Secret(grant.access_token, fingerprint(self._fingerprint_key, grant.access_token))
        life, exp, labels = grant.life, grant.exp, request.labels | label("jti", grant.jti)
        if request.subject is not None:
            exp = min(exp, subject_token.expiry(carried.subject))
            life = min(life, exp - today)
            labels |= subject_token.labels(carried.subject)
        token = bearer(secret, fetch_began=began, life=life, leeway=self._leeway, labels=labels, exp=exp)
        if token.freshness(self._clock.now(), self._clock.wall()) is Freshness.STALE:
            clocks = clock_skew.hint(Exchange(today, self._clock.wall()).skew(reply.date))
            raise TokenRefused(
                f"token endpoint {host} gave a token that has already expired", "", hint=clocks
            )
        return token

    def _explained(self, request: TokenRequest, refusal: TokenRefused, skew: float | None) -> TokenRefused:
        """Return the refusal with its cause and the remedy."""
        proven = request.name in self._proven
        return TokenRefused(
            str(refusal),
            refusal.code,
            of_request=refusal.of_request,
            of_caller=is_of_caller(request, refusal, proven=proven),
            description=refusal.description,
            hint=hint(request, refusal, proven=proven, skew=skew),
        )

    async def _carried(self, request: TokenRequest, client_id: str, endpoint: str) -> Carried:
        """Read, or sign, what this request carries besides form and credentials."""
        audience = request.assertion_audience or request.issuer or endpoint
        proof, subject = "", ""
        if request.client_auth == "private_key_jwt":
            proof = await self._sign(request, request_form.client_claims(client_id, audience))
        elif request.client_auth == "client_assertion_file":
            proof = (await self._secrets.read(SecretFile(request.assertion_file))).reveal()
        if request.subject is not None:
            subject = await self._present(request.subject)
        elif request.assertion is not None:
            subject = await self._sign(
                request, request_form.grant_claims(request.assertion, client_id, audience)
            )
        actor = await self._present(request.actor) if request.actor is not None else ""
        return Carried(proof, subject, actor)

    async def _present(self, presented: Presented) -> str:
        """Return the current token. Raises TokenUnavailable if it has expired: a rotated one may be valid."""
        assert not isinstance(presented.where, FromRequest)
        token = (await self._secrets.read(presented.where)).reveal()
        if subject_token.expiry(token) <= self._clock.wall():
            place = presented.where.path if isinstance(presented.where, SecretFile) else "the request"
            raise TokenUnavailable(
                f"the token in {place} has expired: no token can be requested with it", 0.0
            )
        return token

    async def _sign(self, request: TokenRequest, claims: Mapping[str, object]) -> str:
        assert self._signer is not None
        key = request.private_key
        assert key is not None
        read = self._secrets.read
        certificate = (
            await read(SecretFile(key.certificate_file, multiline=True)) if key.certificate_file else None
        )
        signing = SigningKey(
            text=await read(key.where),
            passphrase=await read(key.passphrase) if key.passphrase else None,
            algorithm=key.algorithm,
            kid=key.kid,
            certificate=certificate.reveal() if certificate else "",
        )
        return await self._signer.sign(signing, claims, request_form.ASSERTION_LIFE)

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
            outcome=_fault(error),
            error=str(error),
            duration_ms=(self._clock.now() - began) * 1000,
            retry_after=error.retry_after if isinstance(error, TokenUnavailable) else 0.0,
            error_description=error.description,
            hint=error.hint,
        )


def _fault(error: TokenRefused | TokenUnavailable) -> FetchFault:
    if isinstance(error, TokenUnavailable):
        return "unavailable"
    return "bad_subject" if error.of_caller else "refused"
