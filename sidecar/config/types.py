"""Types of values as written, and their settings: names, durations, paths, and references to secrets."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from sidecar.config import durations
from sidecar.config.decode import Node
from sidecar.core import foreign_text, tenants
from sidecar.core import tls as core_tls
from sidecar.core.secret import Secret, SecretFile, SecretRef
from sidecar.core.tenants import PLACE

TENANT_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*(\{tenant\}[A-Za-z0-9_]*)?$"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
SCOPE = r"^[!#-\[\]-~]+$"
KEY_PREFIX = r"^[!-z|~]{0,128}$"
SECRET_ID = r"^([A-Za-z0-9/_+=.@:-]|\{(service|tenant)\}){1,512}$"
REGION = r"^[a-z0-9-]{1,32}$"
TENANT = f"^{tenants.ID}$"
FIELD_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"
STAGE = r"^[!-~]{1,256}$"
PARAMETER = r"^[A-Za-z0-9._-]{1,64}$"


def text(check: str, pattern: str = "", **more: str) -> Meta:
    """Mark a string that must pass the rule `check`; editors use the pattern, users read the rule's text."""
    return Meta(extra={"check": check}, extra_json_schema={"pattern": pattern, **more} if pattern else more)


RESTART = Meta(extra={"restart": True})
"""Mark a key, or a section with all its keys, that a reload cannot change."""

Name = Annotated[str, text("name", NAME)]
Text = Annotated[str, text("text", r"\S")]
Duration = Annotated[str, text("duration", durations.DURATION)]
Span = Annotated[str, text("span", durations.DURATION)]
Share = Annotated[str, text("share", durations.SHARE)]
FilePath = Annotated[str, text("file", r"^[^\0]+$")]
DocumentPath = Annotated[str, text("document_file", r"^[^\0]+$")]
"""A path of JSON or PEM, as large as a secret; `SecretPath` is that of a single value."""
SecretPath = Annotated[str, text("secret_file", r"^[^\0]+$")]
TenantDocumentPath = Annotated[str, text("tenant_document_file", r"^[^\0]+$")]
TenantSecretPath = Annotated[str, text("tenant_secret_file", r"^[^\0]+$")]
"""Such paths, in which `{tenant}` stands for the tenant."""
Variable = Annotated[str, text("variable", ENVIRONMENT_NAME)]
Scope = Annotated[str, text("scope", SCOPE)]


class Reference(Node, frozen=True, kw_only=True):
    """Location of a secret: a file or an environment variable. Never write the secret itself here."""

    one_of: ClassVar[tuple[str, ...]] = ("file", "env")
    secretive: ClassVar[bool] = True
    instead: ClassVar[str] = "a secret is never written here; give its location: {file: /path} or {env: NAME}"

    file: Annotated[SecretPath | None, Meta(description="File that holds only the secret.")] = None
    env: Annotated[Variable | None, Meta(description="Environment variable that holds the secret.")] = None


class TenantReference(Reference, frozen=True, kw_only=True):
    """Location of a secret, which each tenant may have at a place of its own. Never write the secret itself here."""

    file: Annotated[
        str | None,
        text("tenant_secret_file", r"^[^\0]+$"),
        Meta(description="File that holds only the secret. `{tenant}` is replaced by the tenant."),
    ] = None
    env: Annotated[
        str | None,
        text("tenant_variable", TENANT_VARIABLE),
        Meta(
            description="Environment variable that holds the secret. `{tenant}`, once and not at the beginning, is "
            "replaced by the tenant."
        ),
    ] = None


class KeyReference(Reference, frozen=True, kw_only=True):
    """Location of an encryption key, 32 bytes in base64. Never write the key itself here."""

    instead: ClassVar[str] = "a key is never written here; give its location: {file: /path} or {env: NAME}"

    file: Annotated[
        str | None,
        text("key_file", r"^[^\0]+$"),
        Meta(description="File that holds only the key. The sidecar reads it at start."),
    ] = None
    env: Annotated[
        str | None,
        text("key_variable", ENVIRONMENT_NAME),
        Meta(description="Environment variable that holds the key."),
    ] = None


class BearerReference(Reference, frozen=True, kw_only=True):
    """Location of a bearer token. Never write the token itself here."""

    file: Annotated[
        str | None,
        text("bearer_file", r"^[^\0]+$"),
        Meta(
            description="File that holds only the token, 16 to 4096 characters. The sidecar reads it at each request."
        ),
    ] = None
    env: Annotated[
        str | None,
        text("bearer_variable", ENVIRONMENT_NAME),
        Meta(description="Environment variable that holds the token."),
    ] = None


class Tls(Node, frozen=True, kw_only=True):
    """TLS towards a server: trusted authorities and the client certificate. Rotated files are read again."""

    needs: ClassVar[Mapping[str, str]] = {"key_file": "certificate_file"}

    ca_file: Annotated[
        FilePath | None,
        Meta(description="Certificate authorities to trust (PEM). Unset: the system's authorities."),
    ] = None
    certificate_file: Annotated[
        FilePath | None,
        Meta(description="Client certificate chain (PEM). Unset: no client certificate is sent."),
    ] = None
    key_file: Annotated[
        FilePath | None,
        Meta(description="Key of the client certificate (PEM). Unset: the key is in `certificate_file`."),
    ] = None


def like(pattern: str, reason: str, text: str) -> None:
    """Raise ValueError with the reason unless the whole text matches the pattern."""
    if not re.fullmatch(pattern, text):
        raise ValueError(reason)


def refuse_place(text: str) -> None:
    """Raise ValueError for a path or a variable's name with `{tenant}` at a key where nothing replaces it."""
    if PLACE in text:
        raise ValueError(
            f"{PLACE} is not replaced here, only in file, assertion_file, client_secret and the files of private_key "
            "of an entry of credentials: write the path or the name itself"
        )


def variable(environ: Mapping[str, str], name: str, *, multiline: bool = False) -> str:
    """Return the value of an environment variable. Raises ValueError if it has no usable one."""
    refuse_place(name)
    like(ENVIRONMENT_NAME, "write the name of an environment variable, not the secret itself", name)
    given = environ.get(name, "")
    if not given.strip():
        raise ValueError(f"the environment variable {name} is not set, or is empty")
    try:
        return foreign_text.document(given) if multiline else foreign_text.value(given)
    except ValueError as error:
        raise ValueError(f"the environment variable {name} cannot be used: {error}") from None


def reference(entry: Reference, environ: Mapping[str, str], *, multiline: bool = False) -> SecretRef:
    """Return the place of the secret, or its value if it is in the environment."""
    if entry.file:
        return SecretFile(entry.file, multiline)
    return Secret(variable(environ, entry.env or "", multiline=multiline))


def secret(entry: Reference | None, environ: Mapping[str, str]) -> SecretRef | None:
    """Return the same, None if the reference is absent."""
    return reference(entry, environ) if entry else None


def tls(entry: Tls) -> core_tls.Tls:
    """Return the settings for core."""
    return core_tls.Tls(entry.ca_file or "", entry.certificate_file or "", entry.key_file or "")
