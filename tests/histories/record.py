"""`python -m tests.histories.record COMMIT`: record what pods of that commit store in Redis, and publish.

The recording goes into `tests/unit/fleet/recorded`. So each later version is tested with it, also where there is no Git
history. Its client secrets, tokens and keys are those of the tests.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from tests import ROOT
from tests.histories.__main__ import archived
from tests.histories.driver import BUST_CHANNEL, FILL_CHANNEL, fleet
from tests.histories.operations import Operations
from tests.histories.pods import FLEET_KEY, KEYS, PREFIX
from tests.support.environment import bare
from tests.support.keys import pem
from tests.support.waiting import PATIENCE, until

FOLDER = ROOT / "tests/unit/fleet/recorded"
TOKENS = FOLDER / "tokens.yaml"
PROGRAM = """
import json, os, sys
try:
    from sidecar.config.load import load
except ImportError:
    from sidecar.config import load
print(json.dumps({name: request.key for name, request in load(sys.argv[1], os.environ).tokens.items()}))
"""
"""Prints the keys of the token requests of a configuration, in this version and in earlier ones."""
STORY = ("burst", "revoke", "burst", "refuse", "fail", "select")


def environ() -> dict[str, str]:
    """Return the variables that TOKENS names."""
    return bare({"FLEET_KEY": FLEET_KEY, "CLIENT_SECRET": "canary-secret", "PRIVATE_KEY": pem("rsa")})


async def stored(client: Redis) -> dict[str, object]:
    """Return what is under the keys of the fleet: texts in hexadecimal, hashes by field."""
    found: dict[str, object] = {}
    async for key in client.scan_iter(f"{PREFIX}*"):
        await add(client, found, key)
    async for key in client.scan_iter(f"{{{PREFIX}*"):
        await add(client, found, key)
    return dict(sorted(found.items()))


async def add(client: Redis, found: dict[str, object], key: bytes) -> None:
    """Add what is under a key."""
    match await client.type(key):
        case b"string":
            text = await client.get(key)
            assert isinstance(text, bytes)
            found[key.decode()] = text.hex()
        case b"hash":
            fields = await client.hgetall(key)
            found[key.decode()] = {_text(name): _text(value) for name, value in fields.items()}
        case b"zset":
            members = await client.zrange(key, 0, -1)
            found[key.decode()] = [member.hex() for member in members if isinstance(member, bytes)]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


async def listen(pubsub: PubSub, into: dict[str, list[str]]) -> None:
    """Collect the messages of pods."""
    async for message in pubsub.listen():
        if message["type"] == "message" and not message["data"].startswith(b"mark-"):
            into.setdefault(message["channel"].decode(), []).append(message["data"].decode())


async def record(package: Path) -> dict[str, object]:
    """Return the recording of a fleet that busts, is refused new tokens, and cannot fetch."""
    messages: dict[str, list[str]] = {}
    values: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with fleet(Path(folder), Random(1), [package]) as made, made.client.pubsub() as pubsub:
            await pubsub.subscribe(BUST_CHANNEL, FILL_CHANNEL)
            await pubsub.get_message(timeout=PATIENCE)
            listening = asyncio.create_task(listen(pubsub, messages))
            operations = Operations(made)
            for kind in STORY:
                await operations.perform(kind)
                values |= await stored(made.client)
            made.tokens.open.clear()
            for key in KEYS:
                await operations.evict(key)
            fetches = made.tokens.fetches
            await made.join()  # its first fetch has the lease
            await until(lambda: made.tokens.fetches > fetches)
            values |= await stored(made.client)
            made.tokens.open.set()
            listening.cancel()
            endpoint = made.tokens.token_endpoint
    return {"token_endpoint": endpoint, "values": values, "messages": messages}


def keys(package: Path) -> dict[str, str]:
    """Return the keys of the token requests in TOKENS, as that package calculates them."""
    command = [sys.executable, "-c", PROGRAM, str(TOKENS)]
    done = subprocess.run(command, cwd=package, env=environ(), check=True, capture_output=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.histories.record")
    parser.add_argument("commit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = archived(options.commit, Path(folder))
        recorded = {"keys": keys(package), **asyncio.run(record(package))}
    (FOLDER / f"{options.commit}.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
