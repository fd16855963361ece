"""The parts with which a sidecar fetches tokens."""

from collections.abc import Iterator

from sidecar.app.credentials import CredentialSources
from sidecar.app.named_servers import NamedServers
from sidecar.config.settings import Config
from sidecar.core.health import Health
from sidecar.core.ports import Clock, Randomness
from sidecar.core.rate_limit import RateLimit
from sidecar.credentials.sources.secret_files import SecretReader
from sidecar.oauth.discovery import Discovery
from sidecar.oauth.fetch_limit import BURST, RATE, LimitedSource
from sidecar.oauth.fetcher import TokenFetcher
from sidecar.oauth.http_client import HttpAuthorizationServer
from sidecar.oauth.jwks import JwksVerifier
from sidecar.oauth.observed import ObservedServers, ServerClock
from sidecar.oauth.ports import Signer, TokenSource, Verifier
from sidecar.oauth.refusals.proven import ProvenEntries, ProvingSource
from sidecar.oauth.token_response import host_of
from sidecar.proxy.callers import CallersByToken
from sidecar.telemetry.ports import Journal


class TokenFetching:
    """Make the source that sends token requests; its connections and state outlive a reload."""

    def __init__(
        self,
        credentials: CredentialSources,
        clock: Clock,
        randomness: Randomness,
        journal: Journal,
        *,
        fingerprint_key: bytes,
    ) -> None:
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._fingerprint_key = fingerprint_key
        self._credentials = credentials
        self._rate_limit = RateLimit(burst=BURST, rate=RATE)
        self._server = ObservedServers(HttpAuthorizationServer(), clock)
        self._discovery = Discovery(self._server, clock)
        self._proven = ProvenEntries({})
        self._signer: Signer | None = None
        self._verifier: Verifier | None = None
        self.callers = CallersByToken(clock, fingerprint_key=fingerprint_key)
        """The callers of requests that bring their own token."""

    def source(self, config: Config) -> TokenSource:
        """Return the source for this configuration."""
        self._prepare_to_verify(config)
        self._proven = self._proven.under(config.tokens)
        fetcher = TokenFetcher(
            credentials=self._credentials.of(config),
            server=self._server,
            discovery=self._discovery,
            secrets=SecretReader(),
            signer=self._signer_for(config),
            proven=self._proven,
            clock=self._clock,
            journal=self._journal,
            fingerprint_key=self._fingerprint_key,
            leeway=config.cache.leeway,
        )
        return LimitedSource(fetcher, tenants=config.tenants, rate_limit=self._rate_limit, clock=self._clock)

    def proving(self, source: TokenSource) -> TokenSource:
        """Wrap the source that contains the latest of `source`, so that tokens from the store prove entries too."""
        return ProvingSource(source, self._proven)

    def health(self) -> Iterator[tuple[str, Health]]:
        """Return the health of the authorization servers that got requests, by host."""
        return self._server.health()

    def clock_skews(self) -> dict[tuple[str, int], float]:
        """Return by how many seconds each token endpoint's clock is ahead, by its host and port."""
        return self._server.clock_skews()

    def wrong_clocks(self) -> Iterator[ServerClock]:
        """Return the token endpoints' clocks that differ by more than servers accept."""
        return self._server.wrong_clocks()

    def configure(self, config: Config) -> Iterator[None]:
        """Drop what this configuration does not need, in short steps."""
        named = NamedServers(config.templates)

        def needed(host: str) -> bool:
            places = self._discovery.places(named.has_issuer)
            return named.has_host(host) or any(host == host_of(place) for place in places)

        self._server.configure(needed)
        yield
        yield from self.callers.forget()
        yield from self._credentials.configure(config)

    def close(self) -> None:
        """Close what is open."""
        self._credentials.close()

    def _prepare_to_verify(self, config: Config) -> None:
        """Load PyJWT and cryptography with the first rule for callers' tokens."""
        if self._verifier is None and any(token.verifies for token in config.tokens.values()):
            from sidecar.oauth.jwt.signatures import JwtSignatures  # noqa: PLC0415

            self._verifier = JwksVerifier(self._server, self._discovery, JwtSignatures(), self._clock)
            self.callers.set_verifier(self._verifier)

    def _signer_for(self, config: Config) -> Signer | None:
        """Return the signer of assertions; PyJWT and cryptography are loaded with the first private key."""
        if self._signer is None and any(token.private_key is not None for token in config.tokens.values()):
            from sidecar.oauth.jwt.signer import JwtSigner  # noqa: PLC0415

            self._signer = JwtSigner(self._clock.wall, self._randomness)
        return self._signer
