"""`sidecar inject`."""

import argparse
import re
import sys
from collections.abc import Callable

from sidecar.cli.exits import EXIT_OK

MEANING = "add the sidecar to the pods of Kubernetes manifests, or remove it"
EXAMPLE = """\
sidecar inject -f deployment.yaml --config-map sidecar-config \\
    | kubectl apply -f -"""

MAX_BYTES = 16 << 20

_IMAGE = (
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::\w[\w.-]{0,127})?(?:@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?"
)
_NAME = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the manifest and for the blanks in the definition of the container."""
    parser.add_argument(
        "-f", "--file", metavar="FILE", required=True, help="manifest, or - for standard input"
    )
    parser.add_argument(
        "--config-map",
        metavar="NAME",
        type=_written(f"({_NAME})", "the name of a ConfigMap"),
        help="ConfigMap that holds config.yaml; required except with --remove",
    )
    parser.add_argument(
        "--image",
        metavar="IMAGE",
        type=_written(f"({_IMAGE})", "the name of an image, such as registry.example.com/sidecar:1"),
        help="image of the sidecar; default: credential-sidecar of this version",
    )
    parser.add_argument(
        "--classic",
        action="store_true",
        help="add an ordinary container, for Kubernetes before 1.29; not for Jobs",
    )
    parser.add_argument(
        "--secret-file",
        metavar="SECRET[=PATH]",
        type=_written(f"({_NAME})(?:=(/[^:\\s]+))?", "SECRET or SECRET=/PATH"),
        action="append",
        default=[],
        help="mount a Secret in the sidecar only; default of PATH: /var/run/secrets/SECRET; may be repeated",
    )
    parser.add_argument(
        "--secret-env",
        metavar="NAME=SECRET:KEY",
        type=_written(f"([A-Za-z_][A-Za-z0-9_]*)=({_NAME}):([A-Za-z0-9._-]+)", "NAME=SECRET:KEY"),
        action="append",
        default=[],
        help="set a variable of the sidecar from a Secret; may be repeated",
    )
    parser.add_argument(
        "--listen", metavar="ADDRESS", type=_address, help="address for the application; overrides the file"
    )
    parser.add_argument(
        "--admin-listen", metavar="ADDRESS", help="address of the admin server; default: 0.0.0.0:9181"
    )
    _add_container_flags(parser)
    parser.add_argument("--remove", action="store_true", help="remove the sidecar")


def _add_container_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for fields of the container that Kubernetes reads and the sidecar does not."""
    parser.add_argument(
        "--pull-policy",
        choices=("Always", "IfNotPresent", "Never"),
        help="when the kubelet pulls the image; default: the cluster's",
    )
    for kind in ("requests", "limits"):
        parser.add_argument(
            f"--{kind}",
            metavar="NAME=QUANTITY,...",
            type=_quantities,
            default={},
            help=f"{kind} of the sidecar, such as cpu=20m,memory=64Mi; replaces the default requests and limits",
        )
    parser.add_argument(
        "--user",
        metavar="UID[:GID]",
        type=_user,
        default={},
        help="user and group of the sidecar, or `any` if the cluster chooses, as in OpenShift; default: 65532:65532",
    )
    parser.add_argument(
        "--security-context",
        metavar="JSON",
        type=_security_context,
        default={},
        help="fields that replace those of the sidecar's security context; null removes one",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the manifest with the sidecar, or without it."""
    from sidecar.cli.terminal import harmless
    from sidecar.core.errors import ManifestRefused
    from sidecar.kubernetes.container import IMAGE, Blanks
    from sidecar.kubernetes.inject import inject, remove, warnings

    if not arguments.remove and not arguments.config_map:
        arguments.usage("name the sidecar's configuration: --config-map NAME")
    name = "standard input" if arguments.file == "-" else arguments.file
    manifest = _read(arguments)
    try:
        if arguments.remove:
            changed = remove(manifest)
        else:
            blanks = Blanks(
                arguments.config_map,
                arguments.image or IMAGE,
                not arguments.classic,
                arguments.listen or "",
                arguments.admin_listen or "",
                tuple(arguments.secret_env),
                tuple(
                    (secret, path or f"/var/run/secrets/{secret}") for secret, path in arguments.secret_file
                ),
                arguments.pull_policy or "",
                {kind: given for kind in ("requests", "limits") if (given := getattr(arguments, kind))},
                arguments.user | arguments.security_context,
            )
            changed = inject(manifest, blanks)
            for warning in warnings(manifest):
                print(harmless(f"sidecar: warning: {name}: {warning}"), file=sys.stderr)
    except ManifestRefused as refused:
        raise ManifestRefused("\n".join(f"{name}: {fault}" for fault in str(refused).splitlines())) from None
    except ValueError as error:
        arguments.usage(str(error))
    sys.stdout.buffer.write(changed.encode())
    return EXIT_OK


def _read(arguments: argparse.Namespace) -> str:
    from pathlib import Path

    try:
        if arguments.file == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(arguments.file).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        arguments.usage(f"{arguments.file}: {error.strerror}")
    if len(content) > MAX_BYTES:
        arguments.usage(f"{arguments.file}: larger than {MAX_BYTES >> 20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        arguments.usage(f"{arguments.file}: not UTF-8 text")
    raise AssertionError("usage exits")


def _address(text: str) -> str:
    from sidecar.core import addresses

    try:
        addresses.listen_loopback(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _quantities(text: str) -> dict[str, str]:
    from sidecar.kubernetes.quantities import QUANTITY

    pair = rf"([A-Za-z0-9._/-]+)=({QUANTITY})"
    pairs = [re.fullmatch(pair, part, re.ASCII) for part in text.split(",")]
    found = {match[1]: match[2] for match in pairs if match}
    if len(found) < len(pairs):
        raise argparse.ArgumentTypeError(
            "write NAME=QUANTITY,... with each name once, such as cpu=20m,memory=64Mi"
        )
    return found


def _user(text: str) -> dict[str, int | None]:
    if text == "any":
        return {"runAsUser": None, "runAsGroup": None}
    match = re.fullmatch(r"([1-9][0-9]{0,9})(?::([0-9]{1,10}))?", text, re.ASCII)
    if match is None or max(map(int, filter(None, match.groups()))) >= 1 << 31:
        raise argparse.ArgumentTypeError("write UID, UID:GID or `any`; the user cannot be 0")
    user: dict[str, int | None] = {"runAsUser": int(match[1])}
    return user | {"runAsGroup": int(match[2])} if match[2] else user


def _security_context(text: str) -> dict[str, object]:
    import json

    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise argparse.ArgumentTypeError('write a JSON object, such as {"runAsUser": 1000}')
    return fields


def _written(pattern: str, form: str) -> Callable[[str], str | tuple[str | None, ...]]:
    """Parse a flag of this form: its one part, or its parts."""

    def read(text: str) -> str | tuple[str | None, ...]:
        match = re.fullmatch(pattern, text, re.ASCII)
        if match is None:
            raise argparse.ArgumentTypeError(f"write {form}")
        return match[1] if len(match.groups()) == 1 else match.groups()

    return read
