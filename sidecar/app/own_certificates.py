"""The certificates that the sidecar presents: which there are, and their dates."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from heapq import nsmallest
from itertools import islice

from sidecar.app.turns import turns
from sidecar.cache.tokens import TokenCache
from sidecar.config.settings import Config
from sidecar.core.ports import Clock
from sidecar.core.tenants import PLACE, filled
from sidecar.system import certificates, threads
from sidecar.system.certificates import Validity

EVERY = 60.0
"""Seconds between two readings of the files."""
MOST = 100
"""Limit: certificates of the sidecar's own that are in metrics (number). Beyond: only those that expire first are."""
MOST_READ = 1000
"""Limit: files with certificates of the sidecar's own that are read for metrics (number). Beyond: those of other
tenants are not."""


class OwnCertificates:
    """Read the dates at intervals, because the files rotate."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        """Keep the dates of at most this many files."""
        self._clock = clock
        self._most = most
        self.validities: Mapping[str, Validity] = {}
        """By path, of the files that can be read."""

    async def run(self, config: Callable[[], Config], cache: TokenCache) -> None:
        """Read the files of the configuration in force, of tenants that may be served or are, until cancelled."""
        while True:
            await self._read_all(await self._places(config(), cache))
            await self._clock.sleep(EVERY)

    async def _places(self, config: Config, cache: TokenCache) -> Iterable[str]:
        paths, rule = dict.fromkeys(filter(None, _paths(config))), config.tenants
        tenants: Iterable[str] = ()
        if rule is not None and any(PLACE in path for path in paths):
            in_use = () if rule.allow else cache.status(self._clock.now())
            tenants = (rule.default, *rule.allow, *[token.tenant async for token in turns(in_use)])
        return islice(dict.fromkeys(_of_tenants(paths, tenants)), MOST_READ)

    async def _read_all(self, paths: Iterable[str]) -> None:
        found = {path: validity for path in paths if (validity := await _read(path)) is not None}
        first = nsmallest(self._most, found, key=lambda path: found[path].ends)
        self.validities = {path: found[path] for path in first}


async def _read(path: str) -> Validity | None:
    """Return None if the file cannot be read: what uses it reports that."""
    try:
        return await threads.beside(path, partial(certificates.of_file, path))
    except (OSError, ValueError):
        return None


def _paths(config: Config) -> Iterator[str]:
    for route in config.routes:
        yield route.origin.tls.certificate_file
    for token in config.tokens.values():
        yield token.tls.certificate_file
        yield token.private_key.certificate_file if token.private_key is not None else ""
    if config.redis is not None and config.redis.tls is not None:
        yield config.redis.tls.certificate_file


def _of_tenants(paths: Iterable[str], tenants: Iterable[str]) -> Iterator[str]:
    """Yield the paths, those with `{tenant}` once for each tenant."""
    known = list(filter(None, dict.fromkeys(tenants)))
    for path in paths:
        yield from (filled(path, tenant) for tenant in known) if PLACE in path else (path,)
