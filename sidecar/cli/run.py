"""`sidecar run`."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sidecar.cli import flags
from sidecar.system import early_signals

if TYPE_CHECKING:
    from sidecar.config.settings import Config

MEANING = "serve until SIGTERM; SIGHUP or a changed file reloads the configuration"
EXAMPLE = "sidecar run --config sidecar.yaml --log-format console"

LONGEST_TURN = 0.0005
"""Seconds for which a thread (the log's, an exporter's) may keep the event loop waiting for the interpreter; Python's
own are 5 ms, and every request of that moment would be as late."""

add_flags = flags.add_configuration


def execute(arguments: argparse.Namespace) -> int:
    """Serve."""
    with early_signals.remembered() as hung_up:
        return _serve(arguments, hung_up)


def _serve(arguments: argparse.Namespace, hung_up: Callable[[], bool]) -> int:
    from sidecar.app.process import raise_descriptor_limit

    raise_descriptor_limit()
    import uvloop

    from sidecar.app.serve import serve
    from sidecar.config.load import load, sources

    environ = flags.environ(arguments)
    sys.setswitchinterval(LONGEST_TURN)
    read: Callable[[Callable[[], None]], Config] = partial(load, arguments.config, environ)
    return uvloop.run(serve(read, partial(sources, arguments.config, environ), hung_up))
