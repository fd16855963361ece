"""Tells the fleet that a token, or credentials, are dead: in one step bust in Redis and told to every pod."""

from sidecar.adapters.redis.link import Link, Reply
from sidecar.adapters.redis.scripts import BUST, keys_of, milliseconds
from sidecar.core.busts import Bust
from sidecar.core.generations import following
from sidecar.core.messages import BUST_CHANNEL, encode
from sidecar.core.ports import Clock, Seal

ATTEMPTS = 3
"""How often a bust is signed anew for a generation that others moved on meanwhile."""


class Telling:
    """What store and vault have in common."""

    def __init__(
        self, link: Link, *, seal: Seal, clock: Clock, key_prefix: str, store_ttl: float, pod: str
    ) -> None:
        """`store_ttl` in seconds; `pod` is who our messages are from."""
        self._link = link
        self._seal = seal
        self._clock = clock
        self._prefix = key_prefix
        self._life = milliseconds(2 * store_ttl)
        self._pod = pod
        self._channel = key_prefix + BUST_CHANNEL

    async def bust(
        self, key: str, fingerprint: str, generation: int, *, sent_at: float, probe: float
    ) -> Reply | None:
        """Bust what was had under this generation; return the script's reply, None without an answer.

        `sent_at` is when the refused request was sent, on the server's clock; `probe` the seconds that one may take
        which tries again after a cool-down.
        """
        reply: Reply | None = None
        for _ in range(ATTEMPTS):
            now = self._link.offset.earliest_there(self._clock.now())
            generation = following(generation, now)
            reply = await self._link.run(
                BUST,
                keys_of(self._prefix + key),
                fingerprint,
                generation,
                round(sent_at * 1e6),
                self._message(Bust(key, fingerprint, generation), now),
                self._channel,
                self._life,
                milliseconds(probe),
            )
            match reply:
                case [b"behind", bytes(current)]:
                    generation = int(current)
                case _:
                    return reply
        return reply

    def _message(self, bust: Bust, now: float) -> bytes:
        sign = self._seal.sign
        return encode(bust, channel=self._channel, sender=self._pod, at=milliseconds(now), sign=sign)
