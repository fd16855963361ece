"""The answers to a select in Redis: a sorted set for each select, in the order in which they came.

It calls only commands that the revocations call too, so that the permissions of older versions suffice. If one is
denied, only the answers are missing.
"""

from sidecar.core.ports import Clock
from sidecar.fleet import answers
from sidecar.fleet.answers import Answer, Dropped
from sidecar.fleet.ports import Seal
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.scripts import Script, milliseconds

DROPPED_KEY = "m2m:dropped:{id}"
"""Sorted set of signed answers to one bust by hand: how many tokens each pod dropped. It expires after ten seconds."""
LIFE = 10.0
"""Seconds for which the answers are kept after the last one."""
MOST = 10_000
"""Answers that are kept, and read."""
PAGE = 500
"""Answers read at a time."""
FIRST_PAUSE = 0.005
MAX_PAUSE = 0.05
"""Seconds between two reads of answers, doubling."""
IN_VAIN = 12
"""Reads in a row without a new answer after which none is expected: half a second, or more if reads take long. Time in
which this process stood still does not count, because the answers are read after it.
"""
WITHIN = 3.0
"""Seconds in all, also if each read takes long."""
MOST_LOOKS = 40
"""Reads in all: two seconds."""
MOST_COLLECTED = 32
"""Limit: concurrent busts by hand for which a pod collects the answers of other pods (number). Beyond: the pod sends
the bust without collecting answers, and its own answer states this.
"""

ANSWER = Script(
    "answer",
    """
local clock = redis.call('TIME')
local answer, life, most = unpack(ARGV)
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local place = redis.call('ZCARD', KEYS[1])
if place < tonumber(most) then redis.call('ZADD', KEYS[1], 'NX', place, answer) end
redis.call('PEXPIRE', KEYS[1], life)
return {clock[1], clock[2]}
""",
)
"""answer, how long it is kept (ms), how many are kept."""

ANSWERS = Script(
    "answers",
    """
local clock = redis.call('TIME')
local from, count, longest = unpack(ARGV)
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then return {clock[1], clock[2], 0, {}} end
local page = redis.call('ZRANGE', KEYS[1], from, from + count - 1)
local answers = {}
for _, answer in ipairs(page) do
  if #answer <= tonumber(longest) then table.insert(answers, answer) end
end
return {clock[1], clock[2], #page, answers}
""",
)
"""how many to skip, how many to read, how long one may be (bytes) → how many were read, those that are not too long."""


class SelectAnswers:
    """Write one pod's answers, and read those of others."""

    def __init__(
        self, redis: GuardedClient, *, key_prefix: str, pod: str, name: str, seal: Seal, clock: Clock
    ) -> None:
        """Take `pod`, this pod's id as a sender, and `name`, its name for people."""
        self._redis = redis
        self._prefix = key_prefix
        self._pod = pod
        self._name = name
        self._seal = seal
        self._clock = clock
        self._collecting = 0
        """Number of selects whose answers are being read."""

    def own(self, tokens: int) -> Answer:
        """Return this pod's answer with that number of dropped entries."""
        return Answer(self._pod, self._name, tokens)

    async def write(self, dropped: Dropped) -> None:
        """Write the answer to a select of another pod."""
        key = self._key(dropped.select)
        answer = answers.encode(self.own(dropped.tokens), key=key, sign=self._seal.sign)
        await self._redis.run(ANSWER, [key], answer, milliseconds(LIFE), MOST)

    async def read(self, select: str, others: int) -> list[Answer] | None:
        """Return at most `others` answers of other pods to this pod's select, as far as they arrive in time.

        Return None if answers to MOST_COLLECTED selects are already being read: requests share the link to Redis.
        """
        if self._collecting >= MOST_COLLECTED and others:
            return None
        self._collecting += 1
        try:
            return await self._collected(self._key(select), others)
        finally:
            self._collecting -= 1

    async def _collected(self, key: str, others: int) -> list[Answer]:
        place, in_vain, pause = 0, 0, FIRST_PAUSE
        found: dict[str, Answer] = {}
        end = self._clock.now() + WITHIN
        for _ in range(MOST_LOOKS):
            if len(found) >= others or in_vain >= IN_VAIN or self._clock.now() >= end:
                break
            known = len(found)
            looked = await self._look(key, place)
            if looked is None:
                break  # one failure is enough: several would keep the requests of this pod from Redis
            passed_over, read = looked
            place += passed_over
            for answer in read:
                if answer.sender != self._pod and (answer.sender in found or len(found) < others):
                    found[answer.sender] = answer
            in_vain = 0 if len(found) > known else in_vain + 1
            if passed_over < PAGE and len(found) < others:
                await self._clock.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE)
        return list(found.values())

    async def _look(self, key: str, place: int) -> tuple[int, list[Answer]] | None:
        """Return how many answers there are from that position on, a page at most, and the valid ones.

        None if Redis did not answer.
        """
        reply = await self._redis.run(ANSWERS, [key], place, PAGE, answers.MAX_SIZE)
        if reply is None:
            return None
        number, page = reply
        read = (answers.read(payload, key=key, verify=self._seal.verify) for payload in page)
        return int(number), [answer for answer in read if answer is not None]

    def _key(self, select: str) -> str:
        return self._prefix + DROPPED_KEY.format(id=select)
