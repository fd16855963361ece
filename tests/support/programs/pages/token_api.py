"""The page of the token API, from the tables of the modules that read and guard its calls."""

import re
from types import ModuleType

from sidecar.core.problem import FAILED
from sidecar.token_api import calls, guards, handed_out
from tests.support.programs.pages.markdown import bullets, code, page, prose, table

INTRODUCTION = prose(
    """The token API listens on [`token_api.listen`](configuration.md#token_api). It hands out the tokens of the
    entries in `token_api.tokens`. [How to use it](../how-to/token-api.md).""",
)
FORMS = bullets(
    (
        """TOKEN returns `access_token`, `token_type` (`Bearer`), `expires_in` in seconds, and `fp`, the token's
        fingerprint.""",
        """REPORT takes `fp`, `status` and, if there is one, `www_authenticate`: a string, or a list of strings. It
        returns the successor as TOKEN does.""",
        "AGENT returns `authorizationHeader`. This is the form that Microsoft's agent SDKs request of a sidecar.",
        "AUTHORIZE returns 200 with `Authorization: Bearer …` and no body.",
        """PROXY_REPORT takes the refused token in `Authorization`, the status in `Sidecar-Refused-Status`, and the
        challenges in `WWW-Authenticate`. It returns the successor as AUTHORIZE does.""",
    )
)
PLACES = prose(
    """Where the path names the tenant, `/t/{tenant}` comes first in the first three paths. In AUTHORIZE and
    PROXY_REPORT it comes after the name of the entry, because a proxy appends its client's path. The sidecar does not
    log the part after the name. In the first three paths it refuses a query, because a query cannot change the token.
    Only AGENT accepts one: `optionsOverride.RequestAppToken=true`.""",
)
REASONS = prose(
    """Rules 1 and 2 exclude web pages, also those whose name resolves to a loopback address (DNS rebinding). Rules 2
    and 3 exclude server-side request forgery: a forged URL adds no field. SDKs cannot add fields either. A proxy
    passes on the fields of its own clients, so the sidecar decides nothing by them. The proxy sets `Sidecar-Request`
    itself.""",
)
ERRORS = prose(
    """Besides the errors of a token request, in the same form as [on a route](errors.md):""",
)
BOUNDS = prose(
    """The sidecar does not see whether a server accepted a token, and a report may be wrong. So it bounds the
    renewals.""",
)


def text() -> str:
    """Return the page."""
    own = ("ForeignCall", "NotListed", "WrongMethod", "NotTheToken", "StillCooling")
    words = sorted(word for error, word in FAILED.items() if error.__name__ in own)
    rows = [(str(each.status), code(each.word), each.meaning, each.action) for each in words]
    return page(
        "Token API",
        "`sidecar/token_api`",
        INTRODUCTION,
        "## Calls",
        _table(calls),
        FORMS,
        PLACES,
        "## Rules",
        _table(guards),
        REASONS,
        "## Errors",
        ERRORS,
        table(("Status", "`error`", "Meaning", "Action"), rows),
        "## Reported refusals",
        BOUNDS,
        bullets(_rules(handed_out)),
    )


def _table(module: ModuleType) -> str:
    """Return the table at the head of the module, without the blanks that align its columns."""
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("|")]
    return "\n".join(re.sub(r" {2,}\|", " |", re.sub(r"-{4,}", "---", line)) for line in lines)


def _rules(module: ModuleType) -> list[str]:
    """Return the numbered rules at the head of the module, with the values of the constants that they name."""
    documented = re.findall(
        r"^Rule \d\. (.*?)(?=\n\n|\nRule|\Z)", module.__doc__ or "", re.DOTALL | re.MULTILINE
    )
    values = {name: f"{value:g}" for name, value in vars(module).items() if isinstance(value, int | float)}
    return [re.sub(r"\b[A-Z_]{5,}\b", lambda name: values[name[0]], rule) for rule in documented]
