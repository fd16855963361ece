"""The `sidecar` command, also as `python -m sidecar`."""

import sys

from sidecar.system import early_signals


def main() -> int:
    """Run the command and return its exit code. A server takes its signals before anything else is loaded."""
    if sys.argv[1:2] == ["run"]:
        early_signals.take()
    from sidecar.cli.main import main as command  # noqa: PLC0415

    return command()


if __name__ == "__main__":
    sys.exit(main())
