"""What to ask an authorization server for, and how: the file's `tokens`."""

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
_TYPES = "`access_token`, `refresh_token`, `id_token`, `saml1`, `saml2`, `jwt`, or any URI"


class Verification(Node, frozen=True, kw_only=True):
    """What a token that a request brings must be, before anybody is asked about it."""

    issuer: Annotated[
        str, text("issuer", "^https?://", format="uri"), Meta(description="Its `iss`, to the letter.")
    ]
    audience: Annotated[Text, Meta(description="Its `aud`, or one of them.")]
    jwks_uri: Annotated[
        str | None,
        text("token_endpoint", "^https?://", format="uri"),
        Meta(description="URL of the issuer's public keys. Absent: as its metadata says."),
    ] = None
    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(min_length=1, description="Signature algorithms that count."),
    ] = ("RS256",)
    tls: Annotated[Tls, Meta(description="How whoever publishes the keys is verified.")] = Tls()


class Presented(Node, frozen=True, kw_only=True):
    """A token that somebody else issued and that we present to get ours."""

    one_of: ClassVar[tuple[str, ...]] = ("file", "header")
    needs: ClassVar[Mapping[str, str]] = {"verify": "header"}
    secretive: ClassVar[bool] = True
    instead: ClassVar[str] = "a token is never written here: say where it is, {file: /path} or {header: Name}"

    file: Annotated[
        SecretPath | None,
        Meta(description="File that holds the token and nothing else; read for each fetch."),
    ] = None
    header: Annotated[
        str | None,
        text("field_name", FIELD_NAME),
        Meta(description="Header field in which each request brings it; the upstream does not get it."),
    ] = None
    type: Annotated[TokenType | None, Meta(description=f"What it is: {_TYPES}. Absent: `access_token`.")] = (
        None
    )
    verify: Annotated[
        Verification | None,
        Meta(description="What it must be. Absent: only the authorization server verifies it."),
    ] = None


class Assertion(Node, frozen=True, kw_only=True):
    """A JWT that we sign with the credentials' private key and present as the grant (RFC 7523)."""

    issuer: Annotated[Text | None, Meta(description="Its `iss`. Absent: the client id.")] = None
    subject: Annotated[Text | None, Meta(description="Its `sub`. Absent: the client id.")] = None
    audience: Annotated[Text | None, Meta(description="Its `aud`. Absent: as `assertion_audience`.")] = None
    claims: Annotated[dict[Parameter, Text], Meta(description="What it says besides.")] = msgspec.field(
        default_factory=dict
    )


class TokenEntry(Node, frozen=True, kw_only=True):
    """One token request: whom to ask, as whom, for what."""

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
            description="URL of the authorization server's token endpoint; https, but for loopback. "
            "`{tenant}` in it stands for that."
        ),
    ] = None
    issuer: Annotated[
        str | None,
        text("issuer", "^https?://", format="uri"),
        Meta(
            description="The authorization server's issuer, whose metadata names the token endpoint. "
            "`{tenant}` in it stands for that."
        ),
    ] = None
    tls: Annotated[Tls, Meta(description="How the authorization server is verified.")] = Tls()
    client_auth: Annotated[
        ClientAuth,
        Meta(description="How we prove who we are."),
    ] = "client_secret_basic"
    assertion_audience: Annotated[
        Text | None,
        Meta(description="`aud` of what we sign. Absent: `issuer`, else `token_endpoint`."),
    ] = None
    credentials: Annotated[Name, Meta(description="Which entry of `credentials` to use.")]
    scope: Annotated[tuple[Scope, ...], Meta(description="Scopes to ask for.")] = ()
    audience: Annotated[
        str,
        Meta(description="Audience to ask for, as some servers want it; `{tenant}` in it stands for that."),
    ] = ""
    resource: Annotated[
        tuple[Annotated[str, text("resource", format="uri")], ...],
        Meta(description="Resource indicators to ask for (RFC 8707)."),
    ] = ()
    parameters: Annotated[
        dict[Parameter, str], Meta(description="What this server wants besides, in the form.")
    ] = msgspec.field(default_factory=dict)
    subject: Annotated[
        Presented | None,
        Meta(description="The subject of an exchange, or the assertion of a jwt_bearer grant."),
    ] = None
    actor: Annotated[Presented | None, Meta(description="Who acts for the subject of an exchange.")] = None
    requested_token_type: Annotated[
        TokenType | None, Meta(description=f"What an exchange gives: {_TYPES}. Absent: the server's choice.")
    ] = None
    assertion: Annotated[
        Assertion | None, Meta(description="An assertion of our own for a jwt_bearer grant.")
    ] = None


def token_request(
    name: str, entry: TokenEntry, credentials: Credentials, environ: Mapping[str, str], read: Read
) -> token.TokenRequest:
    """Return the request. Raises ConfigError when a presented token, checked a moment ago, is gone."""
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
