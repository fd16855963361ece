"""What authenticates us to an authorization server, and where the configuration says to find it."""

from dataclasses import dataclass

from sidecar.core.labels import Labels
from sidecar.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client id and its secret, and when they were read from their source (epoch seconds)."""

    client_id: str
    client_secret: Secret
    read_at: float
    interim: bool = False
    """Whether their source has others as the current ones: worth a try while a secret rotates, no more."""

    def same_as(self, others: "Credentials") -> bool:
        """Return whether both say the same, whenever they were read."""
        return (self.client_id, self.client_secret) == (others.client_id, others.client_secret)


@dataclass(frozen=True, slots=True)
class CredentialKey:
    """Whose credentials, for what, and where they come from."""

    service: str
    tenant: str
    """"" where there is none."""
    origin: str
    """Names the place in the configuration's words; what came from another place is not the same."""

    @property
    def text(self) -> str:
        """The cache key: `tenant:{tenant}:m2m:{service}:credentials`."""
        owner = f"tenant:{self.tenant}:" if self.tenant else ""
        return f"{owner}m2m:{self.service}:credentials"

    @property
    def place(self) -> str:
        """Names the key and where its credentials come from."""
        return f"{self.text} {self.origin}"

    @property
    def labels(self) -> Labels:
        """What the credentials can be selected by."""
        tenant = {("tenant", self.tenant)} if self.tenant else set()
        return frozenset({("service", self.service), *tenant})


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """What the store says of a key."""

    credentials: Credentials | None = None
    generation: int | None = None
    """Of the key, moved on by each bust; None while nobody can be asked."""


@dataclass(frozen=True, slots=True)
class FixedCredentials:
    """Both parts written into the configuration or the environment; they change only with it."""

    client_id: str
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class SecretFileCredentials:
    """A client id in the configuration, its secret alone in a file (as a mounted secret's key)."""

    client_id: str
    client_secret_file: str


@dataclass(frozen=True, slots=True)
class FileCredentials:
    """Both parts in one JSON file: `client_id` or `clientId`, `client_secret` or `clientSecret`."""

    file: str


@dataclass(frozen=True, slots=True)
class AwsSecretCredentials:
    """Both parts in one JSON secret of AWS Secrets Manager."""

    id: str
    """The secret's name or ARN; `{service}` and `{tenant}` in it stand for those."""
    service: str
    region: str = ""
    """"" for the one the ARN names, else for what the environment says."""
    endpoint: str = ""
    """URL of the service where it is not the region's own."""
    stage: str = "AWSCURRENT"
    """Which version."""
    pointer: str = ""
    """Where in the JSON the object with both parts is (RFC 6901)."""
    share: bool = True
    """Whether the fleet's store may keep them, sealed."""

    @property
    def origin(self) -> str:
        """See CredentialKey."""
        return " ".join((self.id, self.region, self.endpoint, self.stage, self.pointer))


LocalCredentials = FixedCredentials | SecretFileCredentials | FileCredentials
"""What the pod has itself."""
CredentialSpec = LocalCredentials | AwsSecretCredentials
"""Every way of giving credentials that the configuration knows."""
