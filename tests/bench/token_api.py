"""What a token from memory costs (`GET /token/bench`), beside a proxied request: at most 0.6 times its CPU.

The same sidecar answers both in turns, with 32 connections. The figures are the least of many short loads, because
other work on the machine only ever adds.

Run with `python -m tests.bench.token_api` in `.venv-bench`, with PYTHONSAFEPATH=1; exits 1 over the limit.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.__main__ import cores
from tests.bench.load import ask
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import sidecar
from tests.bench.upstreams import upstreams
from tests.support.redis_server import free_port

LIMIT = 0.6
LOADS = 15
CONNECTIONS = 32
PROGRAM = Path(__file__).with_name("token_api.lua")


def main() -> int:
    port = free_port()
    api = {"token_api": {"listen": f"127.0.0.1:{port}", "tokens": ["bench"]}}
    try:
        proxy_core, load_core = cores()
        with (
            tempfile.TemporaryDirectory() as name,
            upstreams(load_core, Path(name)) as origins,
            sidecar(proxy_core, origins.small["plain"], Path(name), changes=api) as proxy,
        ):
            program = replace(proxy, url=f"http://127.0.0.1:{port}")
            proxied, direct = [], []
            for _ in range(LOADS):
                proxied.append(ask(proxy, "200B", CONNECTIONS)["cpu_us"])
                direct.append(ask(program, "token/bench", CONNECTIONS, PROGRAM)["cpu_us"])
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    ratio = min(direct) / min(proxied)
    print(f"proxied  {min(proxied):.1f} µs of CPU a request")
    print(f"token    {min(direct):.1f} µs")
    print(f"ratio    {ratio:.2f}, at most {LIMIT}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
