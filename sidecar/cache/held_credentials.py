"""Entries of CredentialCache."""

from dataclasses import dataclass

from sidecar.core.labels import Labels
from sidecar.credentials.model import CredentialKey, Credentials


@dataclass(frozen=True, slots=True)
class HeldCredentials:
    """Credentials in memory."""

    owner: CredentialKey
    credentials: Credentials
    fingerprint: str
    generation: int
    until: float
    """When the store must be read again, or the credentials are too old."""

    @property
    def key(self) -> str:
        """The cache key."""
        return self.owner.text

    @property
    def labels(self) -> Labels:
        """The labels that select them."""
        return self.owner.labels

    @property
    def began(self) -> float:
        """When they were read."""
        return self.credentials.read_at


@dataclass(frozen=True, slots=True)
class Rejected:
    """Credentials that an authorization server refused while there were others."""

    owner: CredentialKey
    credentials: Credentials
    until: float
    """When the entry expires."""


@dataclass(frozen=True, slots=True)
class Look:
    """A read of the secret store, made to replace refused credentials."""

    owner: CredentialKey
    until: float
    """When the next read is due."""
    interim: Credentials | None = None
    """Fingerprint of credentials that it found and that are not current, so memory does not hold them."""
