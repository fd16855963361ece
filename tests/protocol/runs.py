"""What `make protocol` checks: the model in several sizes, and the model with a guard or an assumption removed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.protocol.spin import MODEL

VECTOR = "VECTORSZ=1024"
EVERY_STATE = ("SAFETY", VECTOR)
COVERAGE = ("SAFETY", "BITSTATE", VECTOR)
ENDLESS = ("NFAIR=3", VECTOR)
"""Of the compiler, for a formula about what happens again and again."""
SHORTEST = ("SAFETY", "BFS", VECTOR)
FAIR = ("-a", "-f")
"""Of the checker: each process that can take a step takes one in the end."""


def constants() -> Mapping[str, int]:
    """Return the numbers that the model defines: faults, guards and assumptions among them."""
    found = re.findall(r"^#define ([A-Z_]+) (\d+)\b", MODEL.read_text(), re.MULTILINE)
    return {name: int(value) for name, value in found}


@dataclass(frozen=True)
class Size:
    """One size of the model."""

    name: str
    pods: int
    keys: int
    tokens: int
    faults: int
    """How many of the faults happen in one run, at most."""
    second: int | None = None
    """Fetches of the second key, if they are fewer."""
    options: tuple[str, ...] = EVERY_STATE
    arguments: tuple[str, ...] = ()

    @property
    def defines(self) -> tuple[str, ...]:
        """Return the macros that set it."""
        size = [f"PODS={self.pods}", f"KEYS={self.keys}", f"TOKENS={self.tokens}", f"FAULTS={self.faults}"]
        size += [f"SECOND={self.second}"] if self.second is not None else []
        size += ["LIVENESS"] if self.options == ENDLESS else []
        return tuple(size)

    @property
    def fetches(self) -> str:
        """Return how many fetches each key has, for the page."""
        return f"{self.tokens}" if self.second is None else f"{self.tokens} and {self.second}"

    @property
    def search(self) -> str:
        """Return what is searched, for the page."""
        if self.options == COVERAGE:
            return "coverage"
        return "every state, for invariant 12" if self.options == ENDLESS else "every state"


@dataclass(frozen=True)
class Removal:
    """A guard or an assumption that is removed."""

    macro: str
    text: str
    """What it is."""
    breaks: int
    """The invariant that then does not hold."""
    faults: tuple[str, ...] = ()
    """The faults that it takes."""
    tokens: int = 3

    @property
    def defines(self) -> tuple[str, ...]:
        """Return the macros that take it out."""
        allowed = sum(constants()[fault] for fault in self.faults)
        size = Size("", pods=2, keys=1, tokens=self.tokens, faults=len(self.faults))
        return (*size.defines, f"ALLOWED={allowed}", f"WITHOUT={self.macro}", f"ONLY={self.breaks}")


SIZES = (
    Size("2 pods, 1 key", pods=2, keys=1, tokens=3, faults=1),
    Size("2 pods, 1 key", pods=2, keys=1, tokens=2, faults=2),
    Size("2 pods, 2 keys", pods=2, keys=2, tokens=2, second=1, faults=1),
    Size("3 pods, 1 key", pods=3, keys=1, tokens=2, faults=1),
    Size("2 pods, 1 key", pods=2, keys=1, tokens=3, faults=1, options=ENDLESS, arguments=FAIR),
    Size(
        "3 pods, 2 keys",
        pods=3,
        keys=2,
        tokens=4,
        faults=9,
        options=COVERAGE,
        arguments=("-w30", "-k2", "-Q1"),
    ),
)
GUARDS = (
    Removal(
        "GENERATION",
        "Redis stores a token only if no bust moved the generation since the claim",
        1,
        ("REVOKE", "BREAK"),
    ),
    Removal(
        "FINGERPRINT", "A bust deletes the stored token only if it is the refused one", 2, ("REVOKE", "FLUSH")
    ),
    Removal("LEASE", "A pod fetches only if no other pod has the lease", 3),
    Removal("OWNER", "A pod releases only its own lease", 3, ("FAIL", "SLOW")),
    Removal("RELEASE", "A fetch that fails releases the lease", 4, ("FAIL",)),
    Removal("LAST_RELEASE", "A load that gives up releases the lease", 4, ("REVOKE", "BREAK")),
    Removal("OFFSET", "Times are those of the clock of Redis, less the uncertainty", 5, ("REVOKE",)),
    Removal("HEARD", "A token that is bust while it is being loaded stays out of memory", 6, ("REVOKE",)),
    Removal("CATCH_UP", "After a gap, a pod compares the generations", 6, ("REVOKE", "GAP")),
    Removal("GAP_COUNT", "After a gap, a pod repeats the loads that were under way", 6, ("REVOKE", "GAP")),
    Removal(
        "PUT_BACK", "In a cool-down, a bust token does not come back into memory", 6, ("REVOKE", "BREAK")
    ),
    Removal("BEHIND", "A bust moves the generation past the one in Redis", 1, ("REVOKE", "BREAK")),
    Removal("TIME", "A generation is at least the time in milliseconds", 7, ("BREAK", "FLUSH")),
    Removal("COOL_DOWN", "A bust reads the cool-down of the fleet", 8, ("BREAK",)),
    Removal("PROBE", "After a cool-down, the first bust begins a probe", 9, ("BREAK",), tokens=4),
    Removal("KNOWN", "A bust compares the token with the last busted one", 10, ("REVOKE",)),
    Removal("SIGNATURE", "A message counts only if a pod of the fleet signed it", 11),
)
ASSUMPTIONS = (
    Removal(
        "DATA_KEPT", "Redis does not lose its data between the bust and the fill", 1, ("REVOKE", "FLUSH")
    ),
    Removal(
        "PROMPT_REPLIES", "A reply does not take so long that two tokens are bust meanwhile", 6, ("BREAK",)
    ),
    Removal(
        "NO_GAP_IN_COOL_DOWN",
        "A pod whose token comes back into memory in a cool-down has missed no bust of it",
        6,
        ("REVOKE", "BREAK", "GAP"),
    ),
)
