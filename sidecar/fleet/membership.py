"""Whether a sidecar is on its own or one of a fleet, and what that means for its cache."""

from collections.abc import Mapping
from typing import Protocol

from sidecar.cache.credentials import CredentialCache, credential_cache
from sidecar.cache.ports import CredentialStore, Fleet
from sidecar.cache.refused_tokens import BustFailure
from sidecar.cache.revocations import Revocations
from sidecar.cache.settings import CacheSettings
from sidecar.cache.tokens import TokenCache
from sidecar.core.health import Health
from sidecar.core.labels import Labels, describe
from sidecar.core.ports import Clock, Randomness
from sidecar.fleet.answers import SelectOutcome
from sidecar.fleet.evictions import EveryCache
from sidecar.fleet.settings import BustSettings, RedisSettings
from sidecar.fleet.standalone import NoCredentialStore, NoFleet
from sidecar.oauth.ports import TokenSource
from sidecar.telemetry.fleet_events import SelectSent
from sidecar.telemetry.instruments import FleetReadings
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import NeighbourKind


class Membership(Protocol):
    """What the rest of the sidecar has to do with its fleet. Nothing here raises."""

    revocations: Revocations
    fingerprint_key: bytes
    credentials: CredentialCache
    """What memory holds of secret stores; it hears the others too."""
    credential_store: CredentialStore
    """The second level of the credentials that are shared."""

    @property
    def fleet(self) -> Fleet:
        """What the cache tells the others."""

    def source(self, fetcher: TokenSource) -> TokenSource:
        """Return what the cache loads from, given what fetches; asked again after each reload."""

    def join(self, cache: TokenCache, name: str) -> None:
        """Take this cache into the fleet: what is bust elsewhere is dropped from it. `name` is the pod's for people."""

    async def open(self) -> None:
        """Get ready to be asked; whoever cannot be reached soon is not waited for."""

    async def run(self) -> None:
        """Hear the others."""

    async def bust(self, selector: Labels) -> SelectOutcome | BustFailure:
        """Drop what the selector means, everywhere. Return what each pod dropped, or what went wrong."""

    def readings(self) -> FleetReadings | None:
        """Tell how store and bus are; None where there are none."""

    def health(self) -> Mapping[NeighbourKind, Health]:
        """Tell how `store` and `bus` are, since when and why; empty where there are none."""

    async def close(self) -> None:
        """Leave."""


class Standalone:
    """A sidecar on its own."""

    def __init__(
        self, cache: CacheSettings, *, clock: Clock, randomness: Randomness, journal: Journal
    ) -> None:
        self.revocations = Revocations()
        self.fingerprint_key = randomness.token_bytes(32)
        self.fleet = NoFleet()
        self.credential_store: CredentialStore = NoCredentialStore()
        self.credentials = credential_cache(
            cache, self.revocations, self.fingerprint_key, clock=clock, journal=journal
        )
        self._clock = clock
        self._journal = journal

    def source(self, fetcher: TokenSource) -> TokenSource:
        """Fetch each token."""
        return fetcher

    def join(self, cache: TokenCache, name: str) -> None:
        """See Membership."""
        self._cache, self._name = cache, name

    async def open(self) -> None:
        """Nobody is to be reached."""

    async def run(self) -> None:
        """Nobody says anything."""

    async def bust(self, selector: Labels) -> SelectOutcome:
        """This pod is all there is."""
        now = self._clock.now()
        self.revocations.add(selector, now)
        dropped = EveryCache(self._cache, self.credentials).evict_selected(selector, now)
        self._journal.tell(SelectSent(describe(selector), pods=1))
        return SelectOutcome(1, {self._name: dropped})

    def readings(self) -> None:
        """Nothing to tell."""

    def health(self) -> Mapping[NeighbourKind, Health]:
        """There are none."""
        return {}

    async def close(self) -> None:
        """Give up what is under way."""
        await self.credentials.close()


def membership(
    redis: RedisSettings | None,
    busts: BustSettings,
    cache: CacheSettings,
    *,
    clock: Clock,
    randomness: Randomness,
    journal: Journal,
) -> Membership:
    """Make the one that the configuration asks for. Raises ConfigError when an encryption key cannot be read.

    A sidecar on its own loads neither redis-py nor cryptography: it starts sooner and stays smaller without.
    """
    if redis is None:
        return Standalone(cache, clock=clock, randomness=randomness, journal=journal)
    from sidecar.fleet.member import Member  # noqa: PLC0415

    return Member(
        redis,
        busts,
        cache,
        clock=clock,
        randomness=randomness,
        journal=journal,
    )
