"""The page of environment variables, from the tables of the modules that read them."""

from collections.abc import Iterable, Iterator, Mapping

from sidecar.config import environment
from sidecar.telemetry import otel_env
from tests.support.programs.pages.markdown import code, page, prose, table

INTRODUCTION = prose(
    """A variable overrides the [configuration file](configuration.md), and a flag overrides its variable. An empty
    variable counts as unset. Everything that comes from the environment needs a restart to change.""",
    """A variable that begins with `SIDECAR_` but is not a setting has no effect. `sidecar validate` prints a warning
    for it, and the log has `setting_ignored`.""",
)
ONE_ROUTE = prose(
    """These variables define one route from `/` to an upstream, without a file. The first four are required. You
    cannot combine them with a configuration file.""",
)
TELEMETRY = prose(
    """The exporter also reads `OTEL_EXPORTER_OTLP_HEADERS`, `_TIMEOUT` (seconds, not milliseconds), `_COMPRESSION`,
    `_CERTIFICATE`, `_CLIENT_KEY` and `_CLIENT_CERTIFICATE`, and the same names with `METRICS_` or `TRACES_` after
    `OTLP_`. If a variable has an unusable value, its default is used and the log has `setting_ignored`.""",
)
PROXIES = prose(
    """`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` apply to requests to AWS only. Requests to upstreams, authorization
    servers and collectors ignore them.""",
)


def text() -> str:
    """Return the page."""
    return page(
        "Environment variables",
        "`sidecar/config/environment.py` and `sidecar/telemetry/otel_env.py`",
        INTRODUCTION,
        "## Settings of the file",
        _table(_settings()),
        "## One route without a file",
        ONE_ROUTE,
        _table(_one_route()),
        "## Other settings",
        _table(environment.OTHERS.items()),
        "## OpenTelemetry",
        _table(otel_env.MEANINGS.items()),
        TELEMETRY,
        "## Proxies",
        PROXIES,
    )


def names() -> set[str]:
    """Return every variable on the page."""
    tables: tuple[Mapping[str, str], ...] = (dict(_settings()), dict(_one_route()), environment.OTHERS)
    return {*otel_env.MEANINGS, *(name for each in tables for name in each)}


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return table(("Variable", "Meaning"), [(code(name), meaning) for name, meaning in rows])


def _settings() -> Iterator[tuple[str, str]]:
    for key, name in environment.SETTINGS.items():
        yield name, f"Overrides `{key}`{', in whole seconds' if name.endswith('_SEC') else ''}."


def _one_route() -> Iterator[tuple[str, str]]:
    for key, name in environment.ONE_ROUTE.items():
        written = ", separated by spaces" if key.endswith(".scope") else ""
        place = key.replace("[0]", "[]").replace(".default.", ".<name>.")
        yield name, f"As `{place}`{written}."
        if name in environment.ONE_ROUTE_TWINS:
            yield f"{name}_FILE", f"File with that value, instead of `{name}`."
