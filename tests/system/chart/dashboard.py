"""The Grafana dashboard, written down by what it shows; `make chart` makes helm/dashboards/ of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.system.chart.generate import CHART

FILE = CHART / "dashboards" / "credential-sidecar.json"
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: what it is called, what it counts, and its series, each with its legend."""

    title: str
    meaning: str
    unit: str
    series: Mapping[str, str]
    """PromQL by legend. `$where` stands for the chosen namespaces and pods."""


def _rate(metric: str, by: str, *matchers: str) -> str:
    where = ", ".join(("$where", *matchers))
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', f'le, {by}' if by else 'le')})"


_SERVER, _CLIENT = "http_server_request_duration_seconds", "http_client_request_duration_seconds"
_FAILED = 'error_type!=""'
_FETCHED = "m2m_credential_fetch_duration_seconds"

_HITS = _rate("m2m_credential_cache_hits_total", "token", 'level="memory"')
_MISSES = _rate("m2m_credential_cache_misses_total", "token", 'level="memory"')

ROWS: Mapping[str, tuple[Panel, ...]] = {
    "Requests": (
        Panel(
            "Requests",
            "Requests per second, by route.",
            "reqps",
            {"{{http_route}}": _rate(f"{_SERVER}_count", "http_route")},
        ),
        Panel(
            "Failed requests",
            "Failures per second, by error: a word for the sidecar's own, a status for the upstream's.",
            "reqps",
            {"{{http_route}} {{error_type}}": _rate(f"{_SERVER}_count", "http_route, error_type", _FAILED)},
        ),
        Panel(
            "Duration, p99",
            "From the head of a request to the end of its response, and the upstream's share.",
            "s",
            {
                "{{http_route}}": _quantile(0.99, _SERVER, "http_route"),
                "{{http_route}} upstream": _quantile(0.99, _CLIENT, "http_route"),
            },
        ),
        Panel(
            "Requests in flight",
            "Requests in flight, by pod.",
            "short",
            {"{{pod}}": "sum by (pod) (http_server_active_requests{$where})"},
        ),
    ),
    "Tokens": (
        Panel(
            "Soonest expiry",
            "Time until the next expiry, by token. The sidecar renews a token in use a minute before.",
            "s",
            {"{{token}}": "min by (token) (sidecar_token_expires_in_seconds{$where})"},
        ),
        Panel(
            "Tokens that cannot be fetched",
            "Time since fetches began to fail, by token and state. `missing`: requests that need the token fail.",
            "s",
            {
                "{{token}} {{tenant}} {{state}}": (
                    "max by (token, tenant, state) (sidecar_token_failing_seconds{$where})"
                )
            },
        ),
        Panel(
            "Fetches",
            "Token requests, and those that failed.",
            "reqps",
            {
                "{{token}}": _rate(f"{_FETCHED}_count", "token"),
                "{{token}} {{outcome}}": _rate("m2m_credential_fetch_errors_total", "token, outcome"),
            },
        ),
        Panel(
            "Fetch duration, p99",
            "Duration of token requests, including failed ones.",
            "s",
            {"{{token}}": _quantile(0.99, _FETCHED, "token")},
        ),
        Panel(
            "Found in memory",
            "Share of requests whose token was cached.",
            "percentunit",
            {
                "{{token}}": f"{_HITS}\n/ ({_HITS}\n+ {_MISSES})",
            },
        ),
    ),
    "Refusals and busts": (
        Panel(
            "Refusals",
            "Responses that refused the sidecar's token, by decision.",
            "reqps",
            {"{{http_route}} {{decision}}": _rate("sidecar_refusals_total", "http_route, decision")},
        ),
        Panel(
            "Second sends",
            "Second sends after a refusal, by outcome.",
            "reqps",
            {"{{http_route}} {{outcome}}": _rate("sidecar_resends_total", "http_route, outcome")},
        ),
        Panel(
            "Busts",
            "Busts sent, busts that Redis did not publish or record, and busts of other pods.",
            "short",
            {
                "sent {{token}}": "sum by (token) (increase(sidecar_busts_sent_total{$where}[$__rate_interval]))",
                "failed {{kind}}, {{step}}": (
                    "sum by (kind, step) (increase(sidecar_busts_failed_total{$where}[$__rate_interval]))"
                ),
                "applied {{kind}}": "sum by (kind) (increase(sidecar_busts_applied_total{$where}[$__rate_interval]))",
            },
        ),
        Panel(
            "Rejected messages, cool-downs",
            "Rejected bust messages, and cool-downs because a new token was refused too.",
            "short",
            {
                "rejected {{reason}}": (
                    "sum by (reason) (increase(sidecar_busts_rejected_total{$where}[$__rate_interval]))"
                ),
                "cool-down {{token}}": (
                    "sum by (token) (increase(sidecar_cool_downs_total{$where}[$__rate_interval]))"
                ),
            },
        ),
    ),
    "Fleet and secrets": (
        Panel(
            "Redis and busts of other pods",
            "Pods for which Redis is unavailable, and pods at which busts of other pods do not arrive.",
            "short",
            {
                "Redis is unavailable": "sum(1 - sidecar_store_up{$where})",
                "busts of other pods do not arrive": "sum(1 - sidecar_bus_up{$where})",
            },
        ),
        Panel(
            "Operations sent to Redis",
            "Redis operations, by outcome.",
            "ops",
            {"{{operation}} {{outcome}}": _rate("sidecar_store_operations_total", "operation, outcome")},
        ),
        Panel(
            "Delay of busts, p99",
            "From publishing a bust in a pod to applying it in another.",
            "s",
            {"": _quantile(0.99, "sidecar_bus_lag_seconds", "")},
        ),
        Panel(
            "Leases",
            "Fetches for the fleet, by outcome of the lease.",
            "ops",
            {"{{outcome}}": _rate("sidecar_leases_total", "outcome")},
        ),
        Panel(
            "Requests to AWS Secrets Manager",
            "Reads of secrets, by outcome.",
            "ops",
            {"{{outcome}}": _rate("sidecar_secret_reads_total", "outcome")},
        ),
        Panel(
            "Secrets that cannot be read",
            "Time from the first failed read to the last, by service and reason.",
            "s",
            {
                "{{service}} {{tenant}} {{reason}}": (
                    "max by (service, tenant, reason) (sidecar_secret_failing_seconds{$where})"
                )
            },
        ),
    ),
    "Connections": (
        Panel(
            "From applications",
            "Open client connections, by pod.",
            "short",
            {"{{pod}}": "sum by (pod) (sidecar_connections_open{$where})"},
        ),
        Panel(
            "To upstreams",
            "Connections by state, and requests that wait for one.",
            "short",
            {
                "{{server_address}} {{state}}": (
                    "sum by (server_address, state) (sidecar_upstream_connections{$where})"
                ),
                "{{server_address}} waiting": "sum by (server_address) (sidecar_upstream_waiting{$where})",
            },
        ),
        Panel(
            "Outages",
            "Time from the first failure to the last of upstreams, authorization servers and Redis that are down.",
            "s",
            {"{{neighbour}} {{name}}": "max by (neighbour, name) (sidecar_neighbour_down_seconds{$where})"},
        ),
        Panel(
            "Certificates",
            "Time until certificates of upstreams and of the sidecar's own expire.",
            "s",
            {"{{role}} {{name}}": "min by (role, name) (sidecar_certificate_expires_in_seconds{$where})"},
        ),
    ),
    "Process": (
        Panel(
            "Delay of the event loop, p99",
            "Delay of every request. Above 0.1 s the sidecar gets too little CPU.",
            "s",
            {"{{pod}}": _quantile(0.99, "sidecar_event_loop_lag_seconds", "pod")},
        ),
        Panel(
            "Reloads, bugs",
            "Reloads of the configuration by outcome, and internal errors.",
            "short",
            {
                "reload {{outcome}}": (
                    "sum by (outcome) (increase(sidecar_reloads_total{$where}[$__rate_interval]))"
                ),
                "bugs": "sum(increase(sidecar_bugs_total{$where}[$__rate_interval]))",
            },
        ),
        Panel(
            "Log lines lost",
            "Log lines dropped because standard output is too slow, by pod.",
            "short",
            {"{{pod}}": "sum by (pod) (increase(sidecar_log_lines_dropped_total{$where}[$__rate_interval]))"},
        ),
        Panel(
            "Telemetry lost",
            "Failed exports to the OTLP endpoint, and dropped spans.",
            "short",
            {
                "{{signal}}": (
                    "sum by (signal) "
                    '(increase(sidecar_telemetry_exports_total{$where, outcome="failed"}[$__rate_interval]))'
                ),
                "spans dropped": "sum(increase(sidecar_telemetry_spans_dropped_total{$where}[$__rate_interval]))",
            },
        ),
        Panel(
            "Versions",
            "Number of sidecars, by version.",
            "short",
            {"{{version}}": "count by (version) (sidecar_build_info{$where})"},
        ),
    ),
}

_WHERE = 'namespace=~"$namespace", pod=~"$pod"'
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 24, 8


def dashboard() -> str:
    """The dashboard, as Grafana imports it."""
    content = {
        "uid": "credential-sidecar",
        "title": "Credential sidecars",
        "description": "Tokens, requests and the fleet of the credential sidecars.",
        "tags": ["credential-sidecar"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "templating": {
            "list": [_DATASOURCE, _variable("namespace"), _variable("pod", 'namespace=~"$namespace"')]
        },
        "panels": list(_panels()),
    }
    return json.dumps(content, indent=1) + "\n"


_DATASOURCE: Json = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
}


def _variable(label: str, where: str = "") -> Json:
    query = f"label_values(sidecar_build_info{{{where}}}, {label})"
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": label},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[Json]:
    number = y = 0
    for title, row in ROWS.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
        }
        width = _WIDTH // len(row)
        for place, panel in enumerate(row):
            number += 1
            yield _panel(panel, number, {"x": place * width, "y": y + 1, "w": width, "h": _HEIGHT})
        y += 1 + _HEIGHT


def _panel(panel: Panel, number: int, position: Json) -> Json:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": expression.replace("$where", _WHERE),
                "legendFormat": legend,
            }
            for place, (legend, expression) in enumerate(panel.series.items())
        ],
    }
