"""Prometheus's own checks of rules, of what rules do with series, and of a page of metrics."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.required import missing

INTERVAL = 30
"""Seconds between two scrapes, as in the chart's PodMonitor, and between two evaluations of the rules."""

_FIRED = re.compile(r"alertname: (\w+), time: (\w+)")
_UNITS = {"h": 3600, "m": 60, "s": 1}


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

    def first_firing(
        self, series: Mapping[str, str], times: Iterable[int], folder: Path
    ) -> Mapping[str, int]:
        """Return the alerts that fire at some of these times with these series, each with the first one (seconds)."""
        tests = [
            {"eval_time": f"{seconds}s", "alertname": name, "exp_alerts": []}
            for seconds in times
            for name in self.names
        ]
        _, printed = self._run({"alert_rule_test": tests}, series, folder)
        found: dict[str, int] = {}
        for name, time in _FIRED.findall(printed):
            found[name] = min(_seconds(time), found.get(name, _seconds(time)))
        assert bool(found) is ("FAILED" in printed), printed
        return found

    def check(self, series: Mapping[str, str], seconds: int, firing: Iterable[Alert], folder: Path) -> str:
        """Return "" if exactly these alerts fire after so many seconds of these series, else how they differ."""
        expected = list(firing)
        tests = {
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
        code, printed = self._run(tests, series, folder)
        return printed if code else ""

    def _run(self, tests: Mapping[str, object], series: Mapping[str, str], folder: Path) -> tuple[int, str]:
        given = [{"series": name, "values": values} for name, values in series.items()]
        test = {"interval": f"{INTERVAL}s", "input_series": given, **tests}
        file = folder / "alerts.json"  # YAML contains JSON
        file.write_text(
            json.dumps(
                {"rule_files": [str(self.file)], "evaluation_interval": f"{INTERVAL}s", "tests": [test]}
            )
        )
        return promtool("test", "rules", str(file))


def _seconds(duration: str) -> int:
    """Return the seconds of a duration as promtool prints it, such as `1h2m30s`."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))
