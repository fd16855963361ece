"""Meaning of Redis's error answers for the server that sent them."""

import re

ELSEWHERE = frozenset({"READONLY", "MASTERDOWN", "NOREPLICAS", "LOADING"})
"""Codes by which a server reports that it may no longer be the primary.

READONLY and MASTERDOWN come from a replica, LOADING from one that loads the new primary's data, for minutes maybe: a
primary that loads its own has just been started, and has no old connections. NOREPLICAS comes from a primary that is
cut off from its replicas, one of which may have been promoted: `min-replicas-to-write` exists for that case. All other
codes come from the right server and describe a state that passes or that only an operator can end (BUSY, TRYAGAIN,
CLUSTERDOWN, MISCONF, OOM, NOPERM): another connection would lead to the same server.
"""

MAX_WORDS = 200
"""Characters of the server's text that are shown."""
STILL_PUBLISHES = frozenset({"MISCONF", "BUSY"})
"""Codes by which the right server denies even PING, while it delivers to its subscribers what is published: it cannot
save its data, or a script runs for long."""

_CODE = re.compile(r"(?:^|: )-?([A-Z]{2,}) ")
_PLACE = re.compile(
    r"^(?:ERR )?Error running script \(call to \w+\): |@user_script: ?\d+: |,? ?script: \w+, on @user_script:\d+\."
    r"|\b(?:ERR|NOPERM) "
)
"""Position in a script, which does not help an operator."""
_DASH = re.compile(r"(^|: )-(?=[A-Z]+ )")
"""How Redis 6.2 begins an error within a script."""
_ARGUMENTS = re.compile(r",? with args beginning with:.*", re.DOTALL)
"""An unknown command's arguments: keys, values, or the password of AUTH."""


def words(text: str) -> str:
    """Return the server's text in one bounded line, without script, position and arguments."""
    said = _DASH.sub(r"\1", _PLACE.sub("", _ARGUMENTS.sub("", text)))
    printable = (character for character in " ".join(said.split()) if character.isprintable())
    return "".join(printable)[:MAX_WORDS]


def code_of(text: str) -> str:
    """Return the code of an error answer, "" if it has none.

    Inside a script Redis 6.2 puts the error of a command at the end of its own: `ERR Error running script (call to
    f_…): @user_script:9: @user_script: 9: -READONLY You can't …`. Redis 7 begins with the code: `READONLY You can't …
    script: …, on @user_script:9.`
    """
    codes: list[str] = _CODE.findall(text)
    return codes[-1] if codes else ""


class Departures:
    """When a pod may leave its server and connect to another.

    The first time at once, so that a failover costs one round trip. As long as the name leads to a server that sends
    its clients away, pauses of `FIRST_PAUSE` seconds that double to `MAX_PAUSE` keep a fleet from connecting
    continuously.
    """

    FIRST_PAUSE = 0.5
    MAX_PAUSE = 8.0
    CALM = 60.0
    """Seconds without a departure after which the next one counts as the first."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._pause = 0.0

    def may_leave(self, now: float) -> bool:
        """Return whether the pod may leave now, and if so count it."""
        since = now - self._last
        if since < self._pause:
            return False
        first = since >= self.CALM
        self._pause = self.FIRST_PAUSE if first else min(2 * self._pause, self.MAX_PAUSE)
        self._last = now
        return True
