"""`python -m tests.early`: answers to 100 uploads that no server reads, with the sidecar and without.

Exits with 1 when fewer than 95 of 100 answers reach the client and fewer than without the sidecar minus 3.
"""

import asyncio
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

import trustme

from tests.early.client import status, upload
from tests.early.programs import nginx, node
from tests.early.servers import ENDS, FRAMINGS, LibraryServer, RawServer
from tests.support.processes import File, run

UPLOADS = 100
AT_ONCE = 2
ENOUGH, TOLERANCE = 95, 3


class Serving(Protocol):
    """A server that is running."""

    @property
    def port(self) -> int: ...


def servers(
    folder: Path, tls: ssl.SSLContext, pem: Path
) -> Iterator[tuple[str, AbstractContextManager[Serving]]]:
    """Every server, plain and over TLS (its name then begins with `tls`), that this machine can run."""
    for secure in (False, True):
        word, context, certificate = ("tls ", tls, pem) if secure else ("", None, None)
        for end, how in ENDS.items():
            for framing, fields in FRAMINGS.items():
                yield f"{word}raw, {framing}, {end}", RawServer(how, fields, context)
        yield f"{word}http.server", LibraryServer(context)
        for name, program in {
            "Node.js": node(certificate),
            "nginx": nginx(folder / f"{word.strip()}on", certificate, linger=True),
            "nginx, lingering_close off": nginx(folder / f"{word.strip()}off", certificate, linger=False),
        }.items():
            if program is None:
                print(f"skipped: no {name}")
            else:
                yield f"{word}{name}", program


def arrived(address: tuple[str, int], path: str, code: int, tls: ssl.SSLContext | None) -> int:
    """Return how many of the uploads got the answer whole."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = threads.map(lambda _: upload(address, path, tls), range(UPLOADS))
        return sum(status(answer) == code for answer in answers)


async def main() -> int:
    lost = 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        pair = authority.issue_cert("127.0.0.1")
        pair.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair.configure_cert(context)
        trusting = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        running = [
            (title, stack.enter_context(server))
            for title, server in servers(folder, context, folder / "server.pem")
        ]
        routes = [route(number, title, server.port, folder) for number, (title, server) in enumerate(running)]
        async with run(File(folder / "config.yaml"), *routes) as process:
            host, _, port = process.address.rpartition(":")
            print(f"{'of ' + str(UPLOADS) + ' uploads answered':50} without  with")
            for number, (title, server) in enumerate(running):
                tls = trusting if title.startswith("tls") else None
                for code in (413, 401):
                    there = ("127.0.0.1", server.port)
                    without = await asyncio.to_thread(arrived, there, f"/{code}", code, tls)
                    through = await asyncio.to_thread(
                        arrived, (host, int(port)), f"/{number}/{code}", code, None
                    )
                    few = through < min(ENOUGH, without - TOLERANCE)
                    lost += few
                    print(
                        f"{title + ', ' + str(code):50} {without:7} {through:5}{'  lost' if few else ''}",
                        flush=True,
                    )
    return 1 if lost else 0


def route(number: int, title: str, port: int, folder: Path) -> Mapping[str, object]:
    """Return a route without a token to one of the servers."""
    scheme = "https" if title.startswith("tls") else "http"
    trust = {"tls": {"ca_file": str(folder / "ca.pem")}} if scheme == "https" else {}
    upstream = f"{scheme}://127.0.0.1:{port}"
    match = {"prefix": f"/{number}"}
    return {"name": f"r{number}", "match": match, "strip_prefix": True, "upstream": upstream, **trust}


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
