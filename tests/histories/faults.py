"""Faults planted in a copy of the package: one textual change each. The checker must find every one of them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of the code that takes a guard of the protocol away."""

    name: str
    text: str
    """What the code no longer does, for the page."""
    breaks: int
    """The invariant."""
    module: str
    old: str
    new: str


FAULTS = (
    Fault(
        "generation",
        "Redis stores a token only if no bust moved the generation",
        1,
        "fleet/redis/scripts.py",
        "if generation() ~= began_under then return reply(0) end\nrelease(",
        "release(",
    ),
    Fault(
        "late_fill",
        "A pod fetches again if Redis rejected its token",
        1,
        "cache/leased_source.py",
        "        return token if await self._store.fill(request, token, owner) else None",
        "        await self._store.fill(request, token, owner)\n        return token",
    ),
    Fault(
        "fingerprint",
        "A bust deletes the stored token only if it is the refused one",
        2,
        "fleet/redis/scripts.py",
        "local held = mark(value) == fingerprint or",
        "local held = value ~= '' or",
    ),
    Fault(
        "lease",
        "A pod fetches only if no other pod has the lease",
        3,
        "fleet/redis/scripts.py",
        "if left > 0 and left <= tonumber(life) and get(LEASE) ~= owner then",
        "if false then",
    ),
    Fault(
        "release",
        "A fetch that fails releases the lease",
        4,
        "cache/leased_source.py",
        "            await self._store.give_up(request, owner, setback)\n",
        "",
    ),
    Fault(
        "floor",
        "A successor is newer than the refusal",
        5,
        "cache/refused_tokens.py",
        "        return refused.floor if refused is not None else -math.inf",
        "        return -math.inf",
    ),
    Fault(
        "eviction",
        "A pod drops a token whose bust it receives",
        6,
        "cache/evictable.py",
        "        self._memory.pop(bust.key)\n        return True",
        "        return True",
    ),
    Fault(
        "catch_up",
        "After a gap, a pod compares the generations",
        6,
        "fleet/receiver.py",
        "self._evictions.evict_revoked() + self._evictions.evict_behind(generations)",
        "self._evictions.evict_revoked()",
    ),
    Fault(
        "time",
        "A generation is at least the time in milliseconds",
        7,
        "fleet/generations.py",
        "max(known + 1, int(now * 1000))",
        "known + 1",
    ),
    Fault(
        "cool_down",
        "A pod shares its cool-down",
        8,
        "cache/tokens.py",
        "            self._tell(self._share_cool_down(request, token, jitter))\n",
        "",
    ),
    Fault(
        "window",
        "A bust reads the cool-down of the fleet",
        8,
        "fleet/redis/scripts.py",
        "if cooling and now < cooling then return reply(denial, 'cooling', whole(cooling - now)) end\n",
        "",
    ),
    Fault(
        "probe",
        "After a cool-down, the first bust begins a probe",
        9,
        "fleet/redis/scripts.py",
        "  attempt('HSET', COOL, 'until', whole(now + probe), 'probing', 1)\n",
        "",
    ),
    Fault(
        "known",
        "A bust compares the token with the last busted one",
        10,
        "fleet/redis/scripts.py",
        "if dead == fingerprint and #since < 17 and not held then return reply(denial, 'known', since) end\n",
        "",
    ),
    Fault(
        "signature",
        "A message counts only if a pod of the fleet signed it",
        11,
        "fleet/messages.py",
        "if not self._verify(self._signed_for + said, mac):",
        "if len(mac) > MAC_LENGTH:",
    ),
    Fault(
        "subscription",
        "A pod that lost its link subscribes again",
        12,
        "fleet/redis/bus.py",
        "            heed_cancellation()\n            await self._clock.sleep(next(pauses))\n\n    async def publish",
        "            heed_cancellation()\n            await self._clock.sleep(86400.0)\n\n    async def publish",
    ),
    Fault(
        "labels",
        "A pod drops the tokens that a bust by label selects",
        13,
        "fleet/receiver.py",
        "        return self._evictions.evict_selected(selector, at)\n\n    def _bust",
        "        return 0\n\n    def _bust",
    ),
)


def changed(fault: Fault) -> str:
    """Return the module with the fault. Raises ValueError unless its place is there once."""
    text = (ROOT / "sidecar" / fault.module).read_text()
    if text.count(fault.old) != 1:
        raise ValueError(
            f"{fault.module} has {text.count(fault.old)} places for the fault {fault.name}, not 1"
        )
    return text.replace(fault.old, fault.new)


def planted(fault: Fault, folder: Path) -> Path:
    """Return a folder with a copy of the package that has this fault."""
    copy = folder / fault.name
    shutil.copytree(ROOT / "sidecar", copy / "sidecar", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (copy / "sidecar" / fault.module).write_text(changed(fault))
    return copy
