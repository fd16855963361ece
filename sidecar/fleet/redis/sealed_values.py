"""The common part of tokens and credentials in Redis: their keys, sealing and busts."""

from sidecar.cache.refused_tokens import Bust, BustFailure
from sidecar.core.ports import Clock
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.generations import following
from sidecar.fleet.messages import BUST_CHANNEL, encode
from sidecar.fleet.ports import Seal
from sidecar.fleet.redis.guarded_client import GuardedClient, Reply
from sidecar.fleet.redis.scripts import BUST, Script, keys_of, milliseconds
from sidecar.fleet.redis.server_errors import words

ATTEMPTS = 3
"""Number of times a bust is signed again for a generation that others increased meanwhile."""


class SealedValues:
    """One pod's access to the fleet's keys, each under the fleet's prefix."""

    def __init__(
        self, redis: GuardedClient, *, seal: Seal, clock: Clock, key_prefix: str, store_ttl: float, pod: str
    ) -> None:
        """Take `store_ttl` in seconds, and `pod`, the id that our messages are from."""
        self.redis = redis
        self.clock = clock
        self.prefix = key_prefix
        self.store_ttl = store_ttl
        self._seal = seal
        self._life = milliseconds(2 * store_ttl)
        self._pod = pod
        self._channel = key_prefix + BUST_CHANNEL

    @property
    def offset(self) -> ClockOffset:
        """Return the offset of Redis's clock from ours."""
        return self.redis.offset

    async def run(self, script: Script, key: str, *arguments: str | bytes | float) -> Reply | None:
        """Run a script on a key and those beside it; None without an answer."""
        return await self.redis.run(script, keys_of(self.prefix + key), *arguments)

    def sealed(self, key: str, tenant: str, header: bytes, content: bytes) -> bytes:
        """Return the value to store under the key."""
        return self._seal.seal(self.prefix + key, tenant, header, content)

    def opened(self, key: str, tenant: str, value: bytes) -> bytes | None:
        """Return the content stored under the key; None if it cannot be read."""
        return self._seal.open(self.prefix + key, tenant, value)

    async def bust(
        self, key: str, fingerprint: str, generation: int, *, sent_at: float, probe: float
    ) -> tuple[Reply, BustFailure | None]:
        """Bust what was obtained under this generation, and publish that to every pod in the same step.

        Return the script's reply, () without one, and what went wrong. `sent_at` is when the refused request was sent,
        on the server's clock; `probe` the seconds that one may take which tries again after a cool-down.
        """
        for _ in range(ATTEMPTS):
            now = self.offset.earliest_there(self.clock.now())
            generation = following(generation, now)
            message = self._message(Bust(key, fingerprint, generation), now)
            reply = await self.run(
                BUST,
                key,
                fingerprint,
                generation,
                round(sent_at * 1e6),
                message,
                self._channel,
                self._life,
                milliseconds(probe),
            )
            match reply:
                case [_, b"behind", bytes(current)]:
                    generation = int(current)
                case [bytes(denial), b"unsent"]:
                    return (), BustFailure("publish", words(denial.decode(errors="replace")))
                case [b"", *state]:
                    return state, None
                case [bytes(denial), *state]:
                    return state, BustFailure("record", words(denial.decode(errors="replace")))
                case _:
                    return (), await self.redis.publish(self._channel, message)
        return (), BustFailure("publish", "overtaken")

    def _message(self, bust: Bust, now: float) -> bytes:
        sign = self._seal.sign
        return encode(bust, channel=self._channel, sender=self._pod, at=milliseconds(now), sign=sign)
