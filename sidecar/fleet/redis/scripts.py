"""Atomic steps at the server, in Lua; each works on the keys of one token request.

Keys come in the order of `keys_of`, one Cluster slot. Every reply begins with the server's TIME, from which a pod
calculates the offset of its clock. Values are `1:<key id>:<mark>:<generation>:…`; the mark of a token is its
fingerprint, of a setback the millisecond at which it ends. Values of another type or form count as absent, and so do
cool-downs that end later than any can (90 s). So a client that can write into this Redis gains nothing by it, and a
server whose clock shows an earlier time than the last one's does not prolong a cool-down.
"""

import hashlib
import re
from dataclasses import dataclass, field

_COMMAND = re.compile(r"\b\w+\('([A-Z]{3,})'")
"""A call of `redis.call`, or of a function around it, whose first argument names a command."""


@dataclass(frozen=True)
class Script:
    """A script and the name under which the server keeps it."""

    name: str
    """Its name in metrics."""
    text: str = field(repr=False)
    urgent: bool = False
    """Whether it is sent while the breaker is open, as long as the server answers: a server that denies writes still
    publishes. After the TIME its reply has the error of the first command that the server denied, '' if it denied none.
    The TIME is two empty strings where that is denied.
    """

    @property
    def digest(self) -> str:
        """SHA-1 of the text, which is how EVALSHA names it."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    @property
    def commands(self) -> frozenset[str]:
        """Commands that the script calls, in lower case: those that the Redis user must be allowed."""
        return frozenset(command.lower() for command in _COMMAND.findall(self.text))


COMPANIONS = {
    "gen": "Generation: a number that each bust raises, so that a token fetched before it is not stored.",
    "lease": "Pod that is fetching, so that the others wait for it.",
    "fail": "Last failed fetch and the time of the next one, encrypted.",
    "cool": "Cool-down: when it ends, how often it was prolonged, and the fingerprint of the refused token.",
    "dead": "Fingerprint of the last busted token, and when the refused request was sent.",
}
"""What is under the keys beside the one of a token or of credentials, by their suffix, in the order of `_KEYS`."""


def keys_of(key: str) -> tuple[str, ...]:
    """Return the key and its companions. The braces make a Cluster hash them as it does the key itself."""
    return (key, *(f"{{{key}}}:{suffix}" for suffix in COMPANIONS))


def milliseconds(seconds: float) -> int:
    """Return the duration as PX and similar arguments require it."""
    return int(seconds * 1000)


DENIABLE = """
local denial = ''
local function attempt(command, ...)
  local answer = redis.pcall(command, ...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if denial == '' and not string.find(answer.err, 'WRONGTYPE', 1, true) then
    denial = command .. ': ' .. answer.err
  end
end
local function elsewhere()
  if ARGV[#ARGV] == 'again' then return false end
  for _, code in ipairs({'READONLY', 'NOREPLICAS', 'MASTERDOWN'}) do
    if string.find(denial, code, 1, true) then return true end
  end
  return false
end
local clock = attempt('TIME') or {'', ''}
local now = (tonumber(clock[1]) or 0) * 1000 + math.floor((tonumber(clock[2]) or 0) / 1000)
"""
"""Commands that a server may deny without an end of the script: full, a replica, no disk, no permission.

`attempt` returns nil for one that failed. Where TIME is denied, nothing is taken for current that has a time.

After the first write `elsewhere` decides whether the caller must look for another server first, so that the message is
published once, and by the primary: a pod would reject the second one as replayed. The last argument is `again` if the
caller has done so.
"""

_KEYS = """
local VALUE, GEN, LEASE, FAIL, COOL, DEAD = unpack(KEYS)
"""

_STRICT = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function read(command, ...)
  local found = redis.pcall(command, ...)
  if type(found) == 'string' then return found end
  if type(found) == 'table' and not string.find(found.err, 'WRONGTYPE', 1, true) then
    error(command .. ': ' .. found.err, 0)
  end
  return ''
end

local function get(key) return read('GET', key) end
"""

_TOLERANT = """
local function get(key) return attempt('GET', key) or '' end
"""

_RULES = """
local function mark(value) return string.match(value, '^1:[^:]*:([^:]*):') or '' end
local function whole(number) return string.format('%.0f', number) end

local function generation()
  local found = get(GEN)
  if #found < 16 and string.match(found, '^[1-9]%d*$') then return found end
  return '0'
end

local function window_end(found)
  local moment = tonumber(found or nil)
  if moment and moment <= now + 90000 then return moment end
end

local function release(owner, channel)
  redis.call('PUBLISH', channel, VALUE)
  if get(LEASE) == owner then redis.call('DEL', LEASE) end
end

local function reply(...) return {clock[1], clock[2], ...} end
"""

_PRELUDE = _KEYS + _STRICT + _RULES

CLAIM = Script(
    "claim",
    _PRELUDE
    + """
local owner, life, passing_over = unpack(ARGV)
local value = get(VALUE)
if value ~= '' and passing_over ~= '*' and mark(value) ~= passing_over then
  return reply('token', generation(), value)
end
local setback = get(FAIL)
if passing_over ~= '*' and (tonumber(mark(setback)) or 0) > now then
  return reply('setback', generation(), setback)
end
local left = redis.call('PTTL', LEASE)
if left > 0 and left <= tonumber(life) and get(LEASE) ~= owner then
  return reply('theirs', generation(), setback, left)
end
redis.call('SET', LEASE, owner, 'PX', life)
return reply('ours', generation(), setback)
""",
)
"""owner, lease in ms, mark to reject (`*` for any). A lease that no pod can have written is taken over."""

EXTEND = Script(
    "extend",
    _PRELUDE
    + """
local owner, life = unpack(ARGV)
if get(LEASE) ~= owner then return reply(0) end
return reply(redis.call('PEXPIRE', LEASE, life))
""",
)
"""owner, lease in ms → 1 while it is the owner's."""

FILL = Script(
    "fill",
    _PRELUDE
    + """
local owner, began_under, value, life, channel = unpack(ARGV)
if generation() ~= began_under then return reply(0) end
release(owner, channel)
redis.call('SET', VALUE, value, 'PX', life)
redis.call('DEL', FAIL)
return reply(1)
""",
)
"""owner, generation, value, its life in ms, channel → 0 when the generation has moved."""

GIVE_UP = Script(
    "give_up",
    _PRELUDE
    + """
local owner, setback, life, channel = unpack(ARGV)
release(owner, channel)
if setback ~= '' then redis.call('SET', FAIL, setback, 'PX', life) end
return reply(1)
""",
)
"""owner, setback or '', how long it is remembered in ms, channel."""

BEFORE_WRITES = (b"cooling", b"known", b"behind")
"""Replies of BUST when it had nothing to write: they do not show that its writes are permitted."""

BUST = Script(
    "bust",
    _KEYS
    + DENIABLE
    + _TOLERANT
    + _RULES
    + """
local fingerprint, moves_to, sent_at, message, channel, life, probe = unpack(ARGV)
local value = get(VALUE)
local held = mark(value) == fingerprint or (value == '' and denial ~= '')
local dead, since = string.match(get(DEAD), '^(%S+) (%d+)$')
local cooling = window_end(attempt('HGET', COOL, 'until'))
if cooling and now < cooling then return reply(denial, 'cooling', whole(cooling - now)) end
if dead == fingerprint and #since < 17 and not held then return reply(denial, 'known', since) end
local current = generation()
if tonumber(moves_to) <= tonumber(current) then return reply(denial, 'behind', current) end
attempt('DEL', DEAD)
if elsewhere() then return redis.error_reply(denial) end
local sent = attempt('PUBLISH', channel, message)
if held then attempt('DEL', VALUE) end
attempt('SET', GEN, moves_to, 'PX', life)
if denial == '' then attempt('SET', DEAD, fingerprint .. ' ' .. sent_at, 'PX', life) end
if cooling then
  attempt('HSET', COOL, 'until', whole(now + probe), 'probing', 1)
  attempt('PEXPIRE', COOL, probe * 4)
end
if not sent then return reply(denial, 'unsent') end
return reply(denial, 'told', cooling and 1 or 0)
""",
    urgent=True,
)
"""fingerprint, generation to move to, when the refused request was sent (µs), message, channel, how long the
generation is kept (ms), how long a probe may take (ms).

The message goes out before everything that counts, and nothing that is denied holds it back. It cannot arrive too
early: every answer to the pods that it reaches waits for the end of this script, so none of them finds the token here
after the message and before the DEL. What cannot be read counts as: the token is here, no pod knows of the bust,
nothing cools down. Where the DEL or the new generation is denied, the token stays readable, or a fetch that began
before may still fill. Then a pod that got the message passes that token over and fetches another (`Busts.later_than`),
and a pod that did not finds out by a 401 of its own. That pod must be able to bust the token again, so `DEAD`, which
would answer it `known`, is written only if nothing was denied.

A full server denies the first write of a script that requires memory, not those after another write. Thus the DEL
that is always first keeps the generation moving in a full server, by a few bytes a bust.
"""

LOOK = Script("look", _PRELUDE + "return reply(generation(), get(VALUE))")

KEEP = Script(
    "keep",
    _PRELUDE
    + """
local began_under, value, life = unpack(ARGV)
if generation() ~= began_under then return reply(0) end
redis.call('SET', VALUE, value, 'PX', life)
return reply(1)
""",
)
"""generation, value, its life in ms → 0 when the generation has moved."""

COOL_DOWN = Script(
    "cool_down",
    _PRELUDE
    + """
local fingerprint, jitter, longest, forgotten = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('TYPE', COOL).ok ~= 'hash' then redis.call('DEL', COOL) end
local state = redis.call('HMGET', COOL, 'until', 'rounds', 'token', 'probing')
local ends, rounds = window_end(state[1]), tonumber(state[2] or nil) or 0
if ends and not state[4] and (state[3] == fingerprint or now < ends) then
  return reply(whole(math.max(0, ends - now)))
end
local window = math.min(longest, 1000 * 2 ^ math.min(rounds, 30)) * jitter
redis.call('DEL', COOL)
redis.call('HSET', COOL, 'until', whole(now + window), 'rounds', whole(rounds + 1), 'token', fingerprint)
redis.call('PEXPIRE', COOL, whole(window + forgotten))
return reply(whole(window))
""",
)
"""fingerprint, jitter, longest window (ms), after how much peace it is forgotten (ms) → what is left of the
window in force (ms). The rule is that of `core.cooldown`."""

HEALED = Script("healed", _PRELUDE + "return reply(redis.call('DEL', COOL))")

PROBE_KEY = "m2m:probe"
"""Empty; written for one second to find out whether the server accepts writes."""
PROBE = Script("probe", "return redis.call('SET', KEYS[1], '', 'PX', 1000)")
"""A write, so that a replica, a full server or a user without rights counts as down and stays so."""
