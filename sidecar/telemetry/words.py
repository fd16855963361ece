"""Values of the events' fields and of the metrics' labels, and the glossary: the name for people of each.

The docstring of each type explains its words one by one.

A value is a contract. Its name for people is written once, below, and the log, `/status`, the commands, the page,
metrics and alerts use only that name. A name can stand in the middle of a sentence.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Level = Literal["debug", "info", "warning", "error"]
Build = Literal["pure", "compiled"]
"""Whether the request path is Python or native code."""
Signal = Literal["metrics", "traces"]
"""What is exported."""
Outcome = Literal["healed", "refused", "failed"]
"""`healed`: the second send was accepted. `refused`: it was refused too. `failed`: there was no new token, or no
response."""
BustStep = Literal["publish", "record"]
"""`publish`: Redis did not publish the bust, so it holds in this pod only. `record`: Redis published it but did not
record it, so pods that are not connected miss it."""
BustKind = Literal["token", "credentials", "select", "gap"]
"""`token`: one token. `credentials`: credentials from a secret store. `select`: all tokens that carry the labels.
`gap`: tokens found to be revoked after messages were missed."""
Decision = Literal["renew", "cooling", "relay"]
"""`renew`: fetch another token and send again. `cooling`: relay the refusal during a cool-down. `relay`: relay it
because another token would not help."""
Rejection = Literal["too_large", "malformed", "unknown", "channel", "unsigned", "forged", "old", "replayed"]
"""`too_large`: above the limit. `malformed`: unreadable. `unknown`: a version or kind that this release does not
know. `channel`: from a channel that is not configured, or made for another one. `unsigned`: without a signature.
`forged`: with a wrong signature. `old`: older than one received before, or more than 5 minutes off Redis's clock.
`replayed`: received before."""
FetchFault = Literal["refused", "unavailable", "bad_subject"]
"""`refused`: the authorization server refused the request. `unavailable`: it did not answer, or with an error of
its own. `bad_subject`: a caller's token is not accepted."""
TokenFault = Literal["refused", "unavailable", "no_credentials"]
"""Why a token is missing. `refused` and `unavailable`: as above. `no_credentials`: the sidecar sent no request, because
AWS Secrets Manager has no credentials for it that can be used."""
SecretFault = Literal["missing", "denied", "malformed", "throttled", "unreachable", "unconfigured"]
"""`missing`: no such secret or version. `denied`: AWS denies reading or decrypting it. `malformed`: not the
expected JSON. `throttled`: too many requests. `unreachable`: no answer within 6 s, or an error of AWS.
`unconfigured`: no region, or no AWS credentials."""
NeighbourKind = Literal["upstream", "authorization_server", "secret_store", "store", "bus"]
"""Of those whose health `/status` shows, as it writes them."""


class Neighbour(NamedTuple):
    """Names for one kind of neighbour. No dataclass, because each command loads this module."""

    name: str
    down: str = "{name} {which} is unavailable"
    """Name of one that is down; `which` distinguishes it from others of its kind."""
    up: str = "{name} {which} is available again"
    others: tuple[str, ...] = ()
    """Synonyms, which must not appear anywhere, so that it has one name."""

    def is_down(self, which: str = "") -> str:
        """Return the clause that it is down."""
        return " ".join(self.down.format(name=self.name, which=which).split())

    def is_up(self, which: str = "") -> str:
        """Return the clause that it is up again."""
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
"""Name of an authorization server, as in the two below; its health is the server's."""
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
    """Return the name of a kind, which a newer sidecar may have sent."""
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
