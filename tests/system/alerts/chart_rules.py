"""The alerts of the chart."""

from collections.abc import Mapping
from typing import Any

import yaml

from tests.system.alerts.promtool import Rules
from tests.system.chart.generate import RULES

ALERTS: Mapping[str, Mapping[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
WATCHED = Rules(RULES, ALERTS)
