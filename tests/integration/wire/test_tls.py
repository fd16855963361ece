"""What large bodies over TLS take."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from tests.support import bulk
from tests.support.bulk import MIB
from tests.support.processes import File, run

WARM_UP, SIZE = 32 * MIB, 128 * MIB
FAULTS = 1024
"""Pages of 4 KiB: as much as is kept. Without that they are thousands or, as the blocks happen to lie, 100,000."""


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_a_large_upload_uses_the_same_memory_again(
    tmp_path: Path, file: File, *, chunked: bool
) -> None:
    """Half of the CPU time went into pages that came fresh from the kernel and were given back at once."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with bulk.Upstream(context) as upstream:
        route = {"name": "up", "upstream": upstream.url, "tls": {"ca_file": str(tmp_path / "ca.pem")}}
        async with run(file, route) as process:
            with bulk.Client(process.address) as client:
                await asyncio.to_thread(client.up, WARM_UP, chunked=chunked)
                before = process.page_faults
                assert await asyncio.to_thread(client.up, SIZE, chunked=chunked) >= SIZE
                assert process.page_faults - before < FAULTS
