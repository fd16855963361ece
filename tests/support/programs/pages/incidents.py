"""The page of incidents, from what the tests of incidents compare with."""

from collections.abc import Iterator

import yaml

from tests import ROOT
from tests.support.incidents import INCIDENTS, PREFIX, Incident
from tests.support.programs.pages.markdown import code, page, prose, table

PAGE = ROOT / "docs/explanation/incidents.md"
INTRODUCTION = prose(
    """This page shows what the log, `sidecar status` and the metrics show in each incident, and which alert fires. A
    test causes each incident with real processes: a sidecar, an authorization server, an upstream, and Redis or AWS
    Secrets Manager where needed. The test compares what the sidecar shows with this page. For the fix, follow the
    link of the incident.""",
    """In each incident one alert fires, or none is needed. No other alert fires with it.""",
)


def text() -> str:
    """Return the page."""
    head = ("Incident", "Log", "`sidecar status`", "Metrics", "Alert", "After")
    return page(
        "Incidents",
        "`tests/support/incidents.py`",
        INTRODUCTION,
        "## What you see",
        table(head, [tuple(_cells(each)) for each in INCIDENTS.values()]),
        "## How to read the table",
        prose("**Log:** the event, and texts in its fields. `ts` is the time."),
        prose(
            """**`sidecar status`:** texts in a finding of `what is wrong now`. `since` below the finding is the time
            of the first failure. A token that was revoked once is healed, so it is only in `recent events`."""
        ),
        prose(
            """**Metrics:** conditions in PromQL. `token="api"`, `service="app"` and `http_route="api"` stand for your
            names. A metric that ends in `_failing_seconds` or `_down_seconds` has the duration of the problem."""
        ),
        prose(
            f"""**Alert:** its name without `{PREFIX}`, and its severity. **After:** the time from the last scrape
            without the incident until the alert fires. That time applies if Prometheus scrapes every 30 s, requests
            continue, and the incident affects a tenth of them or more. Prometheus's own `promtool` evaluates the
            alerts of the chart with the metrics of the process. While a token is in use and cannot be renewed,
            `TokenRunsOut` fires in place of the alert about a missing token."""
        ),
        "## See also",
        prose(
            """[Troubleshoot](../how-to/troubleshoot.md) has the fixes. [Observe](../how-to/observe.md) lists the
            findings."""
        ),
    )


def _cells(incident: Incident) -> Iterator[str]:
    yield f"[{incident.title}](../how-to/troubleshoot.md#{incident.section})"
    yield " ".join(
        (code(incident.event), *(code(f"{name}={_open(text)}") for name, text in incident.fields.items()))
    )
    yield "<br>".join(code(_open(text)) for text in incident.finding)
    yield "<br>".join(map(code, incident.metrics))
    if incident.alert:
        yield f"{code(incident.alert)}, {_severity(incident.alert)}"
        yield _span(incident.after)
    else:
        yield "none"
        yield ""


def _open(text: str) -> str:
    """Return the beginning of an address with a sign that it goes on."""
    return f"{text}…" if text.endswith(":") else text


def _severity(alert: str) -> str:
    groups = yaml.safe_load((ROOT / "helm/rules/credential-sidecar.yaml").read_text())["groups"]
    [rule] = [rule for group in groups for rule in group["rules"] if rule["alert"] == f"{PREFIX}{alert}"]
    return str(rule["labels"]["severity"])


def _span(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return " ".join(f"{number} {unit}" for number, unit in ((minutes, "min"), (rest, "s")) if number)
