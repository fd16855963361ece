"""The pages of docs/reference."""

from collections.abc import Callable, Mapping

from tests import ROOT
from tests.support.programs.pages import (
    cli,
    configuration,
    dialects,
    environment,
    errors,
    limits,
    log_events,
    metrics,
    redis_keys,
    status_api,
    token_api,
)

FOLDER = ROOT / "docs/reference"
GENERATED: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration.text,
    "environment.md": environment.text,
    "cli.md": cli.text,
    "metrics.md": metrics.text,
    "log-events.md": log_events.text,
    "status-api.md": status_api.text,
    "token-api.md": token_api.text,
    "errors.md": errors.text,
    "limits.md": limits.text,
    "redis-keys.md": redis_keys.text,
    "dialects.md": dialects.text,
}
BY_HAND = frozenset({"glossary.md", "compatibility.md"})


def write() -> None:
    """Write them."""
    for name, text in GENERATED.items():
        (FOLDER / name).write_text(text())
