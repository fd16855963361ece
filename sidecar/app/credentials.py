"""Where the credentials of a configuration come from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.cache.credentials import CachedSource, CredentialCache
from sidecar.config.settings import CacheSettings, Config
from sidecar.core.labels import Revocations
from sidecar.core.ports import Clock, CredentialSource, CredentialStore, Journal
from sidecar.credentials.model import AwsSecretCredentials, CredentialSpec
from sidecar.credentials.sources.local import source_of
from sidecar.fleet.standalone import Unshared

if TYPE_CHECKING:
    from sidecar.credentials.sources.aws import SecretsManager


def credential_cache(
    settings: CacheSettings,
    revocations: Revocations,
    fingerprint_key: bytes,
    *,
    clock: Clock,
    journal: Journal,
) -> CredentialCache:
    """Make the cache of what secret stores give."""
    return CredentialCache(
        revocations=revocations,
        clock=clock,
        journal=journal,
        fingerprint_key=fingerprint_key,
        memory_ttl=settings.memory_ttl,
        life=settings.store_ttl,
        max_entries=settings.max_entries,
    )


class CredentialSources:
    """Makes sources. boto3, which is big, is loaded with the first secret in AWS."""

    def __init__(
        self, cache: CredentialCache, vault: CredentialStore, *, clock: Clock, journal: Journal
    ) -> None:
        """`cache` and `vault` are the two levels for secrets from far away."""
        self._cache = cache
        self._vault = vault
        self._clock = clock
        self._journal = journal
        self._secrets_manager: SecretsManager | None = None

    def of(self, config: Config) -> Mapping[str, CredentialSource]:
        """Return the source of each entry, by its name."""
        return {name: self._source(spec) for name, spec in config.credentials.items()}

    def close(self) -> None:
        """End what is open."""
        if self._secrets_manager is not None:
            self._secrets_manager.close()

    def _source(self, spec: CredentialSpec) -> CredentialSource:
        if not isinstance(spec, AwsSecretCredentials):
            return source_of(spec, self._clock)
        if self._secrets_manager is None:
            from sidecar.credentials.sources.aws import SecretsManager  # noqa: PLC0415

            self._secrets_manager = SecretsManager(self._clock, self._journal)
        return CachedSource(
            self._cache,
            self._secrets_manager.source(spec),
            service=spec.service,
            origin=spec.origin,
            store=self._vault if spec.share else Unshared(),
        )
