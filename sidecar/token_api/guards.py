"""Which calls are served: those of programs in the pod, and of a proxy that is configured for it.

| rule                                                                         | programs | SDKs | proxies |
| ---------------------------------------------------------------------------- | -------- | ---- | ------- |
| 1. Over TCP, `Host` (or the authority of an absolute-form) is loopback: 421  | yes      | yes  |         |
| 2. No field shows that a browser or a proxy passed the request on: 403       | yes      | yes  |         |
| 3. `Sidecar-Request` is `true`: 403                                          | yes      |      | over TCP |
| 4. The method is the call's: 405                                             | yes      | yes  |         |
| 5. `token_api.authorize` is true: 403                                        |          |      | yes     |

Rules 1 and 2 exclude web pages, also those whose name resolves to a loopback address (DNS rebinding). Rules 2 and 3
exclude server-side request forgery: a forged URL adds no field. SDKs cannot add a field either.

A proxy passes on the fields of its own clients, so the sidecar decides nothing by them. The proxy sets
`Sidecar-Request` itself. A browser can reach no Unix socket.
"""

import re
from functools import lru_cache

from sidecar.core.addresses import is_loopback
from sidecar.core.cross_site import host_named
from sidecar.core.errors import ForeignCall, RequestRefused, WrongMethod
from sidecar.http1.message import Request
from sidecar.token_api.calls import Call, Form

MARK = b"sidecar-request"
"""The field that programs and proxies set."""
_PASSED_ON = re.compile(
    rb"\r\n(?i:(origin|forwarded|via|x-real-ip|x[-_.]forwarded[^:\r]*|sec-fetch-[^:\r]*)):"
)


def admit(call: Call, request: Request, *, unix: bool, authorize: bool) -> None:
    """Raise the error of the first rule that the request breaks; `unix` means that it came over a Unix socket."""
    form = call.form
    if form.of_proxy:
        if not authorize:
            raise ForeignCall("header mode is off: set token_api.authorize")
        if not unix:
            _check_mark(request)
        return
    if not unix and not _is_ours(call.authority or request.host):
        raise RequestRefused(421, "the token API does not serve that Host: use localhost or 127.0.0.1")
    passed_on = _PASSED_ON.search(request.block)
    if passed_on is not None:
        raise ForeignCall(
            f"the request has {passed_on[1].decode()}: the token API serves no browser, and nothing that was forwarded"
        )
    if form is not Form.AGENT:
        _check_mark(request)
    if request.method != form.method:
        raise WrongMethod(form.method.decode())


@lru_cache(64)  # programs send few
def _is_ours(host: bytes) -> bool:
    """Return whether a Host field is loopback. Raises RequestRefused for a malformed one."""
    return is_loopback(host_named(host))


def _check_mark(request: Request) -> None:
    if request.value(MARK) != b"true":
        raise ForeignCall("the request has no field Sidecar-Request: true; send it")
