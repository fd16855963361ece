"""The page of what is in Redis, from the modules that write it."""

from collections.abc import Iterator
from types import ModuleType

from sidecar.credentials.model import CredentialKey
from sidecar.fleet import messages
from sidecar.fleet.redis import answers, revocation_log, scripts
from tests.support.programs.pages import docstrings
from tests.support.programs.pages.markdown import code, page, prose, table

TOKEN = "m2m:{service}:token:{digest}"
INTRODUCTION = prose(
    """Every key and channel begins with [`redis.key_prefix`](configuration.md#redis). `{service}` is the service of
    the credentials, `{tenant}` the tenant. `{digest}` is a SHA-256 of the whole token request, so token requests
    that differ in any parameter have different keys.""",
)
COMPANIONS = prose(
    f"""Each key of a token or of credentials, in braces and with a suffix, gives further keys, for example
    `{{{TOKEN}}}:gen`. The braces are part of the key: a Redis Cluster keeps all of them in one slot.""",
)
LIFETIMES = prose(
    """Every key expires. A token stays for [`cache.store_ttl`](configuration.md#cache) at most, and never past its
    own expiry; `:gen` and `:dead` stay twice as long. If the key of a token is deleted, the pods fetch it again.""",
)
ACL = prose(
    """To give the sidecars a Redis user with exactly the permissions that they need, copy the line in
    [Permit what the sidecar sends](../how-to/share-through-redis.md#permit-what-the-sidecar-sends).""",
)


def text() -> str:
    """Return the page."""
    return page(
        "Redis keys and channels",
        "`sidecar/fleet`",
        INTRODUCTION,
        "## Keys",
        table(("Key", "Content"), [(code(key), content) for key, content in _keys()]),
        "## Suffixes",
        COMPANIONS,
        table(("Suffix", "Content"), [(code(f":{name}"), what) for name, what in scripts.COMPANIONS.items()]),
        LIFETIMES,
        "## Channels",
        table(
            ("Channel", "Messages"), [(code(name), what) for name, what in _constants(messages, "_CHANNEL")]
        ),
        "## ACL",
        ACL,
    )


def _keys() -> Iterator[tuple[str, str]]:
    credentials = CredentialKey("{service}", "", "").text
    yield TOKEN, "Token, encrypted."
    yield f"tenant:{{tenant}}:{TOKEN}", "The same for a tenant."
    yield credentials, "Credentials from AWS Secrets Manager, encrypted, if `share` is not `false`."
    yield f"tenant:{{tenant}}:{credentials}", "The same for a tenant."
    yield from _constants(revocation_log, "_KEY")
    yield from _constants(answers, "_KEY")
    yield from _constants(scripts, "_KEY")


def _constants(module: ModuleType, end: str) -> Iterator[tuple[str, str]]:
    described = docstrings.of_constants(module)
    for name, value in vars(module).items():
        if name.endswith(end) and not name.startswith("_") and isinstance(value, str):
            yield value, described[name]
