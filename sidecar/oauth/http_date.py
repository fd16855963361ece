"""The three forms of an HTTP date (RFC 9110 section 5.6.7).

| form         | example                          | still sent by                    |
| ------------ | -------------------------------- | -------------------------------- |
| IMF-fixdate  | `Sun, 06 Nov 1994 08:49:37 GMT`  | everything current               |
| RFC 850 date | `Sunday, 06-Nov-94 08:49:37 GMT` | old servers and hardware         |
| asctime date | `Sun Nov  6 08:49:37 1994`       | servers that print C's own dates |

The day of the week is not compared with the date: servers that compute it wrongly mean the date.
"""

import re
from datetime import UTC, datetime

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_SHORT = "(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_FORMS = tuple(
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"{_SHORT}, (?P<day>[0-9]{{1,2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"{_LONG}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"{_SHORT} {_MONTH} (?P<day>[ 0-9]?[0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_AHEAD = 50
"""Years that a date with a two-digit year may lie ahead; one that would lie further ahead is in the past."""


def parse(text: str, today: float) -> float | None:
    """Return the date in epoch seconds, None where the text is none. `today` resolves a year of two digits."""
    found = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    month, year = _MONTHS.index(found["month"].lower()) + 1, int(found["year"])
    day, hour, minute, second = (int(found[part]) for part in ("day", "hour", "minute", "second"))
    if len(found["year"]) == 2:
        year = _full_year(year, (month, day, hour, minute, second), datetime.fromtimestamp(today, UTC))
    if second > 60:
        return None
    try:
        return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() + second  # 60: a leap second
    except ValueError:
        return None


def _full_year(digits: int, rest: tuple[int, ...], today: datetime) -> int:
    """Return the last year with these two digits in which the date is at most 50 years ahead."""
    latest = today.year + _AHEAD
    year = latest - (latest - digits) % 100
    ahead = year == latest and rest > (today.month, today.day, today.hour, today.minute, today.second)
    return year - 100 if ahead else year
