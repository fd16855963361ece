"""`make conformance`: h2spec, real clients of HTTP/2, and gRPC's interoperability cases with peers of Go and Java.

Exits with 1 when a case fails that is no exception, or passes though it is one; with 2 when a part cannot run here.
The other parts run all the same.
"""

import asyncio
import sys

from tests.conformance import h2spec, interop
from tests.conformance.clients import matrix
from tests.conformance.tools import CannotRunError


async def main() -> int:
    codes = []
    for check in (h2spec.check, matrix.clients, interop.check):
        try:
            codes.append(await check())
        except CannotRunError as error:
            print(f"conformance: {error}", file=sys.stderr)
            codes.append(2)
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
