"""Which call of the token API a request is.

| path                                      | call          | method |
| ----------------------------------------- | ------------- | ------ |
| `/token/{name}`                           | TOKEN         | GET    |
| `/token/{name}/refused`                   | REPORT        | POST   |
| `/AuthorizationHeaderUnauthenticated/{name}` | AGENT      | GET    |
| `/authorize/{name}`, and any path below   | AUTHORIZE     | any    |
| `/refused/{name}`, and any path below     | PROXY_REPORT  | any    |

Where the path names the tenant, `/t/{tenant}` comes first in the first three paths. The last two are followed by the
path that the proxy received from its client, so the tenant is named there, as on a route.
"""

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from sidecar.core.errors import NotListed, RequestRefused
from sidecar.core.tenants import split_path
from sidecar.proxy.target import split
from sidecar.proxy.unknown_tenants import path_shown, shown


class Form(Enum):
    """See the table at the head of this module. A member's attributes are found faster than its place in a set."""

    TOKEN = ("token", b"GET", False, False)
    REPORT = ("report", b"POST", False, True)
    AGENT = ("agent", b"GET", False, False)
    AUTHORIZE = ("authorize", b"", True, False)
    PROXY_REPORT = ("proxy_report", b"", True, True)

    def __init__(self, word: str, method: bytes, of_proxy: bool, reports: bool) -> None:
        """Take the columns of the table above."""
        self.word = word
        self.method = method
        """The method that is served; empty for any."""
        self.of_proxy = of_proxy
        """Whether proxies send it. Its other fields are those of the proxy's clients."""
        self.reports = reports
        """Whether it reports a refusal."""


class Call(NamedTuple):
    """A request's call, and whose token it is about."""

    form: Form
    name: str
    """Name of the entry in `tokens`, as requested."""
    path: str
    """The path for the log."""
    tenant: bytes | None = None
    """The tenant that the path names; None if it names none."""
    authority: bytes = b""
    """The authority of a target in absolute-form."""
    query: bytes = b""
    """The query with its question mark; empty for a call of a proxy, whose query is its client's."""


_NAME = rb"([A-Za-z0-9][A-Za-z0-9._-]{0,63})"
_OF_PROXY = re.compile(rb"/(authorize|refused)/%b(/[^?]*)?(?:\?.*)?" % _NAME)
_TOKEN = re.compile(rb"/token/%b(/refused)?" % _NAME)
_AGENT = re.compile(rb"(?i:/authorizationheaderunauthenticated)/%b" % _NAME)


def read_call(target: bytes, *, tenant_in_path: bool) -> Call:
    """Return the call that a target names. Raises NotListed, or RequestRefused for a malformed target."""
    of_proxy = _OF_PROXY.fullmatch(target)
    if of_proxy is not None:
        form = Form.AUTHORIZE if of_proxy[1] == b"authorize" else Form.PROXY_REPORT
        name = of_proxy[2].decode()
        tenant = split_path(split(of_proxy[3] or b"/").path)[0] if tenant_in_path else None
        return Call(form, name, f"/{of_proxy[1].decode()}/{name}", tenant)
    return _of_program(target, tenant_in_path=tenant_in_path)


@lru_cache(256)  # programs request few
def _of_program(target: bytes, *, tenant_in_path: bool) -> Call:
    parts = split(target)
    shown_path = parts.path.decode()
    tenant, path = split_path(parts.path) if tenant_in_path else (None, parts.path)
    match = _TOKEN.fullmatch(path)
    if match is not None:
        form = Form.TOKEN if match[2] is None else Form.REPORT
        return Call(form, match[1].decode(), shown_path, tenant, parts.authority, parts.query)
    match = _AGENT.fullmatch(path)
    if match is None:
        path_in_log = path_shown(shown_path, shown(tenant)) if tenant is not None else shown_path
        raise NotListed("the token API has no such path: request /token/{name}", path_in_log)
    return Call(Form.AGENT, match[1].decode(), shown_path, tenant, parts.authority, parts.query)


def check_query(call: Call) -> None:
    """Refuse a query for another token than the configured one. Raises RequestRefused (400).

    Agents of Microsoft's SDKs choose identity, scope and tenant in the query. To ignore that would hand out another
    token than was requested.
    """
    if call.form.of_proxy or not call.query.strip(b"?"):
        return
    if call.form is Form.AGENT and call.query.lower() == b"?optionsoverride.requestapptoken=true":
        return
    raise RequestRefused(
        400, "the query cannot change the token: remove it, and configure an entry of tokens for each token"
    )
