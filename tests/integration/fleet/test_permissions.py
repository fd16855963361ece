"""What the sidecar's user must be allowed in Redis: the list is that of the code, and what is missing is named.

That the list is enough is what the tests of store, bus and credential store find out: they run as that user.
"""

import pkgutil
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import count
from uuid import uuid4

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from sidecar.core.backoff import Setback
from sidecar.core.finding import Finding
from sidecar.core.secret import Secret
from sidecar.fleet import redis as package
from sidecar.fleet.answers import Dropped
from sidecar.fleet.redis import checks as examine
from sidecar.fleet.redis import permissions
from sidecar.fleet.redis.answers import SelectAnswers
from sidecar.fleet.redis.checks import Examination
from sidecar.fleet.redis.connect import connect
from sidecar.fleet.redis.denial import denial
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.permissions import COMMANDS, SCRIPTS, rules
from sidecar.fleet.redis.revocation_log import RevocationLog
from sidecar.fleet.redis.scripts import Script
from sidecar.fleet.redis.sealed_values import SealedValues
from sidecar.fleet.redis.token_store import RedisTokenStore
from sidecar.fleet.seal import AesSeal
from sidecar.fleet.settings import RedisSettings
from sidecar.oauth.token import Token, TokenRequest, bearer
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.fleet_events import StoreDenied
from tests.support.journal import RecordingJournal
from tests.support.redis_server import PASSWORD, RedisServer
from tests.support.waiting import AT_LEISURE, until

REQUEST = TokenRequest("api", "https://auth.test/token", "app", "ledger", tenant="acme")
OF_A_CLUSTER = {"asking", "cluster|slots"}
"""What no single server is sent; the tests of the bus on a Cluster run as the user too."""
OPTIONAL = {"client|setname"}
"""What the sidecar does without."""


class User:
    """A user of its own on a shared server, with what the documents allow under one prefix."""

    def __init__(self, server: RedisServer) -> None:
        self.name = f"user-{uuid4().hex[:8]}"
        self.prefix = f"{uuid4().hex[:8]}:"
        self.server = server

    def allow(self, *but: str) -> None:
        """Allow everything but these rules."""
        some = [rule for rule in rules(self.prefix) if rule not in but]
        assert len(some) == len(rules(self.prefix)) - len(but)
        with self.server.client() as client:
            client.execute_command("ACL", "SETUSER", self.name, "reset", "on", f">{PASSWORD}", *some)

    @property
    def settings(self) -> RedisSettings:
        return replace(self.server.settings(self.prefix), username=self.name)


@pytest.fixture
def user(each_redis: RedisServer) -> Iterator[User]:
    user = User(each_redis)
    yield user
    with each_redis.client() as client:
        client.execute_command("ACL", "DELUSER", user.name)
    each_redis.denied()


# The list


def test_r1_every_script_counts() -> None:
    """Wherever in the package a script is, what it calls is in the list."""
    names = [f"{package.__name__}.{each.name}" for each in pkgutil.iter_modules(package.__path__)]
    found = {
        each.name for name in names for each in vars(import_module(name)).values() if isinstance(each, Script)
    }
    assert found == {script.name for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_r1_every_call_names_its_command(script: Script) -> None:
    """A command that is worked out would be missing in the list."""
    helpers = re.findall(
        r"local function (\w+)\((?:command, )?\.\.\.\)\n.* redis\.p?call\((?:command, )?\.\.\.\)", script.text
    )
    text = re.sub(r"(?:function \w+|redis\.p?call)\((?:command, )?\.\.\.\)", "", script.text)
    calls = re.findall(rf"(?:redis\.\w*call|\b(?:{'|'.join(helpers) or '-'}))\b\s*(\S{{0,3}})", text)
    assert [call for call in calls if not re.match(r"\('[A-Z]", call)] == []
    assert len(calls) >= len(script.commands)


def test_r1_check_tries_every_command_of_the_scripts() -> None:
    """None is found to be missing only when it is needed."""
    tried = {command.lower() for command in re.findall(r"\{'([A-Z]+)'", examine.TRIAL)}
    assert tried == frozenset[str]().union(*(script.commands for script in SCRIPTS))


# What `sidecar check` finds


async def findings(settings: RedisSettings) -> list[Finding]:
    prefix = settings.key_prefix
    look, hear = (Examination(connect(settings, timeout=AT_LEISURE)) for _ in "ab")
    try:
        return [
            await look.log_in(),
            await look.version(),
            await look.keys(f"{prefix}tenant:check:m2m:check", f"{prefix}m2m:check"),
            await look.keys(f"{prefix}m2m:check", f"{prefix}m2m:check"),
            await hear.channels([f"{prefix}m2m:bust", f"{prefix}m2m:fill"]),
        ]
    finally:
        await look.close()
        await hear.close()


async def test_r1_check_finds_nothing_wrong_with_what_the_documents_allow(user: User) -> None:
    """And leaves nothing there."""
    user.allow()
    assert {finding.outcome for finding in await findings(user.settings)} == {"ok"}
    with user.server.client() as client:
        assert client.keys(f"*{user.prefix}*") == []
    assert user.server.denied() == []


@pytest.mark.parametrize("command", sorted(COMMANDS - OF_A_CLUSTER - OPTIONAL))
async def test_r1_check_names_the_command_that_is_missing(user: User, command: str) -> None:
    """Each that the code sends."""
    user.allow(f"+{command}")
    settings = replace(user.settings, database=1) if command == "select" else user.settings
    failed = [finding for finding in await findings(settings) if finding.outcome == "failed"]
    assert failed != []
    for finding in failed:
        assert command.partition("|")[0] in finding.detail.lower()
        assert "ACL in docs/how-to/share-through-redis.md" in finding.hint


async def test_r1_check_names_all_that_is_missing(user: User) -> None:
    """At once, so that one correction is enough."""
    user.allow("+hget", "+pttl", "+zcard", "+publish")
    keys = (await findings(user.settings))[3]
    assert keys.outcome == "failed"
    assert [name for name in ("HGET", "PTTL", "ZCARD", "PUBLISH") if name not in keys.detail] == []


@pytest.mark.parametrize("pattern", ["~%stenant:*", "~%sm2m:*", "~{%stenant:*", "~{%sm2m:*", "&%sm2m:*"])
async def test_r1_check_finds_keys_and_channels_that_are_missing(user: User, pattern: str) -> None:
    """Each pattern of the documents."""
    user.allow(pattern % user.prefix)
    failed = [finding for finding in await findings(user.settings) if finding.outcome == "failed"]
    assert failed != []
    assert {"ACL in docs/how-to/share-through-redis.md" in finding.hint for finding in failed} == {True}


# What the log has of it


class PermittedPod:
    """One pod's way to Redis as that user."""

    def __init__(self, user: User) -> None:
        self.journal = RecordingJournal()
        clock, randomness = SystemClock(), SystemRandomness()
        self.link = GuardedClient(
            lambda: connect(user.settings, timeout=AT_LEISURE),
            key_prefix=user.prefix,
            operation_timeout=AT_LEISURE,
            clock=clock,
            randomness=randomness,
            journal=self.journal,
        )
        seal = AesSeal([("k1", bytes(32))], randomness)
        shelf = SealedValues(
            self.link, seal=seal, clock=clock, key_prefix=user.prefix, store_ttl=300, pod="a"
        )
        self.store = RedisTokenStore(shelf)
        self.revoked = RevocationLog(self.link, key_prefix=user.prefix, clock=clock, life=60)
        self.answers = SelectAnswers(
            self.link, key_prefix=user.prefix, pod="a", name="a", seal=seal, clock=clock
        )
        self.channel = f"{user.prefix}m2m:bust"
        self.now = clock.now()
        self._numbers = count(1)

    @property
    def token(self) -> Token:
        """Another one each time."""
        name = f"t{next(self._numbers)}"
        return bearer(Secret(name, name), fetch_began=self.now, life=300, leeway=60)

    async def read_answers(self) -> None:
        await self.answers.write(Dropped("s", 1))
        await self.answers.read("s", 1)

    @property
    def denied(self) -> list[StoreDenied]:
        return [event for event in self.journal.events if isinstance(event, StoreDenied)]


@pytest.fixture
async def pod(user: User) -> AsyncIterator[PermittedPod]:
    user.allow()
    pod = PermittedPod(user)
    assert (
        await pod.revoked.measure()
    )  # else the first bust assumes Redis's clock, and the second may lie before it
    yield pod
    await pod.link.close()


Act = Callable[[PermittedPod], Awaitable[object]]
ACTS: list[tuple[str, str, Act]] = [
    ("bust", "+hget", lambda pod: pod.store.bust(REQUEST, pod.token, pod.now)),
    ("bust", "+publish", lambda pod: pod.store.bust(REQUEST, pod.token, pod.now)),
    ("claim", "+get", lambda pod: pod.store.claim(REQUEST, "a", "")),
    ("claim", "+pttl", lambda pod: pod.store.claim(REQUEST, "a", "")),
    ("claim", "+evalsha", lambda pod: pod.store.claim(REQUEST, "a", "")),
    ("claim", "~%stenant:*", lambda pod: pod.store.claim(REQUEST, "a", "")),
    ("fill", "+set", lambda pod: pod.store.fill(REQUEST, pod.token, "a")),
    ("fill", "&%sm2m:*", lambda pod: pod.store.fill(REQUEST, pod.token, "a")),
    ("give_up", "+set", lambda pod: pod.store.give_up(REQUEST, "a", Setback(pod.now + 9, 1, "out", None))),
    ("cool_down", "+hmget", lambda pod: pod.store.cool_down(REQUEST, pod.token, 1.0)),
    ("healed", "+del", lambda pod: pod.store.healed(REQUEST)),
    ("generations", "+get", lambda pod: pod.store.generations([REQUEST.key])),
    ("generations", "~{%stenant:*", lambda pod: pod.store.generations([REQUEST.key])),
    ("revoked", "+type", lambda pod: pod.revoked.load(pod.now, lambda _: None)),
    ("revoke", "+zadd", lambda pod: pod.revoked.publish(b"m", 1, pod.channel)),
    ("answer", "+zadd", lambda pod: pod.answers.write(Dropped("s", 1))),
    ("answer", "~%sm2m:*", lambda pod: pod.answers.write(Dropped("s", 1))),
    ("answers", "+zrange", lambda pod: pod.read_answers()),
    ("listeners", "+pubsub|numsub", lambda pod: pod.revoked.publish(b"m", 1, pod.channel)),
]


@pytest.mark.parametrize(("operation", "rule", "act"), ACTS, ids=[f"{act[0]} {act[1]}" for act in ACTS])
async def test_r1_a_denial_is_reported_in_the_servers_words(
    user: User, pod: PermittedPod, operation: str, rule: str, act: Act
) -> None:
    """Within a script or outside one, once for as long as it lasts."""
    missing = rule % user.prefix if "%" in rule else rule
    user.allow(missing)
    await act(pod)
    await act(pod)
    [event] = pod.denied
    assert event.operation == operation
    assert re.search("can't|permission", event.error)
    assert not re.search(r"user_script|f_[0-9a-f]{40}|[0-9a-f]{40}", event.error)
    user.allow()
    await until(lambda: pod.link.up)
    await act(pod)
    user.allow(missing)
    await act(pod)
    assert [event.operation for event in pod.denied] == [operation] * 2


async def test_r1_what_a_script_reads_tolerantly_it_is_denied_by_name(user: User, pod: PermittedPod) -> None:
    """The command that the list once lacked: without it the fleet's cool-down was switched off in silence."""
    user.allow("+hget")
    await pod.store.bust(REQUEST, pod.token, pod.now)
    assert pod.denied[0].error.startswith("HGET: ")


CANNOT = "The user executing the script can't run this command or subcommand"
NO_GET = "this user has no permissions to run the 'get' command"
ACL_FAILURE = "ACL failure in script: User x has no permissions to run the 'hget' command"
DIGEST = "a38bd66b678a4e9be8285ab3bb3afe3609de7f6a"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoPermissionError(NO_GET), NO_GET),
        (
            ResponseError(
                f"Error running script (call to f_{DIGEST}): @user_script:1: @user_script: 1: {CANNOT}"
            ),
            CANNOT,
        ),
        (ResponseError(f"{CANNOT} script: {DIGEST}, on @user_script:1."), CANNOT),
        (ResponseError(f"HGET: NOPERM {ACL_FAILURE}"), f"HGET: {ACL_FAILURE}"),
        (NoPermissionError(f"{ACL_FAILURE} script: {DIGEST}, on @user_script:12."), ACL_FAILURE),
        (NoPermissionError("a\x1b[2Jb\n" + "c" * 1000), "a[2Jb " + "c" * 194),
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), None),
        (ResponseError("unknown command 'FOO', with args beginning with: 'secret'"), None),
        (ResponseError("OOM command not allowed when used memory > 'maxmemory'."), None),
        (TimeoutError("NOPERM"), None),
    ],
)
def test_r1_the_words_of_a_denial(error: Exception, words: str | None) -> None:
    """Without script and line, on one line, bounded; other errors are none."""
    assert denial(error) == words


def test_r1_the_rules_have_the_prefix_and_other_programs_channels() -> None:
    """In front of every key and channel of ours, and of none of theirs."""
    some = rules("eu:", ["events:prod"])
    assert some[: len(some) - len(COMMANDS)] == (
        "resetchannels",
        *("~eu:tenant:*", "~eu:m2m:*", "~{eu:tenant:*", "~{eu:m2m:*"),
        *("&eu:m2m:*", "&events:prod"),
    )
    assert permissions.SENT <= COMMANDS
