"""Credentials for an authorization server, and their places in the configuration."""

from collections.abc import Mapping
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
    """Whether their source has others as the current ones: use these only while a secret rotates."""

    def same_as(self, others: "Credentials") -> bool:
        """Return whether both have the same content, whenever they were read."""
        return (self.client_id, self.client_secret) == (others.client_id, others.client_secret)


@dataclass(frozen=True, slots=True)
class CredentialKey:
    """The tenant, the service and the source of credentials."""

    service: str
    tenant: str
    """"" if there is none."""
    origin: str
    """The source's place in the configuration; credentials from another place are others."""

    @property
    def text(self) -> str:
        """Return the cache key: `tenant:{tenant}:m2m:{service}:credentials`."""
        owner = f"tenant:{self.tenant}:" if self.tenant else ""
        return f"{owner}m2m:{self.service}:credentials"

    @property
    def place(self) -> str:
        """Return the key with the source of its credentials."""
        return f"{self.text} {self.origin}"

    @property
    def labels(self) -> Labels:
        """Return the labels that select the credentials."""
        tenant = {("tenant", self.tenant)} if self.tenant else set()
        return frozenset({("service", self.service), *tenant})


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """The store's reply about a key."""

    credentials: Credentials | None = None
    generation: int | None = None
    """Generation of the key, increased by each bust; None if the store is unavailable."""


@dataclass(frozen=True, slots=True)
class FixedCredentials:
    """Both parts as values from the configuration or the environment; they change only with it."""

    client_id: str
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class VariableCredentials:
    """A client id in the configuration, and the secret of each tenant in an environment variable of its own."""

    client_id: str
    variable: str
    """The variable's name, with `{tenant}` in it."""
    found: Mapping[str, Secret]
    """Content of each variable that has such a name, by tenant, not checked yet."""


@dataclass(frozen=True, slots=True)
class SecretFileCredentials:
    """A client id in the configuration, and its secret in a file of its own (as a mounted secret's key)."""

    client_id: str
    client_secret_file: str
    """`{tenant}` in it stands for the tenant."""


@dataclass(frozen=True, slots=True)
class FileCredentials:
    """Both parts in one JSON file: `client_id` or `clientId`, `client_secret` or `clientSecret`."""

    file: str
    """`{tenant}` in it stands for the tenant."""


@dataclass(frozen=True, slots=True)
class AwsSecretCredentials:
    """Both parts in one JSON secret of AWS Secrets Manager."""

    id: str
    """The secret's name or ARN; `{service}` and `{tenant}` in it stand for those."""
    service: str
    region: str = ""
    """"" for the one in the ARN, else for the environment's."""
    endpoint: str = ""
    """URL of the service if it is not the region's own."""
    stage: str = "AWSCURRENT"
    """Staging label of the version."""
    pointer: str = ""
    """Place of the object with both parts in the JSON (RFC 6901)."""
    share: bool = True
    """Whether the fleet's store may keep them, sealed."""

    @property
    def origin(self) -> str:
        """See CredentialKey."""
        return " ".join((self.id, self.region, self.endpoint, self.stage, self.pointer))


LocalCredentials = FixedCredentials | VariableCredentials | SecretFileCredentials | FileCredentials
"""Credentials that the pod has itself."""
CredentialSpec = LocalCredentials | AwsSecretCredentials
"""Every kind of credentials that the configuration supports."""
