"""CredentialCache: memory, then the flight, then the fleet's store, then the secret store that is their source."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from sidecar.cache.evictable import EvictableCache
from sidecar.cache.held_credentials import HeldCredentials, Look, Rejected
from sidecar.cache.ports import CredentialStore
from sidecar.cache.revocations import Revocations
from sidecar.cache.settings import CacheSettings
from sidecar.cache.single_flight import SingleFlight, wait
from sidecar.core.backoff import REFUSAL_LIFE, Setbacks
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.labels import describe
from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.core.secret import fingerprint
from sidecar.credentials.model import CredentialKey, Credentials, StoredCredentials
from sidecar.credentials.ports import SecretStore
from sidecar.telemetry.events import CredentialsRejected
from sidecar.telemetry.fleet_events import BustFailed
from sidecar.telemetry.ports import Journal

WAIT_LIMIT = 10.0
"""Seconds a token request waits for its credentials."""
MAX_FLIGHTS = 1000
WINDOW = REFUSAL_LIFE
"""Seconds in which the secret store is read at most once to replace refused credentials: as long as a refusal is
remembered, so that each later round of requests reads the store again.
"""
_ALWAYS = float("-inf")


class CachedSource:
    """A source of credentials whose results are cached."""

    def __init__(
        self,
        cache: "CredentialCache",
        source: SecretStore,
        *,
        service: str,
        origin: str,
        store: CredentialStore,
    ) -> None:
        """Take `origin`, which names the place `source` reads from, and `store`, the second level."""
        self._cache = cache
        self._service = service
        self._origin = origin
        self.source = source
        self.store = store

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the cached credentials. While the source is unavailable, previously read ones are returned."""
        if rejected is not None:
            return await self._cache.others(self, self._key(tenant), rejected, worked=worked)
        return await self._cache.read(self, self._key(tenant), newer_than)

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        await self._cache.substitute(self, self._key(tenant), refused, accepted)

    def _key(self, tenant: str) -> CredentialKey:
        return CredentialKey(self._service, tenant, self._origin)


class CredentialCache(EvictableCache[HeldCredentials]):
    """Credentials from a secret store that is remote, slow, and charges for each request. Bounded.

    Credentials are cached because they seldom change. After a refusal by the authorization server the secret store is
    read again, once a window; only if it has others are the cached ones dropped, in every pod.
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
        """Take seconds: `memory_ttl` until the store is read again, `life` until the secret store is."""
        super().__init__(Lru(max_entries), revocations)
        self.memory_ttl = memory_ttl
        self._clock = clock
        self._journal = journal
        self._fingerprint_key = fingerprint_key
        self._life = life
        self._rejected: Lru[Rejected] = Lru(max_entries)
        self._looks: Lru[Look] = Lru(max_entries)
        self._setbacks = Setbacks(max_entries)
        self._needed: Callable[[CredentialKey], bool] = lambda _: True
        self._flights: SingleFlight[Credentials] = SingleFlight(clock, limit=MAX_FLIGHTS)

    def configure(self, needed: Callable[[CredentialKey], bool]) -> Iterator[None]:
        """Drop what belongs to keys that are not needed, in short steps, and cache nothing of them from now on."""
        self._needed = needed
        for held in self._memory:
            if not needed(held.owner):
                self._memory.pop(held.key)
            yield
        for name, look in self._looks.entries():
            if not needed(look.owner):
                self._looks.pop(name)
            yield
        for rejected in self._rejected:
            if not needed(rejected.owner):
                self._rejected.pop(rejected.owner.place)
            yield

    async def read(self, cached: CachedSource, key: CredentialKey, newer_than: float) -> Credentials:
        """Return the credentials of the key; callers share one load."""
        held = self._memory.get(key.text)
        young = held is not None and held.owner == key and self._clock.now() < held.until
        if held is not None and young and self._is_usable(key, held.credentials, newer_than):
            return held.credentials
        flight = self._flights.find(key.place, newer_than=newer_than)
        if flight is not None:
            found = await wait(self._clock, flight, WAIT_LIMIT)
            if found.read_at > newer_than:
                return found
        flight = self._flights.start(key.place, partial(self._load, cached, key, newer_than))
        return await wait(self._clock, flight, WAIT_LIMIT)

    async def others(
        self, cached: CachedSource, key: CredentialKey, refused: Credentials, *, worked: bool
    ) -> Credentials:
        """Return what to try in place of refused credentials: the same if there are no others.

        Others that were read after the refused ones are used, whichever pod read them. Else the secret store is read,
        once in a window however many requests were refused.
        """
        held = self._memory.get(key.text)
        if held is not None and held.owner == key and self._replaces(key, held.credentials, refused):
            await self._reject(cached, key, refused)
            return held.credentials
        name = self._look_name(key, refused, worked=worked)
        flight = self._flights.find(name, newer_than=_ALWAYS)
        if flight is None:
            look = self._looks.get(name)
            if look is not None and self._clock.now() < look.until:
                return look.interim or refused
            work = partial(self._look_for_others, cached, key, refused, name, worked=worked)
            flight = self._flights.start(name, work)
            self._remember_look(key, name)
        return await wait(self._clock, flight, WAIT_LIMIT)

    async def substitute(
        self, cached: CachedSource, key: CredentialKey, refused: Credentials, accepted: Credentials
    ) -> None:
        """Drop the refused credentials in every pod, and store the others for all."""
        held = self._memory.get(key.text)
        if held is None or not held.credentials.same_as(accepted):
            await self._reject(cached, key, refused)
            await self._keep(cached, key, replace(accepted, interim=False), await cached.store.look(key))

    async def close(self) -> None:
        """Cancel every load under way."""
        await self._flights.close()

    async def _look_for_others(
        self, cached: CachedSource, key: CredentialKey, refused: Credentials, name: str, *, worked: bool
    ) -> Credentials:
        stored = await cached.store.look(key)
        found = stored.credentials
        if found is None or not self._replaces(key, found, refused):
            if found is not None and not worked and self._just_read(found, refused):
                return found
            found = await self._ask_source(cached, key, refused.read_at, refused if worked else None)
        if found.same_as(refused):
            rejected = self._rejected_of(key)
            if rejected is None or not found.same_as(rejected):
                await self._keep(cached, key, found, stored)
                self._remember_look(key, name)
        elif found.interim:
            self._remember_look(key, name, found)
        else:
            await self.substitute(cached, key, refused, found)
        return found

    def _look_name(self, key: CredentialKey, refused: Credentials, *, worked: bool) -> str:
        return f"{key.place} {worked} {self._fingerprint(refused)}"

    def _remember_look(self, key: CredentialKey, name: str, interim: Credentials | None = None) -> None:
        self._looks.put(name, Look(key, self._clock.now() + WINDOW, interim))

    def _forget_looks(self, key: CredentialKey, successor: Credentials) -> None:
        """Allow another read for credentials that come into use: an earlier refusal of them preceded a change."""
        for worked in (False, True):
            self._looks.pop(self._look_name(key, successor, worked=worked))

    def _replaces(self, key: CredentialKey, found: Credentials, refused: Credentials) -> bool:
        """Return whether these, in memory or stored, are others than the refused ones, and newer."""
        return not found.same_as(refused) and self._is_usable(key, found, refused.read_at)

    def _just_read(self, found: Credentials, refused: Credentials) -> bool:
        """Return whether another pod has read the secret store in this window, and found the refused credentials."""
        return found.same_as(refused) and found.read_at > max(refused.read_at, self._clock.now() - WINDOW)

    async def _ask_source(
        self, cached: CachedSource, key: CredentialKey, newer_than: float, rejected: Credentials | None
    ) -> Credentials:
        """Read the secret store, unless it has just refused. Raises like the source."""
        error = self._setbacks.error(key.place, self._clock.now())
        if error is not None:
            raise error
        try:
            read = await cached.source.read(key.tenant, newer_than=newer_than, rejected=rejected)
        except TokenRefused as refusal:
            raise self._setbacks.refused(key.place, refusal, self._clock.now()) from None
        self._setbacks.clear(key.place)
        return read

    async def _keep(
        self, cached: CachedSource, key: CredentialKey, read: Credentials, stored: StoredCredentials
    ) -> None:
        held = self._hold(key, read, stored)
        life = read.read_at + self._life - self._clock.now()
        await cached.store.keep(key, read, held.fingerprint, held.generation, life)

    async def _reject(self, cached: CachedSource, key: CredentialKey, rejected: Credentials) -> None:
        """Drop credentials that have been replaced, in every pod, and prefer the new ones for a while."""
        now = self._clock.now()
        last = self._rejected.get(key.place)
        if last is not None and last.credentials.same_as(rejected) and now < last.until:
            return
        self._rejected.put(key.place, Rejected(key, rejected, until=now + self._life))
        held = self._memory.get(key.text)
        if held is not None and held.credentials.same_as(rejected):
            self._memory.pop(key.text)
        name = self._fingerprint(rejected)
        self._journal.tell(CredentialsRejected(key.service, key.tenant, name))
        failed = await cached.store.bust(key, name, held.generation if held is not None else 0)
        if failed is not None:
            owner = describe(key.labels)
            self._journal.tell(BustFailed("credentials", owner, name, failed.step, failed.error))

    async def _load(self, cached: CachedSource, key: CredentialKey, newer_than: float) -> Credentials:
        stored = await cached.store.look(key)
        found = stored.credentials or self._spare(key, stored)
        if found is not None and self._is_usable(key, found, newer_than):
            self._hold(key, found, stored)
            return found
        rejected = self._rejected_of(key)
        try:
            read = await self._ask_source(cached, key, newer_than, rejected)
        except TokenUnavailable:
            held = self._memory.get(key.text)
            if held is not None and held.owner == key:
                return held.credentials
            raise
        if rejected is None or not read.same_as(rejected):
            await self._keep(cached, key, read, stored)
        return read

    def _is_usable(self, key: CredentialKey, found: Credentials, newer_than: float) -> bool:
        """Return whether these, in memory or stored, match the request."""
        rejected = self._rejected_of(key)
        return (
            newer_than < found.read_at
            and self._clock.now() < found.read_at + self._life
            and not self._revocations.cover(key.labels, found.read_at)
            and not (rejected is not None and found.same_as(rejected))
        )

    def _rejected_of(self, key: CredentialKey) -> Credentials | None:
        last = self._rejected.get(key.place)
        return last.credentials if last is not None and self._clock.now() < last.until else None

    def _spare(self, key: CredentialKey, stored: StoredCredentials) -> Credentials | None:
        """Return the credentials still in memory if the store has none and no bust came meanwhile."""
        held = self._memory.get(key.text)
        if held is None or held.owner != key or stored.generation not in (None, held.generation):
            return None
        return held.credentials

    def _hold(
        self, key: CredentialKey, credentials: Credentials, stored: StoredCredentials
    ) -> HeldCredentials:
        now = self._clock.now()
        old = credentials.read_at + self._life
        until = old if stored.generation is None else min(old, now + self.memory_ttl)
        held = HeldCredentials(
            key, credentials, self._fingerprint(credentials), stored.generation or 0, until
        )
        before = self._memory.get(key.text)
        if before is None or not before.credentials.same_as(credentials):
            self._forget_looks(key, credentials)
        if self._needed(key):  # else a reload came while it was read
            self._memory.put(key.text, held)
        return held

    def _fingerprint(self, credentials: Credentials) -> str:
        both = f"{credentials.client_id}\n{credentials.client_secret.reveal()}"
        return fingerprint(self._fingerprint_key, both)


def credential_cache(
    settings: CacheSettings,
    revocations: Revocations,
    fingerprint_key: bytes,
    *,
    clock: Clock,
    journal: Journal,
) -> CredentialCache:
    """Make the cache of credentials from secret stores."""
    return CredentialCache(
        revocations=revocations,
        clock=clock,
        journal=journal,
        fingerprint_key=fingerprint_key,
        memory_ttl=settings.memory_ttl,
        life=settings.store_ttl,
        max_entries=settings.max_entries,
    )
