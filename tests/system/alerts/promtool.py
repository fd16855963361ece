"""Prometheus's own checks of rules, of what rules do with series, and of a page of metrics."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.required import missing

INTERVAL = 30
"""Seconds between two scrapes, as in the chart's PodMonitor, and between two evaluations of the rules."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fires: its name, its labels and its annotations."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def promtool(*arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run promtool; return its exit code and what it printed."""
    if shutil.which("promtool") is None:
        missing("no promtool: make promtool")
    done = subprocess.run(
        ["promtool", *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode()


@dataclass(frozen=True, slots=True)
class Rules:
    """A file of rules, and the names of its alerts."""

    file: Path
    names: Iterable[str]

    def check(self, series: Mapping[str, str], seconds: int, firing: Iterable[Alert], folder: Path) -> str:
        """Return "" if exactly these alerts fire after so many seconds of these series, else how they differ."""
        expected = list(firing)
        test = {
            "interval": f"{INTERVAL}s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [
                {
                    "eval_time": f"{seconds}s",
                    "alertname": name,
                    "exp_alerts": [
                        {"exp_labels": dict(alert.labels), "exp_annotations": dict(alert.annotations)}
                        for alert in expected
                        if alert.name == name
                    ],
                }
                for name in self.names
            ],
        }
        file = folder / "alerts.json"  # YAML contains JSON
        file.write_text(
            json.dumps(
                {"rule_files": [str(self.file)], "evaluation_interval": f"{INTERVAL}s", "tests": [test]}
            )
        )
        code, printed = promtool("test", "rules", str(file))
        return printed if code else ""
