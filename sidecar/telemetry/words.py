"""The words that the fields of events, and labels of metrics, take; and the glossary: what people read for each.

A machine's word is a contract. Its name for people is written once, below, and the log, `/status`, the commands, the
page, metrics and alerts use that name and no other. A name stands in the middle of a sentence.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Level = Literal["debug", "info", "warning", "error"]
Signal = Literal["metrics", "traces"]
"""What can be exported."""
Outcome = Literal["healed", "refused", "failed"]
"""Of a second send: accepted, refused too, or there was none or no answer to it."""
BustStep = Literal["publish", "record"]
"""What Redis did not do for a bust: send it to the pods, or keep it for those that are not connected."""
BustKind = Literal["token", "credentials", "select", "gap"]
"""What was dropped: one token, credentials, all that carry a label, or what had died while no message came."""
Decision = Literal["renew", "cooling", "relay"]
"""What happens to a request whose token an upstream refused."""
Rejection = Literal["too_large", "malformed", "unknown", "channel", "unsigned", "forged", "old", "replayed"]
"""Why a message may not bust anything."""
FetchFault = Literal["refused", "unavailable", "bad_subject"]
"""Why a fetch gave no token: the authorization server refused, is unavailable, or does not accept a caller's token."""
SecretFault = Literal["missing", "denied", "malformed", "throttled", "unreachable", "unconfigured"]
"""Why a secret gave no credentials."""
NeighbourKind = Literal["upstream", "authorization_server", "secret_store", "store", "bus"]
"""Of those whose health `/status` shows, as it writes them."""


class Neighbour(NamedTuple):
    """What people read about one kind of neighbour. No dataclass: each command loads this module."""

    name: str
    down: str = "{name} {which} is unavailable"
    """Of one that is down; `which` tells it from others of its kind."""
    up: str = "{name} {which} is available again"
    others: tuple[str, ...] = ()
    """Words for the same that stand nowhere, so that it has one name."""

    def is_down(self, which: str = "") -> str:
        """Return that it is down, as a part of a sentence."""
        return " ".join(self.down.format(name=self.name, which=which).split())

    def is_up(self, which: str = "") -> str:
        """Return that it is up again, as a part of a sentence."""
        return " ".join(self.up.format(name=self.name, which=which).split())


NEIGHBOURS: Mapping[NeighbourKind, Neighbour] = {
    "upstream": Neighbour("upstream", others=("backend", "origin server", "resource server")),
    "authorization_server": Neighbour(
        "authorization server", others=("auth server", "identity provider", "IdP", "OAuth server")
    ),
    "secret_store": Neighbour(
        "AWS Secrets Manager",
        "{name} is unavailable",
        "{name} is available again",
        ("secret store", "secrets store"),
    ),
    "store": Neighbour("Redis", others=("the store", "the cache server")),
    "bus": Neighbour(
        "busts of other pods",
        "{name} do not arrive",
        "{name} arrive again",
        ("the bus", "the other pods' busts", "hear the others", "busts of others", "busts elsewhere"),
    ),
}
TOKEN_ENDPOINT = "token endpoint"
"""Of an authorization server, as the two below are; its health is the server's."""
ISSUER_METADATA = "issuer metadata"
KEY_SET = "key set"
OTLP_ENDPOINT = "OTLP endpoint"

HEALTH_STATES: Mapping[str, str] = {"up": "up", "down": "down", "unknown": "not used yet"}
DECISIONS: Mapping[str, str] = {
    "renew": "a new token is fetched",
    "cooling": "the client gets the refusal until the cool-down ends",
    "relay": "the client gets the refusal, because another token would not help",
}
FETCH_FAULTS: Mapping[str, str] = {
    "refused": "refused",
    "unavailable": "unavailable",
    "bad_subject": "the caller's token is not accepted",
}
SECRET_FAULTS: Mapping[str, str] = {
    "missing": "no such secret or version",
    "denied": "permission denied",
    "malformed": "content cannot be used",
    "throttled": "too many requests",
    "unreachable": "no answer",
    "unconfigured": "no region or credentials for AWS",
}
REJECTIONS: Mapping[str, str] = {
    "too_large": "too large",
    "malformed": "malformed",
    "unknown": "of an unknown kind",
    "channel": "signed for another channel",
    "unsigned": "not signed",
    "forged": "signed with another key, or altered",
    "old": "too old",
    "replayed": "received before",
}
TOKEN_ORIGINS: Mapping[str, str] = {
    "memory": "memory",
    "store": NEIGHBOURS["store"].name,
    "fetch": "fetch",
    "none": "none",
}
BUST_KINDS: Mapping[str, str] = {
    "token": "a token",
    "credentials": "credentials",
    "select": "tokens by label",
    "gap": "found after messages were missed",
}


def neighbour(kind: str) -> str:
    """Return the name of a kind, which may be a newer sidecar's."""
    return next((known.name for word, known in NEIGHBOURS.items() if word == kind), kind.replace("_", " "))


def glossary() -> dict[str, Mapping[str, str]]:
    """Return the names by kind of word and word, for a page that shows `/status`.

    `down` and `up` are sentences, by a neighbour's kind and by its name, with `{which}` where there are several.
    """
    words = [(word, each) for kind, each in NEIGHBOURS.items() for word in (kind, each.name)]
    return {
        "neighbour": {kind: each.name for kind, each in NEIGHBOURS.items()},
        "down": {word: each.is_down("{which}") for word, each in words},
        "up": {word: each.is_up("{which}") for word, each in words},
        "health": HEALTH_STATES,
        "decision": DECISIONS,
        "fetch_fault": FETCH_FAULTS,
        "secret_fault": SECRET_FAULTS,
        "rejection": REJECTIONS,
        "origin": TOKEN_ORIGINS,
        "bust": BUST_KINDS,
    }
