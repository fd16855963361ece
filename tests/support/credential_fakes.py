"""A fake of the fleet's store for credentials, and a secret store that counts."""

from sidecar.cache.refused_tokens import Bust, BustFailure
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.ports import Clock
from sidecar.core.secret import Secret
from sidecar.credentials.model import CredentialKey, Credentials, StoredCredentials
from sidecar.fleet.generations import following
from sidecar.fleet.ports import Evictions
from tests.support.clock import FakeClock


class FakeShelf:
    """The store that a fleet shares; pods in `listeners` get busts."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[CredentialKey, Credentials, str, float]] = {}
        self.generations: dict[str, int] = {}
        self.dead: dict[str, str] = {}
        self.listeners: list[Evictions] = []
        self.busts: list[Bust] = []


class FakeVault:
    """One pod's connection to the shelf; `reachable` is the switch that cuts it."""

    def __init__(self, clock: Clock, shelf: FakeShelf | None = None) -> None:
        self.reachable = True
        self.shelf = shelf or FakeShelf()
        self.looks = 0
        self._clock = clock

    async def look(self, key: CredentialKey) -> StoredCredentials:
        self.looks += 1
        if not self.reachable:
            return StoredCredentials()
        generation = self.shelf.generations.get(key.text, 0)
        owner, credentials, _, until = self.shelf.values.get(key.text, (None, None, "", 0.0))
        return StoredCredentials(
            credentials if owner == key and self._clock.now() < until else None, generation
        )

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        if self.reachable and self.shelf.generations.get(key.text, 0) == generation and life > 0:
            self.shelf.values[key.text] = (key, credentials, fingerprint, self._clock.now() + life)

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> BustFailure | None:
        if not self.reachable:
            return BustFailure("publish", "unreachable")
        held = self.shelf.values.get(key.text)
        is_held = held is not None and held[2] == fingerprint
        if self.shelf.dead.get(key.text) == fingerprint and not is_held:
            return None
        if is_held:
            del self.shelf.values[key.text]
        known = max(generation, self.shelf.generations.get(key.text, 0))
        self.shelf.generations[key.text] = following(known, self._clock.now())
        self.shelf.dead[key.text] = fingerprint
        bust = Bust(key.text, fingerprint, self.shelf.generations[key.text])
        self.shelf.busts.append(bust)
        for listener in self.shelf.listeners:
            listener.evict(bust)
        return None


class CountingSource:
    """A secret store whose secret is `current`; `takes` seconds for each answer."""

    def __init__(self, clock: FakeClock) -> None:
        self.current = "canary-1"
        self.other = ""
        """A version that is not current: it gives this in place of a rejected one, "" for none."""
        self.reads: list[str] = []
        self.error: TokenRefused | TokenUnavailable | None = None
        self.takes = 0.0
        self._clock = clock

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        self.reads.append(tenant)
        began, current = self._clock.now(), self.current
        if self.takes:
            await self._clock.sleep(self.takes)
        if self.error is not None:
            raise self.error
        if self.other and rejected is not None and rejected.client_secret.reveal() == current:
            return Credentials("me", Secret(self.other), began, interim=True)
        return Credentials("me", Secret(current), began)
