"""Credentials for token requests: the file's `credentials`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from sidecar.config.decode import Node
from sidecar.config.types import (
    ENVIRONMENT_NAME,
    REGION,
    SECRET_ID,
    STAGE,
    Name,
    Reference,
    TenantDocumentPath,
    TenantReference,
    TenantSecretPath,
    Text,
    reference,
    text,
    variable,
)
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tenants import PLACE, tenant_in
from sidecar.credentials.model import (
    AwsSecretCredentials,
    CredentialSpec,
    FileCredentials,
    FixedCredentials,
    SecretFileCredentials,
    VariableCredentials,
)
from sidecar.oauth import signing_keys
from sidecar.oauth.signing_keys import Algorithm


class AwsSecret(Node, frozen=True, kw_only=True):
    """A secret in AWS Secrets Manager, read with credentials of the standard AWS credential chain."""

    id: Annotated[
        str,
        text("secret_id", SECRET_ID),
        Meta(
            description="Name or ARN of the secret, which holds the JSON described at `file`, as text or binary. "
            "`{service}` and `{tenant}` are replaced."
        ),
    ]
    region: Annotated[
        str | None,
        text("region", REGION),
        Meta(description="AWS region. Unset: the region in the ARN, else that of the environment."),
    ] = None
    endpoint: Annotated[
        str | None,
        text("secret_endpoint", "^https?://", format="uri"),
        Meta(description="URL of AWS Secrets Manager. Unset: the region's own endpoint."),
    ] = None
    stage: Annotated[
        str,
        text("stage", STAGE),
        Meta(
            description="Staging label of the version to read. With `AWSCURRENT`, a rejected version is replaced by "
            "the next or previous one while the secret rotates."
        ),
    ] = "AWSCURRENT"
    pointer: Annotated[
        str,
        text("pointer", "^(/.*)?$"),
        Meta(
            description="JSON pointer (RFC 6901) to the object with id and secret. Empty: the whole document."
        ),
    ] = ""


class Passphrase(Reference, frozen=True, kw_only=True):
    """Location of a passphrase. Never write the passphrase itself here."""

    file: Annotated[
        str | None,
        text("tenant_secret_file", r"^[^\0]+$"),
        Meta(description="File that holds only the passphrase. `{tenant}` is replaced by the tenant."),
    ] = None


class PrivateKey(Reference, frozen=True, kw_only=True):
    """Location of the key that signs client assertions, and how the authorization server identifies it."""

    instead: ClassVar[str] = "a key is never written here; give its location: {file: /path} or {env: NAME}"

    file: Annotated[
        str | None,
        text("private_key_file", r"^[^\0]+$"),
        Meta(
            description="File that holds the key, PEM or JWK. The sidecar reads it for each signature. `{tenant}` is "
            "replaced by the tenant."
        ),
    ] = None
    env: Annotated[
        str | None,
        text("private_key_variable", ENVIRONMENT_NAME),
        Meta(description="Environment variable that holds the key."),
    ] = None
    passphrase: Annotated[
        Passphrase | None,
        Meta(description="Passphrase of an encrypted PEM. Unset: the PEM is not encrypted."),
    ] = None
    algorithm: Annotated[
        Algorithm | None,
        Meta(
            description="Signature algorithm. Unset: the one in the JWK, else the usual one for the key type."
        ),
    ] = None
    kid: Annotated[
        Text | None, Meta(description="Key id in the JWT header. Unset: the one in the JWK, if any.")
    ] = None
    certificate_file: Annotated[
        TenantDocumentPath | None,
        Meta(
            description="Certificate of the key (PEM); the JWT header carries its thumbprint. `{tenant}` is replaced "
            "by the tenant. Unset: no thumbprint."
        ),
    ] = None


class Credentials(Node, frozen=True, kw_only=True):
    """Credentials for an authorization server: a client id and secret, a private key, or JSON with id and secret."""

    one_of: ClassVar[tuple[str, ...]] = ("aws_secret", "file", "client_id")
    needs: ClassVar[Mapping[str, str]] = {
        "client_secret": "client_id",
        "private_key": "client_id",
        "assertion_file": "client_id",
        "share": "aws_secret",
    }

    client_id: Annotated[Text | None, Meta(description="OAuth client id.")] = None
    client_secret: Annotated[
        TenantReference | None,
        Meta(description="OAuth client secret; a changed file is read again. Unset: there is no secret."),
    ] = None
    private_key: Annotated[
        PrivateKey | None,
        Meta(description="Key that signs client assertions. Unset: the sidecar signs none."),
    ] = None
    assertion_file: Annotated[
        TenantSecretPath | None,
        Meta(
            description="File with a client assertion that another program keeps fresh, such as a projected token. "
            "Read for each token request with `client_assertion_file`. `{tenant}` is replaced by the tenant. "
            "Unset: there is none."
        ),
    ] = None
    file: Annotated[
        TenantDocumentPath | None,
        Meta(
            description="JSON file with `client_id` and `client_secret` (or `clientId`, `clientSecret`); read again "
            "when it changes. `{tenant}` is replaced by the tenant."
        ),
    ] = None
    aws_secret: Annotated[AwsSecret | None, Meta(description="Secret in AWS Secrets Manager.")] = None
    share: Annotated[
        bool,
        Meta(
            description="All pods share the secret, encrypted, in Redis. `false`: each pod reads it from AWS."
        ),
    ] = True
    service: Annotated[
        Name | None,
        Meta(
            description="Name of the service in logs, status, Redis keys and busts, and `{service}` in a secret's "
            "`id`. Unset: the entry's name."
        ),
    ] = None


def spec(name: str, entry: Credentials, environ: Mapping[str, str]) -> CredentialSpec:
    """Return the settings of an entry of `credentials`."""
    if entry.aws_secret:
        return _aws_secret(entry.aws_secret, entry.service or name, share=entry.share)
    if entry.file:
        return FileCredentials(entry.file)
    client_id = entry.client_id or ""
    if entry.client_secret is None:
        return FixedCredentials(client_id, Secret(""))
    if entry.client_secret.file:
        return SecretFileCredentials(client_id, entry.client_secret.file)
    name = entry.client_secret.env or ""
    if PLACE in name:
        return VariableCredentials(client_id, name, _by_tenant(name, environ))
    return FixedCredentials(client_id, Secret(variable(environ, name)))


def _by_tenant(template: str, environ: Mapping[str, str]) -> Mapping[str, Secret]:
    found = ((tenant_in(template, name), value) for name, value in environ.items())
    return {tenant: Secret(value) for tenant, value in found if tenant}


def _aws_secret(entry: AwsSecret, service: str, *, share: bool) -> AwsSecretCredentials:
    return AwsSecretCredentials(
        id=entry.id,
        service=service,
        region=entry.region or "",
        endpoint=entry.endpoint or "",
        stage=entry.stage,
        pointer=entry.pointer,
        share=share,
    )


def private_key(entry: PrivateKey, environ: Mapping[str, str]) -> signing_keys.PrivateKey:
    """Return the key that signs our assertions."""
    return signing_keys.PrivateKey(
        where=reference(entry, environ, multiline=True),
        passphrase=reference(entry.passphrase, environ) if entry.passphrase else None,
        algorithm=entry.algorithm,
        kid=entry.kid or "",
        certificate_file=entry.certificate_file or "",
    )


def of_tenants(entry: PrivateKey) -> bool:
    """Return whether a part of the key is in a file of each tenant, so that it cannot be read before a request."""
    places = (entry.file, entry.certificate_file, entry.passphrase.file if entry.passphrase else None)
    return any(PLACE in (place or "") for place in places)


def templates(name: str, entry: Credentials) -> Iterator[tuple[str, str]]:
    """Return the values in which `{tenant}` is replaced, with their paths."""
    path, key = f"credentials.{name}", entry.private_key
    yield f"{path}.aws_secret.id", entry.aws_secret.id if entry.aws_secret is not None else ""
    yield f"{path}.file", entry.file or ""
    yield f"{path}.assertion_file", entry.assertion_file or ""
    if entry.client_secret is not None:
        yield f"{path}.client_secret.file", entry.client_secret.file or ""
        yield f"{path}.client_secret.env", entry.client_secret.env or ""
    if key is not None:
        yield f"{path}.private_key.file", key.file or ""
        yield f"{path}.private_key.certificate_file", key.certificate_file or ""
        yield f"{path}.private_key.passphrase.file", (key.passphrase.file if key.passphrase else "") or ""


def private_key_fault(environ: Mapping[str, str], entry: PrivateKey) -> str:
    """Read the key as the signer does. Return the reason it cannot sign, "" if it can."""
    from sidecar.credentials.sources.secret_files import read_secret  # noqa: PLC0415  brings asyncio
    from sidecar.oauth.jwt.private_keys import prepare  # noqa: PLC0415  brings PyJWT and cryptography

    certificate = SecretFile(entry.certificate_file, multiline=True) if entry.certificate_file else None
    try:
        key = signing_keys.SigningKey(
            text=read_secret(reference(entry, environ, multiline=True)),
            passphrase=read_secret(reference(entry.passphrase, environ)) if entry.passphrase else None,
            algorithm=entry.algorithm,
            kid=entry.kid or "",  # makes it the signer's key, so that it is read once
            certificate=read_secret(certificate).reveal() if certificate else "",
        )
        prepare(key)
    except OSError as error:
        return f"cannot be read: {error.strerror}; check the path and its permissions"
    except ValueError as error:
        return f"cannot be used: {error}"
    return ""


def client(entry: Credentials) -> str:
    """Return an id that separates these credentials from others of the same name on the same Redis."""
    aws = entry.aws_secret
    if aws is not None:
        return ascii(["aws", aws.id, aws.region, aws.endpoint, aws.stage, aws.pointer])
    return ascii(["file", entry.file] if entry.file else ["id", entry.client_id])
