"""What an operator sees of a real sidecar during an incident, and the alerts that Prometheus raises for it."""

import asyncio
import operator
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from tests.support.commands import command
from tests.support.incidents import PREFIX, Incident
from tests.support.processes import Process
from tests.support.waiting import PATIENCE, awake, until
from tests.system.alerts.chart_rules import WATCHED
from tests.system.alerts.promtool import INTERVAL
from tests.system.chart.generate import RULES
from tests.system.incidents.over_time import SCRAPES, continued, read

Requests = Callable[[], Awaitable[object]]
"""Sends the requests that go on during the incident."""
_CONDITION = re.compile(r"(\w+)(?:\{(.*)\})? (>=|>|==|<) (\S+)")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "==": operator.eq,
}
_DATE = re.compile(r"\b(\d\d):(\d\d):(\d\d)\b")
_DAY = 86400


def holds(condition: str, page: bytes) -> bool:
    """Return whether a series of the page fulfils a condition such as `name{label="value"} > 0`."""
    found = _CONDITION.fullmatch(condition)
    assert found is not None, condition
    name, labels, compare, limit = found[1], found[2] or "", found[3], float(found[4])
    return any(
        series.partition("{")[0] == name
        and set(filter(None, labels.split(","))) <= set(series.partition("{")[2].removesuffix("}").split(","))
        and _COMPARE[compare](value, limit)
        for series, value in read(page).items()
    )


class OperatorsView:
    """Of one process, in one incident."""

    def __init__(self, process: Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._healthy = b""
        self._began = 0.0

    async def begin(self) -> None:
        """Note how it is before the incident."""
        self._healthy = await self.metrics()
        self._began = time.time()

    async def shows(self, incident: Incident, requests: Requests, *, ahead: float = 0.0) -> None:
        """Check every surface; requests go on. The sidecar's clock may be ahead of the test's."""
        early = await self._once_it_shows(incident, requests)
        await requests()
        late = await self.metrics()
        began, now = self._began + ahead, time.time() + ahead
        line = await self._line(incident)
        assert began - 1 <= _epoch(str(line["ts"])) <= now, line
        shown = await self._shown(incident)
        assert any(_within(date, began, now) for date in _DATE.findall(shown)), shown
        expected = {f"{PREFIX}{incident.alert}": incident.after} if incident.alert else {}
        firing = self._firing(early, late)
        assert firing == expected, firing

    async def metrics(self) -> bytes:
        """Return the page of metrics."""
        status, page = await self._process.page(b"/metrics")
        assert status == 200
        return page.partition(b"\r\n\r\n")[2]

    async def _once_it_shows(self, incident: Incident, requests: Requests) -> bytes:
        """Return the first page on which the incident's condition holds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await requests()
                page = await self.metrics()
                if all(holds(condition, page) for condition in incident.metrics):
                    return page
                await awake(0.1)

    async def _line(self, incident: Incident) -> Mapping[str, object]:
        """Return the first line of the log that names the cause, once it is written."""
        found: list[Mapping[str, object]] = []

        def is_written() -> bool:
            found.extend(line for line in self._process.events(incident.event) if _names(line, incident))
            return bool(found)

        await until(is_written)
        return found[0]

    async def _shown(self, incident: Incident) -> str:
        """Return the finding or event in `sidecar status` that names the cause."""
        done = await command("status", "--admin", self._process.admin)
        assert (done.code, done.err) == (0, "")
        if incident.healed:
            assert "nothing found in this pod" in done.out
            parts = done.out.partition("recent events\n")[2].splitlines()
        else:
            parts = list(_findings(done.out))
        for part in parts:
            if all(text in part for text in incident.finding):
                return part
        raise AssertionError(f"not named: {incident.finding}\n{done.out}")

    def _firing(self, early: bytes, late: bytes) -> Mapping[str, int]:
        """Return the alerts that fire if the incident goes on, each with the seconds until then."""
        series = continued(self._healthy, early, late, RULES.read_text())
        return WATCHED.first_firing(series, range(0, SCRAPES * INTERVAL, INTERVAL), self._folder)


def _names(line: Mapping[str, object], incident: Incident) -> bool:
    return all(text.lower() in str(line.get(name)).lower() for name, text in incident.fields.items())


def _findings(status: str) -> Iterator[str]:
    """Yield what is wrong now, each finding on one line."""
    block = status.partition("what is wrong now\n")[2].partition("\n\n")[0]
    for finding in re.split(r"\n(?=\S)", block):
        yield " ".join(finding.split())


def _epoch(date: str) -> float:
    return time.mktime(time.strptime(date[:19] + "UTC", "%Y-%m-%dT%H:%M:%S%Z")) - time.timezone


def _within(date: tuple[str, str, str], began: float, now: float) -> bool:
    """Return whether the time of day lies between these moments, to the second."""
    hours, minutes, seconds = map(int, date)
    since_began = (hours * 3600 + minutes * 60 + seconds - began) % _DAY
    return since_began <= now - began or since_began >= _DAY - 1
