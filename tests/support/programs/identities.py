"""A process that holds what a sidecar keeps of many callers or tenants.

`python -m tests.support.programs.identities WHO COUNT SIZE` prints by how many bytes its memory has grown. SIZE is that
of a caller's token and of ours. For `strangers`, callers too, there is none.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sidecar.cache.revocations import Revocations
from sidecar.cache.tokens import TokenCache
from sidecar.core.errors import TokenRefused
from sidecar.core.origin import Origin
from sidecar.core.secret import Secret
from sidecar.core.tenants import TenantRule
from sidecar.fleet.standalone import NoFleet
from sidecar.oauth.token import FetchReason, FromRequest, Presented, Token, TokenRequest, bearer
from sidecar.proxy.callers import CallersByToken
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import Tenants
from sidecar.system.clock import SystemClock, SystemRandomness
from tests.support.journal import RecordingJournal
from tests.support.resident_memory import resident

ORIGIN = Origin("https", "api.test", 443)
Name = Callable[[int], Awaitable[TokenRequest]]


class Source:
    """Gives tokens of this many bytes, each another one, with labels of its own."""

    def __init__(self, clock: SystemClock, size: int) -> None:
        self._clock = clock
        self._size = size
        self._count = 0

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        self._count += 1
        labels = request.labels | {("user", f"user-{self._count}")}
        secret = Secret(f"{self._count:0{self._size}}", f"{self._count:012}")
        return bearer(secret, fetch_began=self._clock.now(), life=3600, leeway=60, labels=labels)


class Nobody:
    """Gives no tokens."""

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        raise TokenRefused("no such user", "invalid_grant")


def tenants() -> Name:
    token = TokenRequest("api", "app", "app", token_endpoint="https://auth.test/token")
    route, known = Route("api", ORIGIN, token=token), Tenants(TenantRule(path=True))

    async def name(number: int) -> TokenRequest:
        return known.route(route, token, b"tenant-%d" % number).token or token

    return name


def callers(clock: SystemClock, size: int) -> Name:
    subject = Presented(FromRequest(b"authorization"), "", "urn:ietf:params:oauth:token-type:access_token")
    token = TokenRequest("api", "app", "app", grant="token_exchange", subject=subject)
    route, known = Route("api", ORIGIN, token=token), CallersByToken(clock, fingerprint_key=b"k" * 32)

    async def name(number: int) -> TokenRequest:
        return (await known.route(route, lambda _: b"%0*d" % (size, number), None)).token or token

    return name


async def growth(who: str, count: int, size: int) -> int:
    clock = SystemClock()
    cache = TokenCache(
        source=Nobody() if who == "strangers" else Source(clock, size),
        fleet=NoFleet(),
        revocations=Revocations(),
        clock=clock,
        randomness=SystemRandomness(),
        journal=RecordingJournal(),
    )
    name = tenants() if who == "tenants" else callers(clock, size)
    before = resident(os.getpid())
    for number in range(count):
        with suppress(TokenRefused):
            await cache.token(await name(number))
    grown = resident(os.getpid()) - before
    if who == "strangers":
        assert next(cache.status(clock.now())).state == "missing"  # what came last is still known
    else:
        latest = await cache.token(await name(count - 1))
        assert latest.secret.reveal() == f"{count:0{size}}"
    return grown


if __name__ == "__main__":
    _, who, count, size = sys.argv
    print(asyncio.run(growth(who, int(count), int(size))))  # noqa: T201  for the calling process
