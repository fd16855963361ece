"""What CredentialCache keeps of a key."""

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
    """When the store is to be asked again, or the credentials have grown old."""

    @property
    def key(self) -> str:
        """The cache key."""
        return self.owner.text

    @property
    def labels(self) -> Labels:
        """What they can be selected by."""
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
    """When it is forgotten."""


@dataclass(frozen=True, slots=True)
class Look:
    """A reading of the secret store for others than refused credentials."""

    owner: CredentialKey
    until: float
    """When the next one is due."""
    interim: Credentials | None = None
    """What it found that is not current, so that memory does not hold it."""
