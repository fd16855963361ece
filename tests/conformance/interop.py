"""The interoperability cases of the gRPC project through a sidecar, each client with each server.

The servers require a token. Each case runs twice: with a token that stays valid, and with tokens that carry one call.
In the second run, every call is refused with UNAUTHENTICATED first, and the sidecar heals it.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance.peers.build import Peer, peers
from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import PIPE, File, Process, run, watching
from tests.support.waiting import PATIENCE

CASES = (
    *("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream"),
    *("cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server"),
    *("status_code_and_message", "special_status_message", "custom_metadata"),
    *("unimplemented_method", "unimplemented_service", "rpc_soak", "channel_soak"),
)
"""Those that both clients have, but for the ones that test credentials of a client or its choice of servers."""
TOO_LONG = frozenset(
    (
        *("large_unary", "client_streaming", "rpc_soak", "channel_soak"),
        *("server_compressed_unary", "very_large_request"),
    )
)
"""Cases with more than 64 KiB of messages to a server, which the sidecar does not send twice."""
MAY_NOT_HEAL = frozenset(("cancel_after_begin", "timeout_on_sleeping_server", "unimplemented_service"))
"""Cases whose client leaves before it has an answer, or whose server checks no token."""
EXCEPTIONS: Mapping[tuple[str, str], str] = {}
"""Pairs and cases that are expected to fail; and why that is right."""


@asynccontextmanager
async def started(server: Peer, *, revoking: bool) -> AsyncIterator[str]:
    """Start a server, and return its URL."""
    arguments = ["revoking"] if revoking else []
    child = await asyncio.create_subprocess_exec(*server.server, *arguments, stdout=PIPE)
    async with watching(child):
        assert child.stdout is not None
        async with asyncio.timeout(PATIENCE):
            port = int(await child.stdout.readline())
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def in_front_of(url: str) -> AsyncIterator[Process]:
    """Start a sidecar with a route for everything, and a token."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secret = folder / "secret"
        secret.write_text("hunter2-canary")
        async with AuthorizationServer() as authorization:
            changes = {
                "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret)}}},
                "tokens": {"api": {"token_endpoint": authorization.token_endpoint, "credentials": "app"}},
            }
            route = {
                "name": "all",
                "match": {"prefix": "/"},
                "upstream": url,
                "protocol": "http2",
                "token": "api",
            }
            async with run(File(folder / "config.yaml"), route, **changes) as sidecar:
                yield sidecar


async def played(client: Peer, sidecar: Process, case: str) -> str:
    """Run a case, and return what failed, "" for nothing."""
    host, _, port = sidecar.address.rpartition(":")
    flags = [f"--server_host={host}", f"--server_port={port}", f"--test_case={case}"]
    child = await asyncio.create_subprocess_exec(
        *client.client, *flags, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with watching(child):
        try:
            async with asyncio.timeout(PATIENCE):
                output, _ = await child.communicate()
        except TimeoutError:
            return "it did not end"
    return "" if child.returncode == 0 else " ".join(output.decode(errors="replace").split()) or "it failed"


async def healed(sidecar: Process) -> int:
    """Return the number of calls that were healed."""
    _, page = await sidecar.page(b"/metrics")
    counted = re.findall(rb'^sidecar_resends_total\{.*outcome="healed".*\} (\d+)', page, re.MULTILINE)
    return sum(map(int, counted))


async def pair(client: Peer, server: Peer, *, revoking: bool) -> Mapping[str, str]:
    """Return what failed in each case, "" for nothing."""
    outcomes = {}
    cases = [
        case for case in (*CASES, *client.cases) if not (revoking and case in TOO_LONG | client.too_long)
    ]
    async with started(server, revoking=revoking) as url, in_front_of(url) as sidecar:
        await played(client, sidecar, "empty_unary")  # uses up the first token
        for case in cases:
            before = await healed(sidecar)
            outcomes[case] = await played(client, sidecar, case)
            expected = revoking and not outcomes[case] and case not in MAY_NOT_HEAL
            if expected and await healed(sidecar) == before:
                outcomes[case] = "it passed, but no call was refused and healed"
    return outcomes


def verdict(found: Mapping[str, Mapping[str, str]]) -> int:
    """Print a table and the unexpected outcomes, and return the exit code."""
    cases = list(dict.fromkeys(case for outcomes in found.values() for case in outcomes))
    print(f"{'':28}" + "".join(f"{name:24}" for name in found))
    for case in cases:
        cells = [_cell(outcomes.get(case)) for outcomes in found.values()]
        print(f"{case:28}" + "".join(f"{cell:24}" for cell in cells).rstrip())
    failed = {(name, case): why for name, outcomes in found.items() for case, why in outcomes.items() if why}
    for place, why in failed.items():
        name = ": ".join(place)
        print(f"exception: {name}: {EXCEPTIONS[place]}" if place in EXCEPTIONS else f"FAILED: {name}: {why}")
    needless = [place for place in EXCEPTIONS if place not in failed]
    for place in needless:
        print(f"FAILED: {': '.join(place)} is listed as an exception but passes: remove it from EXCEPTIONS")
    total = sum(map(len, found.values()))
    print(f"{total - len(failed)} of {total} cases of gRPC passed; exceptions: {len(EXCEPTIONS)}")
    return 1 if not total or needless or failed.keys() - EXCEPTIONS.keys() else 0


def _cell(outcome: str | None) -> str:
    return "-" if outcome is None else "FAILED" if outcome else "passed"


async def all_pairs(among: Sequence[Peer]) -> Mapping[str, Mapping[str, str]]:
    """Return the outcomes of each pair, with valid and with revoked tokens."""
    found = {}
    for client in among:
        for server in among:
            for revoking in (False, True):
                name = f"{client.name} to {server.name}{', revoked' if revoking else ''}"
                found[name] = await pair(client, server, revoking=revoking)
    return found


async def check() -> int:
    """Return 1 if a case fails that is not an exception, or if an exception passes. Raises CannotRunError."""
    built = peers()
    for peer in built:
        print(peer.version)
    return verdict(await all_pairs(built))
