"""A token fetcher among fakes: credentials that rotate, a token endpoint that plays a script, a recording signer."""

import json
from collections.abc import Callable, Mapping

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.secret import Secret
from sidecar.core.tls import Tls
from sidecar.credentials.model import Credentials
from sidecar.credentials.ports import CredentialSource
from sidecar.credentials.sources.secret_files import SecretReader
from sidecar.oauth.discovery import Discovery
from sidecar.oauth.fetcher import TokenFetcher
from sidecar.oauth.ports import Reply
from sidecar.oauth.refusals.proven import ProvenEntries
from sidecar.oauth.signing_keys import SigningKey
from sidecar.oauth.token import TokenRequest
from sidecar.telemetry.events import TokenFetchFailed
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal

ANY = float("-inf")
KEY = b"k" * 32
REQUEST = TokenRequest(
    name="ledger",
    token_endpoint="https://auth.test/token",
    credentials="ledger-client",
    service="ledger-client",
    client_auth="client_secret_post",
)


class RotatingCredentials:
    """A source whose secret is `current`; it counts how often it was read and what was demanded."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.current = "s1"
        self.demands: list[float] = []
        self.rejected: list[Credentials | None] = []
        self.worked: list[bool] = []
        self.interim = False
        """Whether what it has for rejected ones is not current."""
        self.error: TokenRefused | TokenUnavailable | None = None
        """Raised when others are looked for."""
        self.adopted: list[tuple[str, str]] = []
        self._held: Credentials | None = None

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        self.demands.append(newer_than)
        self.rejected.append(rejected)
        if rejected is not None:
            self.worked.append(worked)
            if self.error is not None:
                raise self.error
            return Credentials("me", Secret(self.current), self._clock.now(), self.interim)
        if self._held is None or self._held.read_at <= newer_than:
            self._held = Credentials("me", Secret(self.current), self._clock.now())
        return self._held

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        self.adopted.append((accepted.client_secret.reveal(), refused.client_secret.reveal()))


class ScriptedEndpoint:
    """Answers by the secret it is sent; `accepted` is the one it likes."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.accepted = "s1"
        self.takes = 0.0
        self.reply: Reply | None = None
        self.refusal = Reply(401, "application/json", b'{"error":"invalid_client"}')
        """What it answers to other secrets."""
        self.before: Callable[[], None] = lambda: None
        """Happens before each answer."""
        self.forms: list[str] = []
        self.urls: list[str] = []

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        self.forms.append(form)
        self.urls.append(url)
        self.before()
        if self.takes:
            await self._clock.advance(self.takes)
        if self.reply is not None:
            return self.reply
        if "client_secret=" in form and f"client_secret={self.accepted}" not in form:
            return self.refusal
        body = {"access_token": "canary", "token_type": "Bearer", "expires_in": 100}
        return Reply(200, "application/json", json.dumps(body).encode())

    async def get(self, url: str, tls: Tls) -> Reply:
        document = {"issuer": "https://auth.test", "token_endpoint": "https://auth.test/found"}
        return Reply(200, "application/json", json.dumps(document).encode())


class RecordingSigner:
    """Signs nothing, and keeps what it should have signed with which key."""

    def __init__(self) -> None:
        self.signed: list[tuple[SigningKey, Mapping[str, object], float]] = []

    async def sign(self, key: SigningKey, claims: Mapping[str, object], life: float) -> str:
        self.signed.append((key, claims, life))
        return f"signed-{len(self.signed)}"


class Rig:
    """An exchange among fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.credentials = RotatingCredentials(self.clock)
        self.endpoint = ScriptedEndpoint(self.clock)
        self.signer = RecordingSigner()
        self.journal = RecordingJournal()
        self.proven = ProvenEntries({REQUEST.name: REQUEST})
        self.exchange = self.with_credentials(self.credentials)

    def with_credentials(self, source: CredentialSource) -> TokenFetcher:
        return TokenFetcher(
            credentials={"ledger-client": source},
            server=self.endpoint,
            discovery=Discovery(self.endpoint, self.clock),
            secrets=SecretReader(),
            signer=self.signer,
            proven=self.proven,
            clock=self.clock,
            journal=self.journal,
            fingerprint_key=KEY,
            leeway=60,
        )

    def failures(self) -> list[TokenFetchFailed]:
        return [event for event in self.journal.events if isinstance(event, TokenFetchFailed)]
