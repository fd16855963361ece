"""Credentials in the fleet's Redis: sealed, and bust in every pod when they are no longer accepted."""

from sidecar.cache.refused_tokens import BustFailure
from sidecar.credentials.model import CredentialKey, Credentials, StoredCredentials
from sidecar.fleet.redis import scripts
from sidecar.fleet.redis.scripts import milliseconds
from sidecar.fleet.redis.sealed_values import SealedValues
from sidecar.fleet.stored_value import read_credentials, write_credentials

NO_PROBE = 0.001
"""Seconds; credentials have no cool-down that could determine it."""


class RedisCredentialStore:
    """Implements `CredentialStore`, with the scripts and the messages of tokens."""

    def __init__(self, values: SealedValues) -> None:
        self._values = values

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """Return the stored credentials. Unreadable ones count as absent."""
        reply = await self._values.run(scripts.LOOK, key.text)
        if reply is None:
            return StoredCredentials()
        content = self._values.opened(key.text, key.tenant, reply[1])
        found = read_credentials(content, key.origin, self._values.offset) if content is not None else None
        return StoredCredentials(found, int(reply[0]))

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        if life <= 0:
            return
        content = write_credentials(credentials, key.origin, self._values.offset)
        header = b"%b:%d:" % (fingerprint.encode(), generation)
        value = self._values.sealed(key.text, key.tenant, header, content)
        await self._values.run(scripts.KEEP, key.text, generation, value, max(milliseconds(life), 1))

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> BustFailure | None:
        """Bust the credentials. There is no refused request, so the bust applies from now on."""
        now = self._values.offset.earliest_there(self._values.clock.now())
        _, failure = await self._values.bust(key.text, fingerprint, generation, sent_at=now, probe=NO_PROBE)
        return failure
