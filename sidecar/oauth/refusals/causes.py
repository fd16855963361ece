"""The party at fault when a token request is refused.

| error code, in an exchange of a caller's token | party at fault                                           |
| ----------------------------------------------- | -------------------------------------------------------- |
| `invalid_grant`, `invalid_token`, `jti_known`   | the caller's                                             |
| `access_denied`                                 | the caller's; credentials are read again all the same    |
| `invalid_request`                               | ours before the entry's first token, then the caller's   |
| any other                                       | ours                                                     |

Whatever the code, if the server's text names a disabled realm or client, the caller is not at fault. Without a caller's
token every fault is ours.
"""

import re

from sidecar.core.errors import TokenRefused
from sidecar.oauth.request_form import blaming_caller
from sidecar.oauth.token import TokenRequest

_DENIED = frozenset({"access_denied"})
"""The caller's by its code; servers also return it for a client secret that was rotated."""
_OURS_AT_FIRST = frozenset({"invalid_request"})
_OWNER = r"(?:realm|client|application|app|tenant|organi[sz]ation|service principal)"
_OFF = r"(?:disabled|not enabled|not active|inactive|deactivated|suspended)"
_NOT_OURS = r"(?<![\w'\"-])(?:user|session|subject|token|grant|consent|login)(?![\w'\"-])"
"""Other things that can be disabled, and are the caller's; not a part of a client's name."""
_GAP = rf"(?:(?!{_NOT_OURS})[^.;]){{0,60}}?"
_OF_USER = re.compile(r"\b(?:user|session)\b[^.;:,]*\Z", re.IGNORECASE)
_DISABLED = re.compile(
    rf"\b{_OWNER}\b{_GAP}\b{_OFF}\b"
    rf"|\b(?:disabled|inactive|suspended) {_OWNER}\b"
    r"|\bclient (?:is )?not (?:allowed|authori[sz]ed|permitted) to exchange\b",
    re.IGNORECASE,
)


def is_of_caller(request: TokenRequest, refusal: TokenRefused, *, proven: bool) -> bool:
    """Return whether the token that the caller brought is the reason. `proven`: an exchange of this entry succeeded."""
    codes = blaming_caller(request)
    if not codes or _calls_us_disabled(refusal.description.replace("_", " ")):
        return False
    return refusal.code in codes | _DENIED and (proven or refusal.code not in _OURS_AT_FIRST)


def _calls_us_disabled(description: str) -> bool:
    found = _DISABLED.search(description)
    return found is not None and _OF_USER.search(description, 0, found.start()) is None


def is_of_configuration(request: TokenRequest, refusal: TokenRefused, *, proven: bool) -> bool:
    """Return whether the entry never worked, as far as the code and the entry's history show."""
    exchanges = request.grant != "client_credentials"
    code = refusal.code
    suspicious = code in {"invalid_request", "unauthorized_client"} or code.startswith("unsupported_")
    return exchanges and suspicious and not proven
