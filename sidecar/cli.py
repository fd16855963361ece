"""argv → exit code. What a command needs is imported by that command, so that `--version` answers at once."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar import __version__
from sidecar.core.errors import AdminRefused, ConfigError, ListenError
from sidecar.core.secret import Secret
from sidecar.core.selectors import LABELS, selector

if TYPE_CHECKING:
    from sidecar.core.settings import Config

Command = Callable[[argparse.Namespace], int]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CANNOT_LISTEN = 69
EXIT_BUG = 70
EXIT_CONFIGURATION = 78
EXIT_INTERRUPTED = 130

_FLAGS = {
    "listen": "SIDECAR_LISTEN",
    "admin_listen": "SIDECAR_ADMIN_LISTEN",
    "log_format": "LOG_FORMAT",
}
"""A flag goes before its variable by being written over it."""

_EPILOG = """\
exit codes: 0 fine, 1 it did not work, 2 usage, 69 cannot listen, 70 a bug, 78 configuration

One route without a file: SIDECAR_UPSTREAM, SIDECAR_TOKEN_ENDPOINT, SIDECAR_CLIENT_ID and
SIDECAR_CLIENT_SECRET (or …_FILE for these two), SIDECAR_SCOPE, SIDECAR_AUDIENCE.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (the process's own by default) and return its exit code."""
    _open_standard_descriptors()
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        return _complain(EXIT_CONFIGURATION, *_faults(error, arguments))
    except (AdminRefused, ListenError) as error:
        code = EXIT_CANNOT_LISTEN if isinstance(error, ListenError) else EXIT_FAILED
        return _complain(code, f"sidecar: {error}")
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last place that can say so and set the exit code
        return _complain(EXIT_BUG, *_bug(error))
    return code


def _open_standard_descriptors() -> None:
    """Open what we were started without, or the next file opened becomes our stdout and gets the log."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  a descriptor, open for good
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sidecar",
        description="A localhost reverse proxy that injects, caches and heals bearer tokens.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sidecar {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command, meaning: str) -> argparse.ArgumentParser:
        parts = commands.add_parser(name, help=meaning, description=meaning, allow_abbrev=False)
        parts.set_defaults(command=command)
        return parts

    run = "serve until SIGTERM; SIGHUP or a changed file reloads the configuration"
    _add_configuration(add("run", _run, run))
    validate = "tell everything that is wrong with the configuration, or what it means; connect to nobody"
    _add_configuration(add("validate", _validate, validate))
    _add_bust(add("bust", _bust, "have all pods drop the tokens that carry every one of these labels"))
    add("keygen", _keygen, "print a new encryption key for the fleet")
    add("schema", _schema, "print the JSON Schema of the configuration file")
    add("demo", _demo, "watch what the sidecar does, in a minute, on loopback and with nothing set up")
    return parser


def _add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="default: $SIDECAR_CONFIG, then /etc/sidecar/config.yaml"
    )
    parser.add_argument("--listen", metavar="ADDRESS", help="before SIDECAR_LISTEN and the file's listen")
    parser.add_argument("--admin-listen", metavar="ADDRESS", help="before SIDECAR_ADMIN_LISTEN and the file")
    parser.add_argument(
        "--log-format", metavar="FORMAT", help="json or console; before LOG_FORMAT and the file"
    )


def _add_bust(parser: argparse.ArgumentParser) -> None:
    for label in LABELS:
        parser.add_argument(f"--{label}", metavar="ID")
    parser.add_argument("--all", action="store_true", help="every token there is, in place of labels")
    parser.add_argument(
        "--admin", metavar="URL", default="http://127.0.0.1:9181", help="any pod's admin server (%(default)s)"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="its admin.token; default: $SIDECAR_ADMIN_TOKEN, or …_FILE"
    )
    parser.set_defaults(usage=parser.error)


def _environ(arguments: argparse.Namespace) -> Mapping[str, str]:
    flags = {name: getattr(arguments, flag) for flag, name in _FLAGS.items()}
    return {**os.environ, **{name: value for name, value in flags.items() if value is not None}}


def _run(arguments: argparse.Namespace) -> int:
    import uvloop  # noqa: PLC0415  see the head of this module

    from sidecar.app import serve  # noqa: PLC0415
    from sidecar.config import load, sources  # noqa: PLC0415

    environ = _environ(arguments)
    read: Callable[[], Config] = partial(load, arguments.config, environ)
    return uvloop.run(serve(read, partial(sources, arguments.config, environ)))


def _validate(arguments: argparse.Namespace) -> int:
    from sidecar.config import load  # noqa: PLC0415

    config = load(arguments.config, _environ(arguments))
    print(f"ok: listen {config.listen}, admin {config.admin.listen}, cache {config.cache.mode}")
    if config.redis is not None:
        hosts = ", ".join(f"{host}:{port}" for host, port in config.redis.hosts)
        keys = ", ".join(key.id for key in config.redis.encryption_keys)
        sealed = (
            f"sealed with {keys}"
            if keys
            else "NOT ENCRYPTED: whoever reaches it can read tokens and bust them"
        )
        print(f"redis {hosts or config.redis.unix_path}, {sealed}")
    for route in config.routes:
        origin = route.origin
        upstream = f"{origin.scheme}://{origin.authority.decode()}{route.base_path}"
        token = f"token {route.token.name}" if route.token else "no token"
        print(f"route {route.name}: {route.host}{route.prefix} -> {upstream}, {token}")
    return EXIT_OK


def _bust(arguments: argparse.Namespace) -> int:
    from sidecar.remote import bust  # noqa: PLC0415

    labels = {label: value for label in LABELS if (value := getattr(arguments, label)) is not None}
    if bool(labels) is arguments.all:
        arguments.usage("name one or more labels, or --all")
    try:
        select: Mapping[str, object] = dict(selector(labels)) or {"all": True}
    except ValueError as error:
        arguments.usage(str(error))
    print(bust(arguments.admin, _admin_token(arguments), select))
    return EXIT_OK


def _admin_token(arguments: argparse.Namespace) -> Secret:
    file = arguments.token_file or os.environ.get("SIDECAR_ADMIN_TOKEN_FILE")
    if not file:
        return Secret(os.environ.get("SIDECAR_ADMIN_TOKEN", ""))
    try:
        return Secret(Path(file).read_text(encoding="ascii").strip())
    except OSError as error:
        arguments.usage(f"the token's file {file}: {error.strerror}")
    except ValueError:
        arguments.usage(f"the token's file {file} is not ASCII text")
    raise AssertionError("usage exits")


def _keygen(_: argparse.Namespace) -> int:
    import base64  # noqa: PLC0415

    print(base64.b64encode(os.urandom(32)).decode())
    return EXIT_OK


def _schema(_: argparse.Namespace) -> int:
    import json  # noqa: PLC0415

    from sidecar.config import json_schema  # noqa: PLC0415

    print(json.dumps(json_schema(), indent=2))
    return EXIT_OK


def _demo(_: argparse.Namespace) -> int:
    import uvloop  # noqa: PLC0415

    from sidecar.app.for_demo import start_for_demo  # noqa: PLC0415
    from sidecar.demo import main as demo  # noqa: PLC0415

    return demo(start_for_demo, uvloop.new_event_loop)


def _faults(error: ConfigError, arguments: argparse.Namespace) -> list[str]:
    """Tell the faults; one in a flag names the flag, not the variable it is written over."""
    flags = {
        name: f"--{flag.replace('_', '-')}"
        for flag, name in _FLAGS.items()
        if getattr(arguments, flag, None) is not None
    }
    count = len(error.faults)
    return [f"sidecar: {count} {'fault' if count == 1 else 'faults'} in the configuration"] + [
        f"  {flags[fault.path]}: {fault.reason}" if fault.path in flags else f"  {fault}"
        for fault in error.faults
    ]


def _bug(error: Exception) -> list[str]:
    """Tell the type and the place of what nobody expected; not its text, which may hold anything."""
    places = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return [places, f"sidecar: {type(error).__name__}: this is a bug; please report the lines above"]


def _complain(code: int, *lines: str) -> int:
    print(*lines, sep="\n", file=sys.stderr)
    return code
