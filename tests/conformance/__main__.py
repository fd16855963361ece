"""`make conformance`: h2spec, and the interoperability cases of the gRPC project with peers of grpc-go and grpc-java.

Exits with 1 when a case fails that is no exception, or passes though it is one; with 2 when a part cannot run here.
The other part runs all the same.
"""

import asyncio
import sys

from tests.conformance import h2spec, interop
from tests.conformance.tools import CannotRunError


async def main() -> int:
    codes = []
    for check in (h2spec.check, interop.check):
        try:
            codes.append(await check())
        except CannotRunError as error:
            print(f"conformance: {error}", file=sys.stderr)
            codes.append(2)
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
