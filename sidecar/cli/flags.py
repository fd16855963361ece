"""Flags that several commands have."""

import argparse
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.core.errors import ConfigError, Fault

_VARIABLES = {
    "listen": "SIDECAR_LISTEN",
    "admin_listen": "SIDECAR_ADMIN_LISTEN",
    "log_format": "LOG_FORMAT",
}
"""A flag overrides its variable by replacing its value."""


def add_configuration_file(parser: argparse.ArgumentParser, *, piped: bool = True) -> None:
    """Add the configuration, as an argument or a flag, and flags that override parts of it."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="the same as --config FILE")
    add_configuration(parser, piped=piped)


def add_configuration(parser: argparse.ArgumentParser, *, piped: bool = True) -> None:
    """Add the flags for the configuration, and flags that override parts of it."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help=f"configuration file{', or - for standard input' if piped else ''}; "
        "default: $SIDECAR_CONFIG, then /etc/sidecar/config.yaml",
    )
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="address for the application; overrides SIDECAR_LISTEN and the file",
    )
    parser.add_argument(
        "--admin-listen",
        metavar="ADDRESS",
        help="address of the admin server; overrides SIDECAR_ADMIN_LISTEN and the file",
    )
    parser.add_argument(
        "--log-format",
        metavar="{json,console}",
        help="format of the log; overrides LOG_FORMAT and the file",
    )
    parser.set_defaults(file=None)


def configuration_file(arguments: argparse.Namespace) -> str | None:
    """Return the named configuration file, None if none is named."""
    if arguments.file is not None and arguments.config is not None:
        arguments.usage("name the configuration once: as FILE or with --config FILE")
    named: str | None = arguments.config if arguments.file is None else arguments.file
    return named


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the admin server."""
    parser.add_argument(
        "--admin",
        metavar="ADDRESS",
        type=_admin,
        default="",
        help="admin server: host:port, http://host:port or unix:/path; "
        "default: SIDECAR_ADMIN_LISTEN of this pod, else 127.0.0.1:9181",
    )


def _admin(text: str) -> str:
    from sidecar.core import addresses, foreign_text

    try:
        if not text:
            listen = foreign_text.trimmed(os.environ.get("SIDECAR_ADMIN_LISTEN", ""))
            return addresses.beside(listen or "127.0.0.1:9181")
        return addresses.admin(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Read a flag with a number of seconds."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"write a number of seconds from {least:g} to {most:g}")
        return number

    return read


def environ(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return the environment, with values from flags in place of its own."""
    flags = {name: getattr(arguments, flag) for flag, name in _VARIABLES.items()}
    return {**os.environ, **{name: value for name, value in flags.items() if value is not None}}


def faults(error: "ConfigError", arguments: argparse.Namespace) -> list[str]:
    """Return the faults; one in a flag names the flag instead of the variable."""
    typed = {
        name: f"--{flag.replace('_', '-')}"
        for flag, name in _VARIABLES.items()
        if getattr(arguments, flag, None) is not None
    }
    count = len(error.faults)
    return (
        [f"sidecar: {count} {'fault' if count == 1 else 'faults'} in the configuration"]
        + [
            f"  {typed[fault.path]}: {fault.reason}" if fault.path in typed else f"  {fault}"
            for fault in error.faults
        ]
        + [warned(warning) for warning in error.warnings]
    )


def warned(warning: "Fault") -> str:
    """Return the line about values that can be used, but are probably a mistake."""
    return f"  warning: {warning}"
