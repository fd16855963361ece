"""Sources of a configuration's credentials."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sidecar.cache.credentials import CachedSource, CredentialCache
from sidecar.cache.ports import CredentialStore
from sidecar.config.settings import Config
from sidecar.core.ports import Clock
from sidecar.credentials.model import AwsSecretCredentials, CredentialKey, CredentialSpec
from sidecar.credentials.ports import CredentialSource
from sidecar.credentials.sources.local import source_of
from sidecar.fleet.standalone import NoCredentialStore
from sidecar.telemetry.ports import Journal

if TYPE_CHECKING:
    from sidecar.credentials.sources.aws import SecretsManager


class CredentialSources:
    """Make sources. boto3, which is large, is loaded with the first secret in AWS."""

    def __init__(
        self, cache: CredentialCache, credential_store: CredentialStore, *, clock: Clock, journal: Journal
    ) -> None:
        """Take `cache` and `credential_store`, the two levels for remote secrets."""
        self._cache = cache
        self._credential_store = credential_store
        self._clock = clock
        self._journal = journal
        self._secrets_manager: SecretsManager | None = None

    def of(self, config: Config) -> Mapping[str, CredentialSource]:
        """Return the source of each entry, by the entry's name."""
        return {name: self._source(spec) for name, spec in config.credentials.items()}

    def configure(self, config: Config) -> Iterator[None]:
        """Drop what this configuration does not need, in short steps."""
        tokens = config.templates
        specs = (config.credentials.get(token.credentials) for token in tokens)
        places = {(spec.service, spec.origin) for spec in specs if isinstance(spec, AwsSecretCredentials)}
        fixed, rule = {token.tenant for token in tokens}, config.tenants

        def needed(key: CredentialKey) -> bool:
            served = key.tenant in fixed if rule is None else rule.serves(key.tenant)
            return served and (key.service, key.origin) in places

        yield from self._cache.configure(needed)

    def close(self) -> None:
        """Close what is open."""
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
            store=self._credential_store if spec.share else NoCredentialStore(),
        )
