"""What an operator sees of each incident: in the log, in `sidecar status`, in the metrics, and by which alert.

`tests/system/incidents` causes each one and compares. The table of the page is generated from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident, and the words in which each surface names cause and scope."""

    title: str
    section: str
    """Anchor of its section in docs/how-to/troubleshoot.md."""
    event: str
    """Event in the log that names the cause."""
    fields: Mapping[str, str]
    """Texts in the fields of that event."""
    finding: tuple[str, ...]
    """Texts in one finding of `sidecar status`, or in one of its recent events if nothing is wrong by then."""
    metrics: tuple[str, ...]
    """Conditions that hold during the incident, as in PromQL."""
    alert: str = ""
    """Name of the only alert that fires, without its common beginning; empty if none fires."""
    after: int = 0
    """Seconds from the last healthy scrape until it fires, if requests go on."""
    healed: bool = field(default=False, kw_only=True)
    """Whether the sidecar has healed it, so that nothing is wrong any more."""


PREFIX = "CredentialSidecar"
_MISSING = "No token for service app, token api"


def _failing(reason: str, seconds: str = "> 0") -> str:
    return f'sidecar_token_failing_seconds{{token="api",state="missing",reason="{reason}"}} {seconds}'


_UPSTREAM_DOWN = 'sidecar_neighbour_down_seconds{neighbour="upstream"} > 0'

INCIDENTS: Mapping[str, Incident] = {
    "revoked": Incident(
        "Token revoked, once",
        "token-revoked",
        "refused",
        {"route": "api", "status": "401", "error": "invalid_token", "decision": "renew"},
        ("resent", "route=api", "outcome=healed"),
        ('sidecar_resends_total{http_route="api",outcome="healed"} == 1',),
        healed=True,
    ),
    "early": Incident(
        "Tokens expire early, again and again",
        "token-expires-early",
        "refused",
        {"route": "api", "status": "401", "error": "invalid_token", "decision": "renew"},
        ("Route api: the upstream refuses tokens before they expire", "401 invalid_token"),
        ('sidecar_resends_total{http_route="api",outcome="healed"} >= 3',),
        "ManyRefusals",
        630,
    ),
    "rotated": Incident(
        "Client secret rotated",
        "secret-rotated",
        "token_fetch_failed",
        {"token": "api", "service": "app", "outcome": "refused", "error": "401 invalid_client"},
        (_MISSING, "does not accept the client's credentials (401 invalid_client)"),
        (_failing("refused"),),
        "TokenRefused",
        120,
    ),
    "scope_at_server": Incident(
        "Wrong scope, 400 of the authorization server",
        "the-authorization-server-returns-400",
        "token_fetch_failed",
        {"token": "api", "service": "app", "outcome": "refused", "error": "400 invalid_scope"},
        (_MISSING, "400 invalid_scope", "check scope"),
        (_failing("refused"),),
        "TokenRefused",
        120,
    ),
    "scope_at_upstream": Incident(
        "Wrong scope, 403 of the upstream",
        "the-upstream-returns-403",
        "refused",
        {"route": "api", "status": "403", "error": "insufficient_scope", "scope": "write"},
        ("Route api: the upstream refused the token", "403 insufficient_scope; requires scope write"),
        ('sidecar_refusals_relayed_total{http_route="api",error="insufficient_scope"} > 0',),
        "RefusalsRelayed",
        630,
    ),
    "unknown_tenant": Incident(
        "Unknown tenant",
        "unknown-tenant",
        "unknown_tenant",
        {"route": "api", "tenant": "initech"},
        ("Route api: requests for the unknown tenant initech", "these requests get 400"),
        ('http_server_request_duration_seconds_count{http_route="api",error_type="unknown_tenant"} > 0',),
    ),
    "redis": Incident(
        "Redis unavailable",
        "redis-unavailable",
        "store_down",
        {"error": "connection"},
        ("Redis 127.0.0.1:", "is unavailable", "each pod keeps its tokens and fetches its own"),
        ("sidecar_store_up == 0",),
        "StoreDown",
        330,
    ),
    "server_down": Incident(
        "Token endpoint down",
        "token-endpoint-unavailable-or-slow",
        "token_fetch_failed",
        {"token": "api", "service": "app", "outcome": "unavailable", "error": "cannot connect"},
        ("Authorization server 127.0.0.1:", "is unavailable", "cannot connect"),
        (_failing("unavailable"),),
        "TokenUnavailable",
        120,
    ),
    "server_slow": Incident(
        "Token endpoint slow",
        "token-endpoint-unavailable-or-slow",
        "token_fetch_failed",
        {"token": "api", "service": "app", "outcome": "unavailable", "error": "it did not answer in time"},
        ("Authorization server 127.0.0.1:", "is unavailable", "it did not answer in time"),
        (_failing("unavailable", ">= 0"),),
        "TokenUnavailable",
        120,
    ),
    "aws": Incident(
        "Secret denied in AWS",
        "secret-denied-in-aws",
        "secret_unread",
        {"service": "app", "reason": "denied", "error": "AWS denies access"},
        (_MISSING, "AWS denies access: check the role's policy"),
        ('sidecar_secret_failing_seconds{service="app",reason="denied"} > 0',),
        "SecretUnreadable",
        90,
    ),
    "clock": Incident(
        "Clocks differ",
        "clocks-differ",
        "token_fetch_failed",
        {
            "outcome": "refused",
            "error": "400 invalid_client",
            "hint": "behind this machine's; synchronize both clocks",
        },
        ("The clock of 127.0.0.1:", "is 10 min behind this machine's", "synchronize both clocks"),
        ("sidecar_token_endpoint_clock_skew_seconds < -30", _failing("refused")),
        "TokenRefused",
        120,
    ),
    "upstream_401": Incident(
        "401 of the upstream without a challenge",
        "401-without-a-challenge",
        "cooling_down",
        {"token": "api", "service": "app"},
        (
            "New tokens for service app, token api are refused too",
            "refused a token right after it was fetched",
        ),
        ('sidecar_cool_downs_total{token="api"} > 0',),
        "FreshTokensRefused",
        30,
    ),
    "upstream_basic": Incident(
        "401 of the upstream with Basic",
        "401-with-basic",
        "refused",
        {"route": "api", "status": "401", "error": "other_scheme", "decision": "relay"},
        ("Route api: the upstream refused the token", "401 other_scheme", "accepts no Bearer tokens"),
        ('sidecar_refusals_relayed_total{http_route="api",error="other_scheme"} > 0',),
        "RefusalsRelayed",
        660,
    ),
    "upstream_down": Incident(
        "Upstream down",
        "upstream-unreachable",
        "upstream_down",
        {"upstream": "http://127.0.0.1:", "error": "Connection refused"},
        ("Upstream http://127.0.0.1:", "is unavailable", "Connection refused"),
        (_UPSTREAM_DOWN,),
        "UpstreamDown",
        120,
    ),
    "dns": Incident(
        "Name of the upstream does not resolve",
        "upstream-unreachable",
        "upstream_down",
        {"upstream": "http://ledger.invalid", "error": "cannot connect to ledger.invalid:80"},
        ("Upstream http://ledger.invalid is unavailable", "cannot connect to ledger.invalid:80"),
        (_UPSTREAM_DOWN,),
        "UpstreamDown",
        120,
    ),
    "certificate": Incident(
        "Certificate of the upstream expired",
        "upstream-unreachable",
        "upstream_down",
        {"upstream": "https://127.0.0.1:", "error": "certificate has expired"},
        ("Upstream https://127.0.0.1:", "is unavailable", "certificate has expired"),
        (_UPSTREAM_DOWN,),
        "UpstreamDown",
        120,
    ),
}
"""By a short name."""
