"""Durations, rates and shares in the form for people, in the command line as in findings."""

_UNITS = ((172_800.0, 86_400.0, "d"), (6000.0, 3600.0, "h"), (100.0, 60.0, "min"), (0.0, 1.0, "s"))


def span(seconds: float) -> str:
    """Return a duration in one unit."""
    size, unit = next((size, unit) for least, size, unit in _UNITS if round(max(0.0, seconds)) >= least)
    return f"{max(0.0, seconds) / size:.0f} {unit}"


def rate(per_second: float) -> str:
    """Return a rate."""
    if not per_second:
        return "0/s"
    if per_second < 0.1:
        return f"{per_second * 60:.1f}/min"
    return f"{per_second:.{1 if per_second < 10 else 0}f}/s"


def share(part: float, whole: float) -> str:
    """Return a percentage; `-` of a total of zero."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.{1 if 0 < percent < 10 else 0}f} %"
