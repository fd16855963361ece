"""The cases, the run of all of them, and the table.

A case that fails is run once more without the sidecar, as a control. If it fails there too, the client is at fault, and
the table shows that.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.clients.commands import COMMANDS, version
from tests.conformance.clients.programs import programs
from tests.conformance.clients.setting import Case, NotAsExpectedError, setting

SIZE = 100_000_000
"""Bytes of a large body."""
MEANINGS: Mapping[str, str] = {
    "get": "GET",
    "head": "HEAD: a length and no content",
    "post": "POST of 4 bytes",
    "field": "a field of 30,000 bytes, both ways",
    "upload": "100 MB up",
    "download": "100 MB down",
    "both": "100 MB both ways at once",
    "windows": "down with small windows",
    "streams": "1,000 streams of one connection",
    "trailers": "trailers, of the request too if the client can",
    "interim": "103 twice before the answer",
    "continue": "100 MB after 100 (Continue)",
    "cancel": "cancellation in the middle of an answer",
    "early": "an answer before 100 MB have been sent",
    "goaway": "GOAWAY of the upstream, in the middle of an answer and before a request",
    "drain": "SIGTERM to the sidecar in the middle of an answer",
}
PASSED, FAILED, CLIENT = "passed", "FAILED", "client"
CONTROLS: Mapping[str, str] = {"drain": "goaway"}
"""Cases whose control is another: without the sidecar, the upstream sends the GOAWAY."""


async def outcome(case: Case, size: int, *, direct: bool = False) -> str:
    """Return what went wrong, or ""; `direct` for the control."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            async with setting(Path(folder), size, direct=direct) as made:
                await case(made)
        except (NotAsExpectedError, TimeoutError, AssertionError) as error:
            return str(error) or type(error).__name__
    return ""


async def clients(only: str = "", size: int = SIZE) -> int:
    """Run the cases whose `client: case` begins with `only`; print the table; return the exit code.

    Raises CannotRunError.
    """
    columns = {**{version(name): cases for name, cases in COMMANDS.items()}, **programs()}
    table: dict[str, dict[str, str]] = {case: {} for case in MEANINGS}
    code = 0
    for client, cases in columns.items():
        for case in MEANINGS:
            key = f"{client.split()[0]}: {case}"
            if case not in cases or not key.startswith(only):
                continue
            cell = table[case][client] = await _cell(key, cases[case], cases[CONTROLS.get(case, case)], size)
            code |= cell == FAILED
    _print(table, list(columns))
    return code


async def _cell(key: str, case: Case, control: Case, size: int) -> str:
    reason = await outcome(case, size)
    if not reason:
        return PASSED
    if await outcome(control, size, direct=True):
        print(f"{key} fails without the sidecar too: {reason}", flush=True)
        return CLIENT
    print(f"FAILED: {key}: {reason}", flush=True)
    return FAILED


def _print(table: Mapping[str, Mapping[str, str]], clients: list[str]) -> None:
    widths = [max(len(client), 9) for client in clients]
    first = max(map(len, MEANINGS.values()))
    heads = [client.ljust(width) for client, width in zip(clients, widths, strict=True)]
    print(f"{'':{first}}  {'  '.join(heads)}")
    for case, row in table.items():
        cells = [row.get(client, "-").ljust(width) for client, width in zip(clients, widths, strict=True)]
        print(f"{MEANINGS[case]:{first}}  {'  '.join(cells)}")
    print(f"{CLIENT}: fails without the sidecar too; -: the client cannot do it")
