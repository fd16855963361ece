"""Credentials in the fleet's Redis: sealed, and bust in every pod when they are not accepted any more."""

from sidecar.adapters.redis import scripts
from sidecar.adapters.redis.link import Link, Reply
from sidecar.adapters.redis.scripts import Script, keys_of
from sidecar.core.busts import Bust
from sidecar.core.credentials import CredentialKey, Credentials, StoredCredentials
from sidecar.core.entry import read_credentials, write_credentials
from sidecar.core.generations import following
from sidecar.core.messages import encode
from sidecar.core.ports import Clock, Seal

ATTEMPTS = 3
"""How often a bust is signed anew for a generation that others moved on meanwhile."""
NO_PROBE = 1
"""Milliseconds; credentials have no cool-down for it to follow."""


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
        self._store_ttl = store_ttl
        self._pod = pod
        self._busts = f"{key_prefix}m2m:bust"

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
        await self._run(scripts.KEEP, key, generation, value, max(_ms(life), 1))

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> None:
        """See the port. Signed anew when others have moved the generation past ours meanwhile."""
        for _ in range(ATTEMPTS):
            at = self._link.offset.earliest_there(self._clock.now())
            generation = following(generation, at)
            message = encode(
                Bust(key.text, fingerprint, generation),
                channel=self._busts,
                sender=self._pod,
                at=_ms(at),
                sign=self._seal.sign,
            )
            life, now = _ms(2 * self._store_ttl), round(at * 1e6)
            reply = await self._run(
                scripts.BUST, key, fingerprint, generation, now, message, self._busts, life, NO_PROBE
            )
            match reply:
                case [b"behind", bytes(current)]:
                    generation = int(current)
                case _:
                    return

    async def _run(self, script: Script, key: CredentialKey, *arguments: str | bytes | float) -> Reply | None:
        return await self._link.run(script, keys_of(self._prefix + key.text), *arguments)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
