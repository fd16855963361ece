"""From an entry of `tokens` and its credentials as written to the token request that is meant."""

from collections.abc import Mapping

from sidecar.config import leaves
from sidecar.config.asking import Credentials
from sidecar.config.asking import PrivateKey as PrivateKeyEntry
from sidecar.config.leaves import Reference
from sidecar.config.rules import variable
from sidecar.config.tokens import Assertion as AssertionEntry
from sidecar.config.tokens import Presented as PresentedEntry
from sidecar.config.tokens import TokenEntry
from sidecar.config.tokens import Verification as VerificationEntry
from sidecar.config.yaml_file import file_text
from sidecar.core import subjects
from sidecar.core.errors import ConfigError, Fault
from sidecar.core.grants import token_type
from sidecar.core.keys import PrivateKey, Verification
from sidecar.core.secret import Secret, SecretFile, SecretRef
from sidecar.core.tls import Tls
from sidecar.core.token import Assertion, FromRequest, Presented, TokenRequest
from sidecar.files import SECRET_LIMIT


def token_request(
    name: str, entry: TokenEntry, credentials: Credentials, environ: Mapping[str, str]
) -> TokenRequest:
    """Return the request. Raises ConfigError when a presented token, checked a moment ago, is gone."""
    key = credentials.private_key
    return TokenRequest(
        name=name,
        credentials=entry.credentials,
        service=credentials.service or entry.credentials,
        token_endpoint=entry.token_endpoint or "",
        issuer=entry.issuer or "",
        tls=tls(entry.tls),
        client=_client(credentials),
        grant=entry.grant,
        client_auth=entry.client_auth,
        scope=entry.scope,
        audience=entry.audience,
        resource=entry.resource,
        parameters=tuple(entry.parameters.items()),
        private_key=_private_key(key, environ) if key else None,
        assertion_file=credentials.assertion_file or "",
        assertion_audience=entry.assertion_audience or "",
        subject=_presented(entry.subject) if entry.subject else None,
        actor=_presented(entry.actor) if entry.actor else None,
        requested_token_type=token_type(entry.requested_token_type or ""),
        assertion=_assertion(entry.assertion) if entry.assertion else None,
    )


def reference(entry: Reference, environ: Mapping[str, str]) -> SecretRef:
    """Return where the secret is, or what it is if it is in the environment."""
    return SecretFile(entry.file) if entry.file else Secret(variable(environ, entry.env or ""))


def tls(entry: leaves.Tls) -> Tls:
    """Return the same for core."""
    return Tls(entry.ca_file or "", entry.certificate_file or "", entry.key_file or "")


def _client(entry: Credentials) -> str:
    """Tell these credentials from others of the same name, which another deployment on the same Redis may have."""
    aws = entry.aws_secret
    if aws is not None:
        return ascii(["aws", aws.id, aws.region, aws.endpoint, aws.stage, aws.pointer])
    return ascii(["file", entry.file] if entry.file else ["id", entry.client_id])


def _private_key(entry: PrivateKeyEntry, environ: Mapping[str, str]) -> PrivateKey:
    return PrivateKey(
        where=reference(entry, environ),
        passphrase=reference(entry.passphrase, environ) if entry.passphrase else None,
        algorithm=entry.algorithm,
        kid=entry.kid or "",
        certificate_file=entry.certificate_file or "",
    )


def _presented(entry: PresentedEntry) -> Presented:
    kind = token_type(entry.type or "access_token")
    if entry.header:
        rule = _verification(entry.verify) if entry.verify else None
        return Presented(FromRequest(entry.header.lower().encode(), rule), "", kind)
    path = entry.file or ""
    try:
        identity = subjects.identity(file_text(path, SECRET_LIMIT).rstrip("\r\n"))
    except ValueError as error:
        raise ConfigError((Fault(path, "", str(error)),)) from None
    return Presented(SecretFile(path), identity, kind)


def _verification(entry: VerificationEntry) -> Verification:
    jwks_uri = entry.jwks_uri or ""
    return Verification(entry.issuer, entry.audience, jwks_uri, entry.algorithms, tls(entry.tls))


def _assertion(entry: AssertionEntry) -> Assertion:
    claims = tuple(entry.claims.items())
    return Assertion(entry.issuer or "", entry.subject or "", entry.audience or "", claims)
