"""Cool-downs: when an upstream refuses fresh tokens too, its refusals are relayed for a while without a renewal."""

from dataclasses import dataclass, replace

from sidecar.core.backoff import doubling
from sidecar.core.lru import Lru

MAX_WINDOW = 60.0
PROBE_LIFE = 30.0
"""Seconds after which a probe without a result is given to another caller."""
FORGOTTEN_AFTER = 120.0
"""Seconds without a refusal after a window that make the next refusal the first of a new series."""


@dataclass(frozen=True, slots=True)
class _Cooling:
    until: float
    rounds: int
    token: str
    """Fingerprint of the token whose refusal opened the window."""
    since: float
    """When the first window of the series began."""
    probing: bool = False


class CoolDowns:
    """Windows of at most `limit` keys. After one a single caller probes, which opens the next window or ends them."""

    def __init__(self, limit: int) -> None:
        self._cooling: Lru[_Cooling] = Lru(limit)

    def cooling(self, key: str, now: float) -> bool:
        """Return whether a refusal is relayed without a renewal; after a window, False for one caller, the probe."""
        state = self._cooling.get(key)
        if state is None:
            return False
        if now < state.until:
            return True
        if now >= state.until + FORGOTTEN_AFTER:
            self._cooling.pop(key)
            return False
        self._cooling.put(key, replace(state, until=now + PROBE_LIFE, probing=True))
        return False

    def left(self, key: str, now: float) -> float:
        """Return the seconds to the end of the key's window; 0 without one."""
        state = self._cooling.peek(key)
        return max(0.0, state.until - now) if state is not None and not state.probing else 0.0

    def since(self, key: str, now: float) -> float | None:
        """Return when the first window of the series began; None without a window."""
        state = self._cooling.peek(key)
        return state.since if state is not None and self.left(key, now) else None

    def refused(self, key: str, token: str, now: float, jitter: float) -> float:
        """Open the next window (1 s doubling to 60 s, times `jitter` ≥ 1) and return its seconds.

        Parallel and late refusals of a token already counted open nothing: 0.
        """
        state = self._cooling.get(key)
        if state is not None and not state.probing and (state.token == token or now < state.until):
            return 0.0
        if state is None or now >= state.until + FORGOTTEN_AFTER:
            state = _Cooling(now, 0, "", now)
        rounds = state.rounds + 1
        seconds = doubling(rounds, MAX_WINDOW) * jitter
        self._cooling.put(key, _Cooling(now + seconds, rounds, token, state.since))
        return seconds

    def learn(self, key: str, now: float, seconds: float, *, probing: bool = False) -> None:
        """Adopt the fleet's window; `probing` means that it is over and this pod tries again."""
        state = self._cooling.get(key) or _Cooling(now, 1, "", now)
        self._cooling.put(key, replace(state, until=max(now + seconds, state.until), probing=probing))

    def healed(self, key: str) -> bool:
        """Note that a fresh token was accepted: drop the state, and return whether there was any."""
        return self._cooling.pop(key) is not None
