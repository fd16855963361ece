"""`sidecar bust`."""

import argparse
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.cli import flags
from sidecar.cli.exits import EXIT_OK

if TYPE_CHECKING:
    from sidecar.core.secret import Secret

MEANING = "drop the tokens with all of these labels in every pod, and print how many"
EXAMPLE = "sidecar bust --tenant acme --service ledger-client --token-file admin-token"

_LABELS = {
    "tenant": "tokens of this tenant",
    "service": "tokens obtained with the credentials of this service",
    "user": "tokens of this user: `sub` or `email`",
    "jti": "the token with this id",
    "team": "tokens of members of this team",
    "role": "tokens with this role",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for labels and for the admin server."""
    for label, meaning in _LABELS.items():
        parser.add_argument(f"--{label}", metavar="ID", help=meaning)
    parser.add_argument("--all", action="store_true", help="all tokens, instead of labels")
    flags.add_admin(parser)
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="file with the admin.token; default: $SIDECAR_ADMIN_TOKEN_FILE, else the value of $SIDECAR_ADMIN_TOKEN",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Send a bust to a pod."""
    from sidecar.admin.client import bust
    from sidecar.cli.terminal import harmless
    from sidecar.core.labels import parse_selector

    labels = {label: value for label in _LABELS if (value := getattr(arguments, label)) is not None}
    if bool(labels) is arguments.all:
        arguments.usage("name one or more labels, or --all")
    try:
        select: Mapping[str, object] = dict(parse_selector(labels)) or {"all": True}
    except ValueError as error:
        arguments.usage(str(error))
    sent = bust(arguments.admin, _admin_token(arguments), select)
    for warning in sent.warnings:
        print(harmless(f"sidecar: warning: {warning}"), file=sys.stderr)
    print(harmless(sent.result))
    return EXIT_OK


def _admin_token(arguments: argparse.Namespace) -> "Secret":
    from pathlib import Path

    from sidecar.core import foreign_text
    from sidecar.core.secret import Secret
    from sidecar.system import files

    file = arguments.token_file or foreign_text.trimmed(os.environ.get("SIDECAR_ADMIN_TOKEN_FILE", ""))
    given = os.environ.get("SIDECAR_ADMIN_TOKEN", "")
    place = f"the token's file {file}" if file else "SIDECAR_ADMIN_TOKEN"
    try:
        if file:
            with Path(file).open("rb") as opened:  # a pipe, too, because the user can interrupt the wait
                given = foreign_text.decoded(files.content(opened, files.SECRET_LIMIT))
        token = foreign_text.value(given) if file or given else ""
    except OSError as error:
        arguments.usage(f"cannot read {place}: {error.strerror}")
    except ValueError as error:
        arguments.usage(f"cannot use {place}: {error}")
    if not token.isascii():
        arguments.usage(f"cannot use {place}: it is not ASCII text")
    return Secret(token)
