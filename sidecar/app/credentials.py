"""Where the credentials of a configuration come from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.adapters.credential_sources import source_of
from sidecar.core.credentials import AwsSecretCredentials, CredentialSpec
from sidecar.core.ports import Clock, CredentialSource, Journal

if TYPE_CHECKING:
    from sidecar.adapters.secrets_manager import SecretsManager


class CredentialSources:
    """Makes sources. boto3, which is big, is loaded with the first secret in AWS."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._secrets_manager: SecretsManager | None = None

    def of(self, specs: Mapping[str, CredentialSpec]) -> Mapping[str, CredentialSource]:
        """Return the source of each entry, by its name."""
        return {name: self._source(spec) for name, spec in specs.items()}

    def close(self) -> None:
        """End what is open."""
        if self._secrets_manager is not None:
            self._secrets_manager.close()

    def _source(self, spec: CredentialSpec) -> CredentialSource:
        if not isinstance(spec, AwsSecretCredentials):
            return source_of(spec, self._clock)
        if self._secrets_manager is None:
            from sidecar.adapters.secrets_manager import SecretsManager  # noqa: PLC0415

            self._secrets_manager = SecretsManager(self._clock, self._journal)
        return self._secrets_manager.source(spec)
