"""Dashboard and alerts name only what a sidecar's /metrics prints, in expressions that Prometheus can read."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import promql_parser as promql
import pytest
import trustme
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.telemetry.words import SECRET_FAULTS
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.aws import REGION, Aws
from tests.support.certificates import issue
from tests.support.fleet_of_sidecars import SidecarFleet
from tests.support.processes import Document, get
from tests.support.redis_server import RedisServer
from tests.support.sidecar import FleetOn
from tests.support.upstream import Upstream, closing, refusal
from tests.support.waiting import PATIENCE
from tests.support.wire_client import ask
from tests.system.chart import dashboard
from tests.system.chart.generate import CHART
from tests.system.chart.helm import MODES, of_kind, render

Names = Mapping[str, Mapping[str, set[str]]]
"""What is printed: by name of a series, its labels, each with all its values."""

TARGET = {"namespace", "pod"}
"""Labels that Prometheus knows from where it scrapes."""
RULES = yaml.safe_load((CHART / "rules" / "credential-sidecar.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}


KUBE_STATE: Names = {
    "kube_pod_labels": {"label_credential_sidecar_inject": set()},
    "kube_pod_status_phase": {"phase": {"Running"}},
    "kube_pod_init_container_info": {"container": {"sidecar"}},
    "kube_pod_container_info": {"container": {"sidecar"}},
}
"""What kube-state-metrics prints: the part that the alerts use."""

RARE: Names = {"sidecar_secret_failing_seconds": {"reason": set(SECRET_FAULTS)}}
"""Values by the glossary, of which the page of one moment has few."""

TENANT = {"header": "X-Tenant", "default": "acme"}


def drawn() -> Iterator[tuple[str, str, str]]:
    """Every graph's title, expression and legend."""
    for panel in json.loads(dashboard.FILE.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]


EXPRESSIONS = {
    **{name: rule["expr"] for name, rule in ALERTS.items()},
    **{f"{title}: {legend}": expression for title, expression, legend in drawn()},
}


def parsed(expression: str) -> promql.Expr:
    """As Prometheus reads it, once Grafana has put in what it knows."""
    return promql.parse(expression.replace("$__rate_interval", "5m"))


def nodes(expression: promql.Expr) -> Iterator[promql.Expr]:
    """The expression and all its parts."""
    found: list[promql.Expr] = []

    def visit(node: promql.Expr) -> None:
        found.append(node)

    promql.walk(expression, visit)
    yield from found


def selectors(expression: promql.Expr) -> Iterator[promql.VectorSelector]:
    for node in nodes(expression):
        if isinstance(node, promql.VectorSelector):
            yield node
        elif isinstance(node, promql.MatrixSelector):
            yield node.vector_selector


def grouped(expression: promql.Expr) -> set[str]:
    """The labels by which something is summed or matched."""
    labels: set[str] = set()
    for node in nodes(expression):
        if isinstance(node, promql.AggregateExpr) and node.modifier:
            labels |= set(node.modifier.labels)
        elif isinstance(node, promql.BinaryExpr) and node.modifier and node.modifier.matching:
            labels |= set(node.modifier.matching.labels)
    return labels


@pytest.fixture
def fleet(fleet_on: FleetOn, redis_server: RedisServer) -> SidecarFleet:
    """Pods to come."""
    return fleet_on(redis_server)


@pytest.fixture
def document(
    upstream: Upstream, other: Upstream, authorization_server: AuthorizationServer, tmp_path: Path, aws: Aws
) -> Document:
    """Tokens of which one is refused, one unavailable and one without credentials, a route for each, and an upstream
    that is down."""
    secret_file = tmp_path / "client-secret"
    secret_file.write_text("canary")
    certificate = tmp_path / "client.pem"
    certificate.write_bytes(issue(trustme.CA(), "client"))
    down = {"name": "down", "match": {"prefix": "/down"}, "upstream": "https://127.0.0.1:1"}
    other.script(closing(json_answer(400, {"error": "invalid_scope"})))
    endpoints = {
        "good": authorization_server.token_endpoint,
        "refused": f"{other.url}/token",
        "out": "http://127.0.0.1:1/token",
        "denied": authorization_server.token_endpoint,
    }
    return {
        "credentials": {
            "app": {"client_id": "app", "client_secret": {"file": str(secret_file)}},
            "missing": {"aws_secret": {"id": aws.name("missing"), "region": REGION, "endpoint": aws.url}},
        },
        "tokens": {
            name: {"token_endpoint": url, "credentials": "missing" if name == "denied" else "app"}
            for name, url in endpoints.items()
        },
        "routes": [
            {"name": name, "match": {"prefix": f"/{name}"}, "upstream": upstream.url, "token": name}
            for name in endpoints
        ]
        + [{**down, "tls": {"certificate_file": str(certificate)}}],
    }


@pytest.fixture
async def printed(
    fleet: SidecarFleet, upstream: Upstream, document: Document, monkeypatch: pytest.MonkeyPatch
) -> Names:
    """What a pod of a fleet prints that also exports, after a request of each route and one that lacks a scope."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with fleet:
        [pod] = await fleet.start(1, joined=True, tenant=TENANT, **document)
        async with asyncio.timeout(PATIENCE):
            assert [await pod.get(path) for path in (b"/good", b"/refused", b"/out")] == [200, 502, 503]
            assert await pod.get(b"/denied") == 502
            upstream.script(refusal(b'Bearer error="insufficient_scope"', 403))
            assert await pod.get(b"/good") == 403
            assert await pod.get(b"/down") == 502
            page = ""
            while "sidecar_certificate_lifetime_seconds{" not in page:
                page = (await ask(pod.app.admin_address, get(b"/metrics"))).body.decode()
    names: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = names.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return names


def strangers(expression: str, printed: Names) -> Iterator[str]:
    """What the expression names and no sidecar prints."""
    tree = parsed(expression)
    known: set[str] = set(TARGET)
    for selector in selectors(tree):
        labels = {**printed, **KUBE_STATE}.get(name := str(selector.name))
        if labels is None:
            yield name
            continue
        known |= set(labels)
        for matcher in selector.matchers.matchers:
            if matcher.name not in known:
                yield f"{name}{{{matcher.name}}}"
            elif matcher.value and matcher.name not in TARGET:
                rare = RARE.get(name, {}).get(matcher.name, set())
                yield from set(matcher.value.split("|")) - labels[matcher.name] - rare
    yield from grouped(tree) - known


async def test_every_name_is_printed(printed: Names) -> None:
    """Neither an alert nor a graph waits for a metric, a label or a value that does not exist."""
    assert len(EXPRESSIONS) > 40
    found = {name: wrong for name, text in EXPRESSIONS.items() if (wrong := list(strangers(text, printed)))}
    assert found == {}


async def test_a_wrong_name_is_found(printed: Names) -> None:
    """The test above can fail: by name, label, value and grouping."""
    for wrong in ("sidecar_store", "sidecar_store_up{tokn='a'}", "sum by (tokn) (sidecar_store_up)"):
        assert list(strangers(wrong, printed)), wrong
    assert list(strangers("sidecar_busts_rejected_total{reason=~'forged|forgotten'}", printed)) == [
        "forgotten"
    ]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_happens_and_what_to_do(name: str) -> None:
    """Both in words, with labels that its expression leaves there; its severity decides who is paged."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "consequence", "action"} == set(rule["annotations"])
    kept = grouped(parsed(rule["expr"])) or None
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert kept is None or used <= kept
    assert "{{" not in re.sub(
        r"\{\{ (end|(if )?\$(labels\.\w+|value)) \}\}", "", " ".join(rule["annotations"].values())
    )


def test_c12_a_tenant_that_is_missing_leaves_no_blank() -> None:
    """Without tenants the text would have two blanks in its place."""
    for rule in ALERTS.values():
        assert "{{ $labels.token }} {{ $labels.tenant }}" not in rule["annotations"]["summary"]


def test_c1_an_alert_is_about_labelled_pods_without_a_sidecar() -> None:
    """Of either form; the chart's page has the flag without which kube-state-metrics prints no labels."""
    rule = ALERTS["CredentialSidecarMissing"]
    assert {str(each.name) for each in selectors(parsed(rule["expr"]))} == set(KUBE_STATE)
    page = (CHART / "README.md").read_text()
    assert "--metric-labels-allowlist=pods=[credential-sidecar/inject]" in page


def test_an_alerts_values_are_gone_when_all_is_well() -> None:
    """Each compares, so that it fires by exception only."""
    for name, rule in ALERTS.items():
        assert re.search(r"[<>=]=? [0-9.]+[\s)]*$", rule["expr"]), name


@pytest.mark.parametrize(("title", "expression", "legend"), list(drawn()))
def test_a_legend_names_what_its_graph_keeps(title: str, expression: str, legend: str) -> None:
    """Otherwise it would be blank."""
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped(parsed(expression)), title


def test_the_dashboard_is_what_it_is_made_of() -> None:
    """`make chart` would change nothing."""
    assert dashboard.FILE.read_text() == dashboard.dashboard()


def test_the_chart_carries_them_unchanged() -> None:
    """Helm's own templates do not touch those of Prometheus and Grafana."""
    manifests = render(CHART / "ci" / "monitoring-values.yaml")
    assert of_kind("PrometheusRule", manifests)["spec"] == RULES
    [shown] = [each for each in manifests if each["metadata"]["name"].endswith("-dashboard")]
    assert json.loads(shown["data"]["credential-sidecar.json"]) == json.loads(dashboard.FILE.read_text())
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize("mode", MODES)
def test_the_monitor_finds_the_pods(mode: str) -> None:
    """By the label that every pod with the sidecar has, and at the port's name."""
    manifests = render(CHART / "ci" / "monitoring-values.yaml", f"mode={mode}")
    monitor = of_kind("PodMonitor", manifests)["spec"]
    label = {"credential-sidecar/inject": "r-credential-sidecar"}
    assert monitor["selector"]["matchLabels"] == label
    assert monitor["podMetricsEndpoints"] == [
        {"port": "sidecar-admin", "path": "/metrics", "interval": "30s"}
    ]
    if mode == "app":
        assert (
            label.items()
            <= of_kind("Deployment", manifests)["spec"]["template"]["metadata"]["labels"].items()
        )


def test_graphs_lie_beside_each_other() -> None:
    """Each on its own place, 24 columns wide in all, with a number of its own."""
    panels = json.loads(dashboard.FILE.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (place["x"] + right, place["y"] + down)
        for place in places
        for right in range(place["w"])
        for down in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
