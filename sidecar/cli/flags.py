"""Flags that several commands have."""

import argparse
import os
from collections.abc import Mapping

from sidecar.core.errors import ConfigError, Fault

_VARIABLES = {
    "listen": "SIDECAR_LISTEN",
    "admin_listen": "SIDECAR_ADMIN_LISTEN",
    "log_format": "LOG_FORMAT",
}
"""A flag goes before its variable by being written over it."""


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Let the command say where its configuration is, and overrule some of it."""
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="default: $SIDECAR_CONFIG, then /etc/sidecar/config.yaml"
    )
    parser.add_argument("--listen", metavar="ADDRESS", help="before SIDECAR_LISTEN and the file's listen")
    parser.add_argument("--admin-listen", metavar="ADDRESS", help="before SIDECAR_ADMIN_LISTEN and the file")
    parser.add_argument(
        "--log-format", metavar="FORMAT", help="json or console; before LOG_FORMAT and the file"
    )


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Let the command say which admin server it asks."""
    parser.add_argument(
        "--admin",
        metavar="URL",
        type=_admin,
        default="",
        help="the admin server, also unix:/path; default: this pod's, where SIDECAR_ADMIN_LISTEN says, "
        "else http://127.0.0.1:9181",
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


def environ(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return the environment with the flags written over it."""
    flags = {name: getattr(arguments, flag) for flag, name in _VARIABLES.items()}
    return {**os.environ, **{name: value for name, value in flags.items() if value is not None}}


def faults(error: ConfigError, arguments: argparse.Namespace) -> list[str]:
    """Tell the faults; one in a flag names the flag, not the variable it is written over."""
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


def warned(warning: Fault) -> str:
    """Return the line about what can be used, but is probably a mistake."""
    return f"  warning: {warning}"
