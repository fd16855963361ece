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

MEANING = "serve until SIGTERM; reload on SIGHUP or when the file changes"
EXAMPLE = "sidecar run --config sidecar.yaml --log-format console"

LONGEST_TURN = 0.0005
"""Seconds for which a thread (the log's, an exporter's) may keep the event loop waiting for the interpreter; Python's
own are 5 ms, and every request of that moment would be as late."""

add_flags = partial(flags.add_configuration_file, piped=False)


def execute(arguments: argparse.Namespace) -> int:
    """Run the sidecar."""
    with early_signals.remembered() as hung_up:
        return _serve(arguments, hung_up)


def _serve(arguments: argparse.Namespace, hung_up: Callable[[], bool]) -> int:
    from sidecar.app.process import raise_descriptor_limit

    raise_descriptor_limit()
    import uvloop

    from sidecar.app.serve import serve
    from sidecar.config.load import load, sources

    file, environ = flags.configuration_file(arguments), flags.environ(arguments)
    sys.setswitchinterval(LONGEST_TURN)
    read: Callable[[Callable[[], None]], Config] = partial(load, file, environ)
    return uvloop.run(serve(read, partial(sources, file, environ), hung_up))
