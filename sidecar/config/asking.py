"""Whom to ask for tokens, as whom and for what: the file's `credentials` and `tokens`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from sidecar.config.examine import Node
from sidecar.config.leaves import REGION, SECRET_ID, STAGE, FilePath, Name, Reference, Scope, Text, text


class AwsSecret(Node, frozen=True, kw_only=True):
    """A secret in AWS Secrets Manager; who may read it is the ordinary AWS credential chain's business."""

    id: Annotated[
        str,
        text("secret_id", SECRET_ID),
        Meta(description="Name or ARN of the secret; `{service}` in it stands for the service."),
    ]
    region: Annotated[
        str | None,
        text("region", REGION),
        Meta(description="Absent: the one in the ARN, else the environment's."),
    ] = None
    endpoint: Annotated[
        str | None,
        text("secret_endpoint", "^https?://", format="uri"),
        Meta(description="URL of the service where it is not the region's own; https, but for loopback."),
    ] = None
    stage: Annotated[
        str,
        text("stage", STAGE),
        Meta(description="Which version. While the secret rotates, only AWSCURRENT gives way to another."),
    ] = "AWSCURRENT"
    pointer: Annotated[
        str,
        text("pointer", "^(/.*)?$"),
        Meta(description="JSON pointer (RFC 6901) to the object with id and secret. Absent: the whole."),
    ] = ""


class Credentials(Node, frozen=True, kw_only=True):
    """What authenticates us to the authorization server: a client id and secret, or JSON with both."""

    one_of: ClassVar[tuple[str, ...]] = ("aws_secret", "file", "client_id")
    needs: ClassVar[Mapping[str, str]] = {"client_secret": "client_id", "share": "aws_secret"}

    client_id: Annotated[Text | None, Meta(description="OAuth client id.")] = None
    client_secret: Annotated[
        Reference | None, Meta(description="OAuth client secret. Absent only for `client_auth: none`.")
    ] = None
    file: Annotated[
        FilePath | None,
        Meta(description="JSON file with `client_id` and `client_secret` (or `clientId`, `clientSecret`)."),
    ] = None
    aws_secret: Annotated[
        AwsSecret | None, Meta(description="Secret in AWS Secrets Manager with the same JSON.")
    ] = None
    share: Annotated[
        bool, Meta(description="Whether all pods share them, sealed, in Redis. `false`: each reads its own.")
    ] = True
    service: Annotated[
        Name | None,
        Meta(description="Name of the service in cache keys and metrics. Default: the entry's name."),
    ] = None


class TokenEntry(Node, frozen=True, kw_only=True):
    """One token request: whom to ask, as whom, for what."""

    grant: Annotated[
        Literal["client_credentials"], Meta(description="OAuth grant (RFC 6749 section 4.4).")
    ] = "client_credentials"
    token_endpoint: Annotated[
        str,
        text("token_endpoint", "^https?://", format="uri"),
        Meta(description="URL of the authorization server's token endpoint; https, but for loopback."),
    ]
    client_auth: Annotated[
        Literal["client_secret_basic", "client_secret_post", "none"],
        Meta(description="How we authenticate: in a Basic field, in the form, or with the client id only."),
    ] = "client_secret_basic"
    credentials: Annotated[Name, Meta(description="Which entry of `credentials` to use.")]
    scope: Annotated[tuple[Scope, ...], Meta(description="Scopes to ask for.")] = ()
    audience: Annotated[str, Meta(description="Audience to ask for, as some servers want it.")] = ""
    resource: Annotated[
        tuple[Annotated[str, text("resource", format="uri")], ...],
        Meta(description="Resource indicators to ask for (RFC 8707)."),
    ] = ()
