"""CredentialCache: memory, then the flight, then the fleet's store, then the secret store they come from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from sidecar.core.backoff import Setbacks
from sidecar.core.busts import Bust
from sidecar.core.credentials import CredentialKey, Credentials, StoredCredentials
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.events import BustFailed, CredentialsRejected
from sidecar.core.memory import Lru
from sidecar.core.ports import Clock, CredentialSource, CredentialStore, Journal
from sidecar.core.secret import fingerprint
from sidecar.core.selectors import Revocations, Selector, describe
from sidecar.flight import SingleFlight, wait

WAIT_LIMIT = 10.0
"""Seconds a token request waits for its credentials."""
MAX_FLIGHTS = 1000


@dataclass(frozen=True, slots=True)
class _Held:
    key: CredentialKey
    credentials: Credentials
    fingerprint: str
    generation: int
    until: float
    """When the store is to be asked again, or the credentials have grown old."""


@dataclass(frozen=True, slots=True)
class _Rejected:
    credentials: Credentials
    since: float
    until: float
    """When it is forgotten."""


class CachedSource:
    """A source of credentials whose answers are kept."""

    def __init__(
        self,
        cache: "CredentialCache",
        source: CredentialSource,
        *,
        service: str,
        origin: str,
        store: CredentialStore,
    ) -> None:
        """`origin` names the place `source` reads from; `store` is the second level."""
        self._cache = cache
        self._service = service
        self._origin = origin
        self.source = source
        self.store = store

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        """See the port. While the source is out, those held before are better than none."""
        key = CredentialKey(self._service, tenant, self._origin)
        return await self._cache.read(self, key, newer_than, rejected)


class CredentialCache:
    """What memory holds of a secret store that is far away, slow, and charges for each question. Bounded.

    Credentials are kept because they seldom change. When they have, the authorization server says so: then they
    are dropped in every pod, and those read later count even for who asks for new ones a moment after.
    """

    def __init__(
        self,
        *,
        revocations: Revocations,
        clock: Clock,
        journal: Journal,
        fingerprint_key: bytes,
        memory_ttl: float,
        life: float,
        max_entries: int,
    ) -> None:
        """Seconds: `memory_ttl` until the store is asked again, `life` until the secret store is."""
        self.memory_ttl = memory_ttl
        self._revocations = revocations
        self._clock = clock
        self._journal = journal
        self._fingerprint_key = fingerprint_key
        self._life = life
        self._memory: Lru[_Held] = Lru(max_entries)
        self._rejected: Lru[_Rejected] = Lru(max_entries)
        self._setbacks = Setbacks(max_entries)
        self._flights: SingleFlight[Credentials] = SingleFlight(clock, limit=MAX_FLIGHTS)

    async def read(
        self, cached: CachedSource, key: CredentialKey, newer_than: float, rejected: Credentials | None
    ) -> Credentials:
        """Return the credentials of the key; callers share one load.

        After a rejection those count that were read after the rejected ones, by whichever pod: when a secret has
        been rotated it is read once.
        """
        began_after = newer_than
        if rejected is not None:
            newer_than, began_after = rejected.read_at, await self._reject(cached, key, rejected)
        held = self._memory.get(key.text)
        young = held is not None and held.key == key and self._clock.now() < held.until
        if held is not None and young and self._do(key, held.credentials, newer_than):
            return held.credentials
        flight = self._flights.find(key.text, newer_than=began_after)
        if flight is not None:
            found = await wait(self._clock, flight, WAIT_LIMIT)
            if found.read_at > newer_than:
                return found
        flight = self._flights.start(key.text, partial(self._load, cached, key, newer_than))
        return await wait(self._clock, flight, WAIT_LIMIT)

    async def close(self) -> None:
        """Give up every load under way."""
        await self._flights.close()

    # What the other pods say: see Evictions

    def evict(self, bust: Bust) -> bool:
        """Drop these credentials, and only them."""
        held = self._memory.get(bust.key)
        if held is None or held.fingerprint != bust.fingerprint:
            return False
        self._memory.pop(bust.key)
        return True

    def evict_selected(self, chosen: Selector, at: float) -> int:
        """Drop all that carry these labels and were read by `at`."""
        return self._drop(
            held for held in self._memory if held.credentials.read_at <= at and chosen <= held.key.labels
        )

    def evict_revoked(self) -> int:
        """Drop all that a select has revoked by now."""
        return self._drop(
            held
            for held in self._memory
            if self._revocations.cover(held.key.labels, held.credentials.read_at)
        )

    def held(self) -> Mapping[str, int]:
        """Return key and generation of all in memory."""
        return {held.key.text: held.generation for held in self._memory}

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        """Drop all that are held under another generation than these."""
        return self._drop(held for held in self._memory if generations.get(held.key.text) != held.generation)

    def _drop(self, dead: Iterable[_Held]) -> int:
        return sum(self._memory.pop(held.key.text) is not None for held in dead)

    # How

    async def _reject(self, cached: CachedSource, key: CredentialKey, rejected: Credentials) -> float:
        """Drop what an authorization server did not accept, in every pod, and prefer others for a while.

        Return when that was known first.
        """
        now = self._clock.now()
        last = self._rejected.get(key.text)
        if last is not None and last.credentials.same_as(rejected) and now < last.until:
            return last.since
        self._rejected.put(key.text, _Rejected(rejected, since=now, until=now + self._life))
        held = self._memory.get(key.text)
        if held is not None and held.credentials.same_as(rejected):
            self._memory.pop(key.text)
        name = self._fingerprint(rejected)
        self._journal.tell(CredentialsRejected(key.service, key.tenant, name))
        failed = await cached.store.bust(key, name, held.generation if held is not None else 0)
        if failed is not None:
            self._journal.tell(
                BustFailed("credentials", describe(key.labels), name, failed.step, failed.error)
            )
        return now

    async def _load(self, cached: CachedSource, key: CredentialKey, newer_than: float) -> Credentials:
        stored = await cached.store.look(key)
        found = stored.credentials or self._spare(key, stored)
        if found is not None and self._do(key, found, newer_than):
            self._hold(key, found, stored)
            return found
        error = self._setbacks.error(key.text, self._clock.now())
        if error is not None:
            raise error
        rejected = self._rejected_of(key)
        try:
            read = await cached.source.read(key.tenant, newer_than=newer_than, rejected=rejected)
        except TokenRefused as refusal:
            raise self._setbacks.refused(key.text, refusal, self._clock.now()) from None
        except TokenUnavailable:
            held = self._memory.get(key.text)
            if held is not None and held.key == key:
                return held.credentials
            raise
        self._setbacks.clear(key.text)
        if rejected is None or not read.same_as(rejected):
            held = self._hold(key, read, stored)
            life = read.read_at + self._life - self._clock.now()
            await cached.store.keep(key, read, held.fingerprint, held.generation, life)
        return read

    def _do(self, key: CredentialKey, found: Credentials, newer_than: float) -> bool:
        """Tell whether these, held or stored, are what is asked for."""
        rejected = self._rejected_of(key)
        return (
            newer_than < found.read_at
            and self._clock.now() < found.read_at + self._life
            and not self._revocations.cover(key.labels, found.read_at)
            and not (rejected is not None and found.same_as(rejected))
        )

    def _rejected_of(self, key: CredentialKey) -> Credentials | None:
        last = self._rejected.get(key.text)
        return last.credentials if last is not None and self._clock.now() < last.until else None

    def _spare(self, key: CredentialKey, stored: StoredCredentials) -> Credentials | None:
        """Return what memory still has when the store has nothing, if no bust has come between."""
        held = self._memory.get(key.text)
        if held is None or held.key != key or stored.generation not in (None, held.generation):
            return None
        return held.credentials

    def _hold(self, key: CredentialKey, credentials: Credentials, stored: StoredCredentials) -> _Held:
        now = self._clock.now()
        old = credentials.read_at + self._life
        until = old if stored.generation is None else min(old, now + self.memory_ttl)
        held = _Held(key, credentials, self._fingerprint(credentials), stored.generation or 0, until)
        self._memory.put(key.text, held)
        return held

    def _fingerprint(self, credentials: Credentials) -> str:
        both = f"{credentials.client_id}\n{credentials.client_secret.reveal()}"
        return fingerprint(self._fingerprint_key, both)
