"""Credentials in the fleet's Redis: sealed, and bust in every pod when they are not accepted any more."""

from sidecar.adapters.redis import scripts
from sidecar.adapters.redis.link import Link, Reply
from sidecar.adapters.redis.scripts import Script, keys_of, milliseconds
from sidecar.adapters.redis.telling import Telling
from sidecar.core.credentials import CredentialKey, Credentials, StoredCredentials
from sidecar.core.entry import read_credentials, write_credentials
from sidecar.core.ports import Clock, Seal

NO_PROBE = 0.001
"""Seconds; credentials have no cool-down for it to follow."""


class RedisVault:
    """Implements `CredentialStore`, with the scripts and the messages that tokens have."""

    def __init__(
        self, link: Link, *, seal: Seal, clock: Clock, key_prefix: str, store_ttl: float, pod: str
    ) -> None:
        """`store_ttl` in seconds; `pod` is who our messages are from."""
        self._link = link
        self._seal = seal
        self._clock = clock
        self._prefix = key_prefix
        self._telling = Telling(
            link, seal=seal, clock=clock, key_prefix=key_prefix, store_ttl=store_ttl, pod=pod
        )

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """See the port. What cannot be read is as good as absent."""
        reply = await self._run(scripts.LOOK, key)
        if reply is None:
            return StoredCredentials()
        content = self._seal.open(self._prefix + key.text, key.tenant, reply[1])
        found = read_credentials(content, key.origin, self._link.offset) if content is not None else None
        return StoredCredentials(found, int(reply[0]))

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        """See the port."""
        if life <= 0:
            return
        content = write_credentials(credentials, key.origin, self._link.offset)
        header = b"%b:%d:" % (fingerprint.encode(), generation)
        value = self._seal.seal(self._prefix + key.text, key.tenant, header, content)
        await self._run(scripts.KEEP, key, generation, value, max(milliseconds(life), 1))

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> None:
        """See the port. There is no request that was refused: they are dead now."""
        now = self._link.offset.earliest_there(self._clock.now())
        await self._telling.bust(key.text, fingerprint, generation, sent_at=now, probe=NO_PROBE)

    async def _run(self, script: Script, key: CredentialKey, *arguments: str | bytes | float) -> Reply | None:
        return await self._link.run(script, keys_of(self._prefix + key.text), *arguments)
