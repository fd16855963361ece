"""One sidecar of a fleet: the seal, the store, the shared source and the bus around its cache."""

import base64
from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import get_args

from sidecar.cache.credentials import credential_cache
from sidecar.cache.leased_source import LeasedSource
from sidecar.cache.ports import CredentialStore
from sidecar.cache.refused_tokens import BustFailure
from sidecar.cache.revocations import Revocations
from sidecar.cache.settings import CacheSettings
from sidecar.cache.tokens import TokenCache
from sidecar.core.errors import ConfigError, Fault
from sidecar.core.health import Health
from sidecar.core.labels import Labels
from sidecar.core.ports import Clock, Randomness
from sidecar.core.secret import SecretRef
from sidecar.credentials.sources.secret_files import read_secret
from sidecar.fleet import messages
from sidecar.fleet.answers import SelectOutcome
from sidecar.fleet.evictions import EveryCache
from sidecar.fleet.ports import Seal
from sidecar.fleet.receiver import MessageReceiver
from sidecar.fleet.redis.answers import SelectAnswers
from sidecar.fleet.redis.bus import RedisBus
from sidecar.fleet.redis.connect import connect
from sidecar.fleet.redis.credential_store import RedisCredentialStore
from sidecar.fleet.redis.guarded_client import CLIENT_TIMEOUT, GuardedClient
from sidecar.fleet.redis.revocation_log import RevocationLog
from sidecar.fleet.redis.sealed_values import SealedValues
from sidecar.fleet.redis.subscription import SILENCE
from sidecar.fleet.redis.token_store import RedisTokenStore
from sidecar.fleet.seal import AesSeal, NoSeal
from sidecar.fleet.settings import BustSettings, RedisSettings
from sidecar.fleet.standalone import NoCredentialStore
from sidecar.oauth.ports import TokenSource
from sidecar.oauth.token import Token, TokenRequest
from sidecar.telemetry.fleet_events import Unencrypted
from sidecar.telemetry.ports import FleetReadings, Journal
from sidecar.telemetry.words import NeighbourKind, Rejection

REVOKED_FOR = 3600.0
"""Seconds for which the fleet remembers busts by labels; a pod disconnected for longer drops everything in memory."""

OPERATIONS = (
    "answer", "answers", "bust", "claim", "cool_down", "extend", "fill", "generations", "give_up", "healed", "keep",
    "listeners", "look", "probe", "publish", "revoke", "revoked",
)  # fmt: skip
"""Redis operations; scripts by their names."""


class Member:
    """Implements Membership. Redis may be unavailable at any time, the start included."""

    def __init__(
        self,
        settings: RedisSettings,
        busts: BustSettings,
        cache: CacheSettings,
        *,
        clock: Clock,
        randomness: Randomness,
        journal: Journal,
    ) -> None:
        """Raise ConfigError if an encryption key cannot be read."""
        self._settings = settings
        self._listen = busts.listen
        self._store_ttl = cache.store_ttl
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._pod = randomness.token_bytes(8).hex()
        self._client_name = f"sidecar-{self._pod}"
        self._seal = _seal(settings, randomness)
        self.fingerprint_key = self._seal.fingerprint_key
        self.revocations = Revocations()
        self._redis = GuardedClient(
            partial(
                connect, settings, timeout=CLIENT_TIMEOUT * settings.operation_timeout, name=self._client_name
            ),
            key_prefix=settings.key_prefix,
            operation_timeout=settings.operation_timeout,
            clock=clock,
            randomness=randomness,
            journal=journal,
        )
        values = SealedValues(
            self._redis,
            seal=self._seal,
            clock=clock,
            key_prefix=settings.key_prefix,
            store_ttl=cache.store_ttl,
            pod=self._pod,
        )
        self.fleet = RedisTokenStore(values)
        self._shared: LeasedSource | None = None

        # Without keys the store would show client secrets, which live longer than tokens: they stay in the pods.
        self.credential_store: CredentialStore = (
            RedisCredentialStore(values) if settings.encryption_keys else NoCredentialStore()
        )
        self.credentials = credential_cache(
            cache, self.revocations, self.fingerprint_key, clock=clock, journal=journal
        )

    def source(self, fetcher: TokenSource) -> TokenSource:
        """Return a source that fetches under the fleet's lease, and only what the store does not have."""
        if self._shared is None:
            self._shared = LeasedSource(
                source=fetcher,
                store=self.fleet,
                revocations=self.revocations,
                clock=self._clock,
                randomness=self._randomness,
                spare=self._spare,
            )
        self._shared.set_source(fetcher)
        return self._shared

    def join(self, cache: TokenCache, name: str) -> None:
        """See Membership. Call it after the first `source`."""
        assert self._shared is not None
        self._cache = cache
        evictions = EveryCache(cache, self.credentials)
        self._receiver = receiver = MessageReceiver(
            key_prefix=self._settings.key_prefix,
            pod=self._pod,
            store_ttl=self._store_ttl,
            listen=self._listen,
            seal=self._seal,
            evictions=evictions,
            fills=self._shared,
            revocations=self.revocations,
            clock=self._clock,
            journal=self._journal,
        )
        self._bus = RedisBus(
            connect(self._settings, timeout=SILENCE, name=self._client_name),
            redis=self._redis,
            receiver=receiver,
            revocation_log=RevocationLog(
                self._redis,
                key_prefix=self._settings.key_prefix,
                clock=self._clock,
                life=max(REVOKED_FOR, receiver.memory),
            ),
            answers=SelectAnswers(
                self._redis,
                key_prefix=self._settings.key_prefix,
                pod=self._pod,
                name=messages.name(name) or self._pod,
                seal=self._seal,
                clock=self._clock,
            ),
            evictions=evictions,
            store=self.fleet,
            seal=self._seal,
            clock=self._clock,
            randomness=self._randomness,
            journal=self._journal,
            pod=self._pod,
        )

    def _spare(self, request: TokenRequest) -> Token | None:
        return self._cache.spare(request)

    async def open(self) -> None:
        """Connect to Redis."""
        await self._redis.open()

    async def run(self) -> None:
        """Receive the other pods' messages until cancelled."""
        if not self._settings.encryption_keys:
            self._journal.tell(Unencrypted())
        await self._bus.run()

    async def bust(self, selector: Labels) -> SelectOutcome | BustFailure:
        """See Membership."""
        return await self._bus.publish(selector)

    def readings(self) -> FleetReadings:
        """See Membership."""
        leases = self._shared.leases if self._shared is not None else {}
        asked = dict.fromkeys(product(OPERATIONS, ("ok", "failed", "skipped")), 0) | self._redis.operations
        counts = self._receiver.rejections.counts
        rejected = {**counts, **{reason: 0 for reason in get_args(Rejection) if reason not in counts}}
        return FleetReadings(self._redis.up, asked, self._bus.up, dict(leases), rejected)

    def health(self) -> Mapping[NeighbourKind, Health]:
        """See Membership."""
        return {"store": self._redis.pulse.health, "bus": self._bus.pulse.health}

    async def close(self) -> None:
        """Close every connection."""
        await self.credentials.close()
        await self._bus.close()
        await self._redis.close()


def _seal(settings: RedisSettings, randomness: Randomness) -> Seal:
    if not settings.encryption_keys:
        return NoSeal()
    keys = [
        (each.id, _key(f"redis.encryption_keys[{index}]", each.key))
        for index, each in enumerate(settings.encryption_keys)
    ]
    return AesSeal(keys, randomness)


def _key(path: str, where: SecretRef) -> bytes:
    """Return a key that existed when the configuration was checked."""
    try:
        return base64.b64decode(read_secret(where).reveal(), validate=True)
    except (OSError, ValueError):
        raise ConfigError((Fault("start", path, "the key cannot be read any more"),)) from None
