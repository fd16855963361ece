"""`make conformance`: h2spec, real clients of HTTP/2, and gRPC's interoperability cases with peers of Go and Java.

Exits with 1 if a case fails that is not an exception, or if an exception passes; with 2 if this machine cannot run a
part. The other parts still run.
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
