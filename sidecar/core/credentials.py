"""What authenticates us to an authorization server, and where the configuration says to find it."""

from dataclasses import dataclass

from sidecar.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client id and its secret, and when they were read from their source (epoch seconds)."""

    client_id: str
    client_secret: Secret
    read_at: float


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
    """The secret's name or ARN; `{service}` in it stands for the service."""
    service: str
    region: str = ""
    """"" for the one the ARN names, else for what the environment says."""
    endpoint: str = ""
    """URL of the service where it is not the region's own."""
    stage: str = "AWSCURRENT"
    """Which version."""
    pointer: str = ""
    """Where in the JSON the object with both parts is (RFC 6901)."""


LocalCredentials = FixedCredentials | SecretFileCredentials | FileCredentials
"""What the pod has itself."""
CredentialSpec = LocalCredentials | AwsSecretCredentials
"""Every way of giving credentials that the configuration knows."""
