"""The file's `tokens`: which tokens to request from an authorization server, and how."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from sidecar.config.credentials import Credentials, client, private_key
from sidecar.config.decode import Node
from sidecar.config.types import FIELD_NAME, PARAMETER, Name, Scope, SecretPath, Text, Tls, text, tls
from sidecar.config.yaml_file import Read, file_value
from sidecar.core.errors import ConfigError, Fault
from sidecar.core.secret import SecretFile
from sidecar.oauth import signing_keys, subject_token, token
from sidecar.oauth.request_form import token_type
from sidecar.oauth.signing_keys import Algorithm
from sidecar.oauth.token import ClientAuth, Grant

Parameter = Annotated[str, text("parameter", PARAMETER)]
TokenType = Annotated[str, text("token_type", r"^\S+$")]
_TYPES = "`access_token`, `refresh_token`, `id_token`, `saml1`, `saml2`, `jwt` or a URI"


class Verification(Node, frozen=True, kw_only=True):
    """Rules that the sidecar applies to a caller's token before it sends it to an authorization server."""

    issuer: Annotated[
        str,
        text("issuer", "^https?://", format="uri"),
        Meta(description="Required `iss` claim; compared exactly."),
    ]
    audience: Annotated[Text, Meta(description="Required `aud` claim, or a member of it.")]
    jwks_uri: Annotated[
        str | None,
        text("token_endpoint", "^https?://", format="uri"),
        Meta(description="URL of the issuer's public keys. Unset: the one in the issuer's metadata."),
    ] = None
    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(min_length=1, description="Accepted signature algorithms."),
    ] = ("RS256",)
    tls: Annotated[Tls, Meta(description="TLS to the server of the issuer's metadata and keys.")] = Tls()


class Presented(Node, frozen=True, kw_only=True):
    """A token from another issuer that the sidecar sends to the authorization server."""

    one_of: ClassVar[tuple[str, ...]] = ("file", "header")
    needs: ClassVar[Mapping[str, str]] = {"verify": "header"}
    secretive: ClassVar[bool] = True
    instead: ClassVar[str] = (
        "a token is never written here; give its location: {file: /path} or {header: Name}"
    )

    file: Annotated[
        SecretPath | None,
        Meta(description="File that holds only the token; read for each token request."),
    ] = None
    header: Annotated[
        str | None,
        text("field_name", FIELD_NAME),
        Meta(
            description="Header field of each request that holds the token, with or without `Bearer`. The upstream "
            "receives neither this field nor one whose name differs only in punctuation."
        ),
    ] = None
    type: Annotated[
        TokenType | None, Meta(description=f"Token type in an exchange: {_TYPES}. Unset: `access_token`.")
    ] = None
    verify: Annotated[
        Verification | None,
        Meta(
            description="Verification by the sidecar. Unset: only the authorization server verifies the token."
        ),
    ] = None


class Assertion(Node, frozen=True, kw_only=True):
    """A JWT that the sidecar signs with the credentials' private key and sends as the grant (RFC 7523)."""

    issuer: Annotated[Text | None, Meta(description="`iss` of the assertion. Unset: the client id.")] = None
    subject: Annotated[Text | None, Meta(description="`sub` of the assertion. Unset: the client id.")] = None
    audience: Annotated[
        Text | None, Meta(description="`aud` of the assertion. Unset: `assertion_audience`.")
    ] = None
    claims: Annotated[dict[Parameter, Text], Meta(description="Further claims of the assertion.")] = (
        msgspec.field(default_factory=dict)
    )


class TokenEntry(Node, frozen=True, kw_only=True):
    """One token request: authorization server, credentials and parameters."""

    one_of: ClassVar[tuple[str, ...]] = ("token_endpoint", "issuer")
    needs: ClassVar[Mapping[str, str]] = {"actor": "subject"}

    grant: Annotated[
        Grant,
        Meta(description="OAuth grant (RFC 6749 section 4.4, RFC 8693, RFC 7523)."),
    ] = "client_credentials"
    token_endpoint: Annotated[
        str | None,
        text("token_endpoint", "^https?://", format="uri"),
        Meta(
            description="URL of the token endpoint. `{tenant}` is replaced by the tenant; in the host only with "
            "`tenant.allow`."
        ),
    ] = None
    issuer: Annotated[
        str | None,
        text("issuer", "^https?://", format="uri"),
        Meta(
            description="Issuer of the authorization server, compared exactly; its metadata names the token endpoint."
            " `{tenant}` is replaced by the tenant."
        ),
    ] = None
    tls: Annotated[Tls, Meta(description="TLS to the authorization server.")] = Tls()
    client_auth: Annotated[
        ClientAuth,
        Meta(description="Client authentication at the token endpoint."),
    ] = "client_secret_basic"
    assertion_audience: Annotated[
        Text | None,
        Meta(description="`aud` of signed assertions. Unset: `issuer`, else `token_endpoint`."),
    ] = None
    credentials: Annotated[Name, Meta(description="Name of the entry in `credentials` to use.")]
    scope: Annotated[tuple[Scope, ...], Meta(description="Scopes to request, one per entry.")] = ()
    audience: Annotated[
        str,
        Meta(
            description="`audience` parameter, which some servers require. `{tenant}` is replaced by the tenant. "
            "Empty: the parameter is not sent."
        ),
    ] = ""
    resource: Annotated[
        tuple[Annotated[str, text("resource", format="uri")], ...],
        Meta(description="Resource indicators to request (RFC 8707)."),
    ] = ()
    parameters: Annotated[
        dict[Parameter, str],
        Meta(
            description="Further form parameters that this server requires; those that the sidecar writes itself are "
            "refused."
        ),
    ] = msgspec.field(default_factory=dict)
    subject: Annotated[
        Presented | None,
        Meta(
            description="Subject token of a `token_exchange`, or assertion of a `jwt_bearer` grant. Unset: no such "
            "token is sent."
        ),
    ] = None
    actor: Annotated[
        Presented | None,
        Meta(
            description="Actor token of a `token_exchange`: the party that acts for the subject. Unset: no actor "
            "token is sent."
        ),
    ] = None
    requested_token_type: Annotated[
        TokenType | None,
        Meta(
            description=f"Token type that a `token_exchange` requests: {_TYPES}. Unset: the server chooses."
        ),
    ] = None
    assertion: Annotated[
        Assertion | None,
        Meta(
            description="Assertion that the sidecar signs for a `jwt_bearer` grant. Unset: `subject` holds the "
            "assertion."
        ),
    ] = None


def token_request(
    name: str, entry: TokenEntry, credentials: Credentials, environ: Mapping[str, str], read: Read
) -> token.TokenRequest:
    """Return the request. Raises ConfigError if a presented token, which was checked before, no longer exists."""
    key = credentials.private_key
    return token.TokenRequest(
        name=name,
        credentials=entry.credentials,
        service=credentials.service or entry.credentials,
        token_endpoint=entry.token_endpoint or "",
        issuer=entry.issuer or "",
        tls=tls(entry.tls),
        client=client(credentials),
        grant=entry.grant,
        client_auth=entry.client_auth,
        scope=entry.scope,
        audience=entry.audience,
        resource=entry.resource,
        parameters=tuple(entry.parameters.items()),
        private_key=private_key(key, environ) if key else None,
        assertion_file=credentials.assertion_file or "",
        assertion_audience=entry.assertion_audience or "",
        subject=_presented(entry.subject, read) if entry.subject else None,
        actor=_presented(entry.actor, read) if entry.actor else None,
        requested_token_type=token_type(entry.requested_token_type or ""),
        assertion=_assertion(entry.assertion) if entry.assertion else None,
    )


def _presented(entry: Presented, read: Read) -> token.Presented:
    kind = token_type(entry.type or "access_token")
    if entry.header:
        rule = _verification(entry.verify) if entry.verify else None
        return token.Presented(token.FromRequest(entry.header.lower().encode(), rule), "", kind)
    path = entry.file or ""
    try:
        identity = subject_token.identity(file_value(path, read))
    except ValueError as error:
        raise ConfigError((Fault(path, "", str(error)),)) from None
    return token.Presented(SecretFile(path), identity, kind)


def _verification(entry: Verification) -> signing_keys.Verification:
    jwks_uri = entry.jwks_uri or ""
    return signing_keys.Verification(entry.issuer, entry.audience, jwks_uri, entry.algorithms, tls(entry.tls))


def _assertion(entry: Assertion) -> token.Assertion:
    claims = tuple(entry.claims.items())
    return token.Assertion(entry.issuer or "", entry.subject or "", entry.audience or "", claims)
