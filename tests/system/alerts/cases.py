"""For each alert, series that fire it and no other, and series that fire none.

Values are as in promtool's files: `0+30x4` is 0, 30, 60, 90, 120; `0x9` is ten times 0; at `stale` the page no longer
has the series. They are 30 s apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Series = dict[str, str]

_POD = 'namespace="shop", pod="a"'
_OTHER_POD = 'namespace="shop", pod="b"'
_TOKEN = 'token="api", tenant="acme"'
_SERVED = f'http_server_request_duration_seconds_count{{{_POD}, http_route="api"}}'
_LAG = "sidecar_event_loop_lag_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Case:
    """Series, and for how long they go on."""

    what: str
    seconds: int
    series: Series
    labels: Mapping[str, str] | None = None
    """Labels of the alert that fires, without its severity; None if none fires."""


def _failing(state: str, reason: str, values: str, pod: str = _POD) -> Series:
    series = f'sidecar_token_failing_seconds{{{pod}, {_TOKEN}, state="{state}", reason="{reason}"}}'
    return {series: values}


def _counted(name: str, labels: str, values: str) -> Series:
    return {f"{name}{{{_POD}, {labels}}}" if labels else f"{name}{{{_POD}}}": values}


def _of_pod(**labels: str) -> Mapping[str, str]:
    return {"namespace": "shop", "pod": "a", **labels}


_RELAYED = (
    f'sidecar_refusals_relayed_total{{{_POD}, http_route="api", tenant="acme", error="insufficient_scope"}}'
)


def _in_quarters(name: str, *counts: int) -> Series:
    """A counter at the beginning, and after each quarter of an hour."""
    return {name: " ".join(f"{count}x29" for count in counts)}


_API = {"namespace": "shop", "token": "api", "tenant": "acme"}
_ROUTE = {"namespace": "shop", "http_route": "api"}


_TOKENS: Mapping[str, tuple[Case, ...]] = {
    "CredentialSidecarTokenRunsOut": (
        Case(
            "renewals of a token in use fail",
            60,
            _failing("aging", "unavailable", "20+30x9"),
            {**_API, "reason": "unavailable"},
        ),
        Case(
            "a token was refused, and no other is to be had",
            60,
            _failing("fresh", "refused", "20+30x9"),
            {**_API, "reason": "refused"},
        ),
        Case(
            "c5: tokens live 60 s, and each pod's renewal fails once",
            120,
            _failing("aging", "unavailable", "0 stale 1 stale 0")
            | _failing("aging", "unavailable", "stale 1 stale 2 stale", _OTHER_POD),
        ),
        Case("c5: the last fetch failed after one that succeeded", 120, _failing("aging", "refused", "29x9")),
        Case("the token is renewed", 60, _failing("aging", "unavailable", "20 50 stale")),
    ),
    "CredentialSidecarTokenRefused": (
        Case("requests need a token that is refused", 90, _failing("missing", "refused", "0+30x9"), _API),
        Case(
            "c4: an application sends a request every six minutes, and each fetch fails",
            1380,
            _failing("missing", "refused", "0+30x99"),
            _API,
        ),
        Case("c4: fetches failed before the first scrape", 0, _failing("missing", "refused", "61"), _API),
        Case(
            "pods that still hold the token say nothing beside it",
            90,
            _failing("missing", "refused", "0+30x9") | _failing("aging", "refused", "0+30x9", _OTHER_POD),
            _API,
        ),
        Case("c5: a fetch failed, and the next succeeded", 90, _failing("missing", "refused", "0 30 stale")),
        Case("fetches have failed for a minute", 60, _failing("missing", "refused", "0 30 60")),
    ),
    "CredentialSidecarTokenUnavailable": (
        Case("requests need a token", 90, _failing("missing", "unavailable", "0+30x9"), _API),
        Case(
            "renewals failed, and now the token has expired",
            60,
            _failing("aging", "unavailable", "20 50 stale")
            | _failing("missing", "unavailable", "stale stale 80"),
            _API,
        ),
        Case("c4: still firing after hours", 36000, _failing("missing", "unavailable", "0+30x1300"), _API),
        Case("c5: healed at once, twice", 120, _failing("missing", "unavailable", "2 stale 1 stale 3")),
        Case(
            "the authorization server is back", 150, _failing("missing", "unavailable", "30 60 90 120 stale")
        ),
    ),
    "CredentialSidecarFreshTokensRefused": (
        Case("a cool-down begins", 120, _counted("sidecar_cool_downs_total", _TOKEN, "0 0 0 1 1"), _API),
        Case("no cool-down", 120, _counted("sidecar_cool_downs_total", _TOKEN, "3x9")),
    ),
}

_REQUESTS: Mapping[str, tuple[Case, ...]] = {
    "CredentialSidecarManyRefusals": (
        Case(
            "one of ten requests is refused",
            1200,
            {_SERVED: "0+100x60"}
            | _counted("sidecar_resends_total", 'http_route="api", outcome="healed"', "0+10x60"),
            _ROUTE,
        ),
        Case(
            "one of a hundred requests is refused",
            1200,
            {_SERVED: "0+100x60"}
            | _counted("sidecar_resends_total", 'http_route="api", outcome="healed"', "0+1x60"),
        ),
        Case(
            "no requests",
            1200,
            {_SERVED: "0x60"}
            | _counted("sidecar_resends_total", 'http_route="api", outcome="healed"', "0x60"),
        ),
        Case(
            "new tokens are refused too",
            1200,
            {_SERVED: "0+100x60"}
            | _counted("sidecar_refusals_total", 'http_route="api", decision="renew"', "0+10x60")
            | _counted("sidecar_resends_total", 'http_route="api", outcome="refused"', "0+10x60"),
        ),
    ),
    "CredentialSidecarRefusalsRelayed": (
        Case(
            "one of ten requests lacks a scope",
            1200,
            {_SERVED: "0+100x60"}
            | _counted(
                "sidecar_refusals_relayed_total",
                'http_route="api", tenant="acme", error="insufficient_scope"',
                "0+10x60",
            ),
            {**_ROUTE, "tenant": "acme", "error": "insufficient_scope"},
        ),
        Case(
            "c4: an application sends a request every quarter of an hour, and each lacks a scope",
            2700,
            _in_quarters(_SERVED, 0, 1, 2, 3) | _in_quarters(_RELAYED, 0, 1, 2, 3),
            {**_ROUTE, "tenant": "acme", "error": "insufficient_scope"},
        ),
        Case(
            "c4: one of two requests every quarter of an hour lacks a scope",
            2700,
            _in_quarters(_SERVED, 0, 2, 4, 6) | _in_quarters(_RELAYED, 0, 1, 2, 3),
        ),
        Case(
            "c4: the only request of an hour lacks a scope",
            2700,
            _in_quarters(_SERVED, 0, 1, 1, 1) | _in_quarters(_RELAYED, 0, 1, 1, 1),
        ),
        Case(
            "c4: it has the scope since the last request",
            2700,
            _in_quarters(_SERVED, 0, 1, 2, 3) | _in_quarters(_RELAYED, 0, 1, 2, 2),
        ),
        Case(
            "one of a hundred requests lacks a scope",
            1200,
            {_SERVED: "0+100x60"}
            | _counted(
                "sidecar_refusals_relayed_total",
                'http_route="api", tenant="acme", error="insufficient_scope"',
                "0+1x60",
            ),
        ),
    ),
    "CredentialSidecarConnectionsExhausted": (
        Case(
            "requests wait all the time",
            300,
            _counted("sidecar_upstream_waiting", 'server_address="h", server_port="80"', "3x20"),
            _of_pod(server_address="h", server_port="80"),
        ),
        Case(
            "requests wait now and then",
            300,
            _counted(
                "sidecar_upstream_waiting", 'server_address="h", server_port="80"', "3 3 0 3 0 3 0 3 0 3 3"
            ),
        ),
    ),
}

_DAY = 86400


def _certificate(days: float, life: float, role: str = "upstream", name: str = "https://h") -> Series:
    labels = f'{{{_POD}, role="{role}", name="{name}"}}'
    return {
        f"sidecar_certificate_expires_in_seconds{labels}": f"{days * _DAY:.0f}-30x4",
        f"sidecar_certificate_lifetime_seconds{labels}": f"{life * _DAY:.0f}x4",
    }


def _down(kind: str, values: str) -> Series:
    return _counted("sidecar_neighbour_down_seconds", f'neighbour="{kind}", name="https://h"', values)


_SECRET = {"namespace": "shop", "service": "ledger"}


def _unread(reason: str, values: str) -> Series:
    return _counted(
        "sidecar_secret_failing_seconds", f'service="ledger", tenant="acme", reason="{reason}"', values
    )


_UPSTREAM = {"namespace": "shop", "role": "upstream", "name": "https://h"}

_UPSTREAMS: Mapping[str, tuple[Case, ...]] = {
    "CredentialSidecarUpstreamDown": (
        Case(
            "o4: requests fail", 90, _down("upstream", "0+30x9"), {"namespace": "shop", "name": "https://h"}
        ),
        Case(
            "o4: requests every six minutes fail",
            390,
            _down("upstream", "0x11 360x9"),
            {"namespace": "shop", "name": "https://h"},
        ),
        Case("o4: one request failed, and none followed", 600, _down("upstream", "0x20")),
        Case("o4: the upstream answers again", 120, _down("upstream", "0 30 60 90 stale")),
        Case("o4: another neighbour is down", 90, _down("authorization_server", "0+30x9")),
    ),
    "CredentialSidecarCertificateExpires": (
        Case("o4: a certificate of 90 days", 60, _certificate(13.9, 90), _UPSTREAM),
        Case(
            "o4: a client certificate of a year",
            60,
            _certificate(13.9, 365, "client", "/tls/client.pem"),
            {"namespace": "shop", "role": "client", "name": "/tls/client.pem"},
        ),
        Case("o4: a certificate that has expired", 60, _certificate(-1, 90), _UPSTREAM),
        Case("o4: a certificate of a week that is not renewed in time", 60, _certificate(2, 7), _UPSTREAM),
        Case("o4: 14 days are left", 60, _certificate(14.1, 90)),
        Case("o4: a certificate of a week", 60, _certificate(5, 7)),
        Case("o4: a certificate of an hour, in the middle of its life", 60, _certificate(1 / 48, 1 / 24)),
    ),
}

_FLEET: Mapping[str, tuple[Case, ...]] = {
    "CredentialSidecarSecretUnreadable": (
        Case("AWS denies a secret", 120, _unread("denied", "_ 0+30x9"), {**_SECRET, "reason": "denied"}),
        Case(
            "c4: AWS denied it before the first scrape, and no request followed",
            60,
            _unread("missing", "0x9"),
            {**_SECRET, "reason": "missing"},
        ),
        Case(
            "c4: requests every quarter of an hour",
            1020,
            _unread("malformed", "0x19 stale _x9 900x9"),
            {**_SECRET, "reason": "malformed"},
        ),
        Case(
            "a token that is needed lacks it",
            120,
            _unread("denied", "_ 0+30x9") | _failing("missing", "no_credentials", "_ 0+30x9"),
            {**_SECRET, "reason": "denied"},
        ),
        Case(
            "a token in use cannot be renewed without it",
            120,
            _unread("denied", "_ 0+30x9") | _failing("aging", "no_credentials", "_ 0+30x9"),
            {**_SECRET, "reason": "denied"},
        ),
        Case("it was read again within a minute", 120, _unread("denied", "_ 0 30 stale")),
        Case("secrets are read", 120, _counted("sidecar_secret_reads_total", 'outcome="ok"', "0+1x9")),
    ),
    "CredentialSidecarSecretThrottled": (
        Case(
            "AWS does not answer",
            930,
            _unread("unreachable", "0+30x90"),
            {"namespace": "shop"},
        ),
        Case("AWS throttles once", 600, _unread("throttled", "0x90")),
        Case("AWS answers again after ten minutes", 930, _unread("unreachable", "0+30x20 stale")),
    ),
    "CredentialSidecarStoreDown": (
        Case(
            "Redis is unavailable, and busts do not arrive",
            360,
            _counted("sidecar_store_up", "", "0x20") | _counted("sidecar_bus_up", "", "0x20"),
            _of_pod(),
        ),
        Case("Redis was unavailable for a minute", 360, _counted("sidecar_store_up", "", "0 0 1x20")),
    ),
    "CredentialSidecarBusDown": (
        Case("busts do not arrive", 360, _counted("sidecar_bus_up", "", "0x20"), _of_pod()),
        Case("busts did not arrive for a minute", 360, _counted("sidecar_bus_up", "", "0 0 1x20")),
        Case(
            "Redis accepts commands, and busts do not arrive",
            360,
            _counted("sidecar_bus_up", "", "0x20") | _counted("sidecar_store_up", "", "1x20"),
            _of_pod(),
        ),
    ),
    "CredentialSidecarForgedMessages": (
        Case(
            "a message is forged",
            120,
            _counted("sidecar_busts_rejected_total", 'reason="forged"', "0 0 1 1 1"),
            {"namespace": "shop"},
        ),
        Case("a message is old", 120, _counted("sidecar_busts_rejected_total", 'reason="old"', "0 0 1 1 1")),
    ),
}


def _once(name: str, what: str, labels: str = "", also: Mapping[str, str] | None = None) -> tuple[Case, ...]:
    """A counter that moves, and one that does not."""
    return (
        Case(what, 120, _counted(name, labels, "0 0 1 1 1"), _of_pod(**(also or {}))),
        Case("it happened before", 1800, _counted(name, labels, "1x90")),
    )


_PROCESS: Mapping[str, tuple[Case, ...]] = {
    "CredentialSidecarLogLinesDropped": _once("sidecar_log_lines_dropped_total", "a line is lost"),
    "CredentialSidecarReloadFailed": (
        Case(
            "c4: it was refused hours ago",
            14400,
            _counted("sidecar_config_outdated", "", "0 1x500"),
            _of_pod(),
        ),
        Case(
            "c4: it was before the first scrape",
            60,
            _counted("sidecar_config_outdated", "", "1x9"),
            _of_pod(),
        ),
        Case("it was corrected within a minute", 120, _counted("sidecar_config_outdated", "", "0 1 1 0x9")),
        Case("configurations are loaded", 120, _counted("sidecar_config_outdated", "", "0x9")),
    ),
    "CredentialSidecarOutOfDescriptors": _once(
        "sidecar_descriptors_exhausted_total", "no descriptor is free"
    ),
    "CredentialSidecarBug": _once("sidecar_bugs_total", "an internal error"),
    "CredentialSidecarEventLoopLate": (
        Case(
            "each measurement is late",
            1200,
            _counted(_LAG, 'le="0.1"', "0x90")
            | _counted(_LAG, 'le="0.25"', "0+60x90")
            | _counted(_LAG, 'le="+Inf"', "0+60x90"),
            _of_pod(),
        ),
        Case(
            "no measurement is late",
            1200,
            _counted(_LAG, 'le="0.1"', "0+60x90")
            | _counted(_LAG, 'le="0.25"', "0+60x90")
            | _counted(_LAG, 'le="+Inf"', "0+60x90"),
        ),
    ),
    "CredentialSidecarTelemetryLost": (
        Case(
            "exports fail",
            1800,
            _counted("sidecar_telemetry_exports_total", 'signal="traces", outcome="failed"', "0+1x90"),
            {"namespace": "shop", "signal": "traces"},
        ),
        Case(
            "exports succeed",
            1800,
            _counted("sidecar_telemetry_exports_total", 'signal="traces", outcome="ok"', "0+1x90"),
        ),
    ),
}

_LABELLED = {
    f'kube_pod_labels{{{_POD}, label_credential_sidecar_inject="orders"}}': "1x9",
    f'kube_pod_status_phase{{{_POD}, phase="Running"}}': "1x9",
}

_CLUSTER: Mapping[str, tuple[Case, ...]] = {
    "CredentialSidecarMissing": (
        Case("a labelled pod runs without a sidecar", 120, _LABELLED, _of_pod()),
        Case(
            "it has a native sidecar",
            120,
            _LABELLED | {f'kube_pod_init_container_info{{{_POD}, container="sidecar"}}': "1x9"},
        ),
        Case(
            "it has a classic sidecar",
            120,
            _LABELLED | {f'kube_pod_container_info{{{_POD}, container="sidecar"}}': "1x9"},
        ),
        Case(
            "it has not started",
            120,
            _LABELLED | {f'kube_pod_status_phase{{{_POD}, phase="Running"}}': "0x9"},
        ),
    ),
}

CASES: Mapping[str, tuple[Case, ...]] = {
    **_TOKENS,
    **_REQUESTS,
    **_UPSTREAMS,
    **_FLEET,
    **_PROCESS,
    **_CLUSTER,
}
