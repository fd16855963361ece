"""The certificates that the sidecar presents: which there are, and their dates."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice

from sidecar.config.settings import Config
from sidecar.core.ports import Clock
from sidecar.system import certificates, threads
from sidecar.system.certificates import Validity

EVERY = 60.0
"""Seconds between two readings of the files."""
MOST = 100
"""Limit: files with certificates of the sidecar's own that are in metrics (number). Beyond: the others are not."""


class OwnCertificates:
    """Read the dates at intervals, because the files rotate."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.validities: Mapping[str, Validity] = {}
        """By path, of the files that can be read."""

    async def run(self, config: Callable[[], Config]) -> None:
        """Read the files of the configuration in force until cancelled."""
        while True:
            paths = dict.fromkeys(path for path in _paths(config()) if path)
            self.validities = {
                path: validity for path in islice(paths, MOST) if (validity := await _read(path)) is not None
            }
            await self._clock.sleep(EVERY)


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
