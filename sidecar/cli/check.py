"""`sidecar check`."""

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from sidecar.cli import flags
from sidecar.cli.exits import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidecar.core.finding import Checked
    from sidecar.telemetry.colours import Colour

MEANING = "try each connection, secret and token that the configuration names"
EXAMPLE = "sidecar check sidecar.yaml --tenant acme"
PATIENCE = 30.0

_COLOURS: "dict[str, Colour]" = {"ok": "green", "failed": "red", "skipped": "dim"}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the configuration, and for the tenant."""
    flags.add_configuration_file(parser)
    parser.add_argument(
        "--tenant", metavar="ID", default="", help="tenant to fetch tokens for; default: tenant.default"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=flags.seconds(0.1, 600),
        default=PATIENCE,
        help="limit for the whole check; default: %(default)g",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Check; return exit code 1 if a step failed."""
    import asyncio

    from sidecar.config.load import load
    from sidecar.core.tenants import canonical
    from sidecar.diagnostics.plan import check

    config = load(flags.configuration_file(arguments), flags.environ(arguments), attended=True)
    tenant = arguments.tenant
    if tenant:
        rule = config.tenants
        try:
            tenant = canonical(tenant)
        except ValueError as error:
            arguments.usage(f"--tenant: {error}")
        if rule is None or (rule.allow and tenant not in rule.allow):
            arguments.usage("--tenant: the configuration serves no such tenant")
    show = _json if arguments.json else _lines
    began = time.monotonic()
    runner = asyncio.Runner()
    code = runner.run(show(check(config, tenant, arguments.timeout)))
    if time.monotonic() - began >= arguments.timeout:
        # A thread that hangs in a name server or a file cannot be ended, and the process would wait for it.
        sys.stdout.flush()
        os._exit(code)
    runner.close()
    return code


async def _lines(steps: "AsyncIterator[Checked]") -> int:
    from sidecar.cli.terminal import Terminal, harmless

    terminal = Terminal(sys.stdout)
    failed = count = 0
    async for step in steps:
        count += 1
        failed += step.outcome == "failed"
        outcome = terminal.paint(_COLOURS[step.outcome], f"{step.outcome:<7}")
        spent = f"{step.seconds * 1000:>6.0f} ms" if step.outcome != "skipped" else " " * 9
        print(f"{outcome}  {spent}  {harmless(step.about)}: {step.step}: {harmless(step.detail)}", flush=True)
        if step.hint:
            print(f"{'':20}{terminal.paint('yellow', harmless(step.hint))}", flush=True)
    print(f"{count} steps, {failed} failed")
    return EXIT_FAILED if failed else EXIT_OK


async def _json(checked: "AsyncIterator[Checked]") -> int:
    import json
    from dataclasses import asdict

    steps = [step async for step in checked]
    ok = all(step.outcome != "failed" for step in steps)
    print(json.dumps({"ok": ok, "steps": [asdict(step) for step in steps]}, indent=2))
    return EXIT_OK if ok else EXIT_FAILED
