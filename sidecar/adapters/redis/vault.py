"""Credentials in the fleet's Redis: sealed, and bust in every pod when they are not accepted any more."""

from sidecar.adapters.redis import scripts
from sidecar.adapters.redis.scripts import milliseconds
from sidecar.adapters.redis.shelf import Shelf
from sidecar.core.busts import BustFailure
from sidecar.core.credentials import CredentialKey, Credentials, StoredCredentials
from sidecar.core.entry import read_credentials, write_credentials

NO_PROBE = 0.001
"""Seconds; credentials have no cool-down for it to follow."""


class RedisVault:
    """Implements `CredentialStore`, with the scripts and the messages that tokens have."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """See the port. What cannot be read is as good as absent."""
        reply = await self._shelf.run(scripts.LOOK, key.text)
        if reply is None:
            return StoredCredentials()
        content = self._shelf.opened(key.text, key.tenant, reply[1])
        found = read_credentials(content, key.origin, self._shelf.offset) if content is not None else None
        return StoredCredentials(found, int(reply[0]))

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        """See the port."""
        if life <= 0:
            return
        content = write_credentials(credentials, key.origin, self._shelf.offset)
        header = b"%b:%d:" % (fingerprint.encode(), generation)
        value = self._shelf.sealed(key.text, key.tenant, header, content)
        await self._shelf.run(scripts.KEEP, key.text, generation, value, max(milliseconds(life), 1))

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> BustFailure | None:
        """See the port. There is no request that was refused: they are dead now."""
        now = self._shelf.offset.earliest_there(self._shelf.clock.now())
        _, failure = await self._shelf.bust(key.text, fingerprint, generation, sent_at=now, probe=NO_PROBE)
        return failure
