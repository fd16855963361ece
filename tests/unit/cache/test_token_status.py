"""The status of tokens for operators."""

from dataclasses import replace

import pytest

from sidecar.cache.cooldown import CoolDowns
from sidecar.cache.token_memory import HeldToken, hold
from sidecar.cache.token_status import CONNECTED, REMEMBERED, TokenStatus, Troubles, token_statuses
from sidecar.core.labels import Labels
from sidecar.core.lru import Lru
from sidecar.core.secret import Secret
from sidecar.oauth.token import TokenRequest, bearer

LEDGER = TokenRequest("ledger", "app", "app", tenant="acme")


class Table:
    """A cache's tables."""

    def __init__(self) -> None:
        self.memory: Lru[HeldToken] = Lru(10)
        self.troubles = Troubles(10)
        self.cool_downs = CoolDowns(10)

    def keep(self, request: TokenRequest, *, life: float = 300.0, at: float = 0.0) -> None:
        secret = Secret("canary", f"fp-{request.tenant}")
        token = bearer(secret, fetch_began=at, life=life, leeway=60, labels=request.labels)
        self.memory.put(request.key, hold(request, token, at, at + 30))

    def told(self, now: float, chosen: Labels = frozenset()) -> list[TokenStatus]:
        tables = (self.memory, self.troubles, self.cool_downs)
        return list(token_statuses(*tables, now=now, today=now, selector=chosen))


def of(tenant: str) -> TokenRequest:
    return replace(LEDGER, tenant=tenant)


def test_missing_ones_come_first_then_those_used_last() -> None:
    """Looking does not count as use."""
    table = Table()
    for tenant in ("a", "b", "c"):
        table.keep(of(tenant))
    table.memory.get(of("a").key)
    table.troubles.note(of("d"), "out", 1.0)
    for _ in range(2):
        assert [status.tenant for status in table.told(10)] == ["d", "a", "c", "b"]


def test_a_trouble_is_dated_from_its_first_failure_and_ends_with_success() -> None:
    """With the last reason; a token that is still in use shows it too."""
    table = Table()
    table.keep(LEDGER, life=100)
    table.troubles.note(LEDGER, "timed out", 50)
    table.troubles.note(LEDGER, "answered 503", 60)
    (status,) = table.told(70)
    assert (status.state, status.problem, status.problem_since) == ("aging", "answered 503", 50)
    (status,) = table.told(100)
    assert (status.state, status.problem, status.problem_since, status.fp) == (
        "missing",
        "answered 503",
        50,
        "",
    )
    table.troubles.end(LEDGER.key)
    assert table.told(100) == []


@pytest.mark.parametrize(
    ("apart", "dates_it"),
    [
        (1, True),
        (599, True),
        (REMEMBERED, True),
        (900, True),
        (CONNECTED - 1, True),
        (CONNECTED, False),
        (86400, False),
    ],
)
def test_c4_a_failure_dates_the_next_one_within_an_hour(apart: float, dates_it: bool) -> None:
    """It is not shown for so long, but requests every quarter of an hour that all fail are one problem."""
    table = Table()
    table.troubles.note(LEDGER, "timed out", 50)
    table.troubles.note(LEDGER, "timed out", 50 + apart)
    (status,) = table.told(60 + apart)
    assert (status.problem_since, status.last_tried) == (50 if dates_it else 50 + apart, 50 + apart)


def test_o5_the_first_failure_dates_a_problem_and_the_last_one_is_beside_it() -> None:
    """While it goes on only the last moves, for a token in use as for a missing one; without failure there is none."""
    table = Table()
    table.keep(LEDGER, life=100)
    assert [status.last_tried for status in table.told(40)] == [None]
    for moment in (50, 60, 95):
        table.troubles.note(LEDGER, "timed out", moment)
        for now in (moment + 1, moment + 4, 100):
            (status,) = table.told(now)
            assert (status.problem_since, status.last_tried) == (50, moment)
    table.troubles.end(LEDGER.key)
    table.troubles.note(LEDGER, "timed out", 99)
    assert [(status.problem_since, status.last_tried) for status in table.told(100)] == [(99, 99)]


def test_t11_a_trouble_shows_the_servers_own_text() -> None:
    """Missing or still in use; the next failure's, if that has one, replaces it."""
    table = Table()
    table.keep(LEDGER, life=100)
    table.troubles.note(LEDGER, "refused", 50, "AADSTS7000215: wrong secret")
    assert [status.error_description for moment in (70, 100) for status in table.told(moment)] == [
        "AADSTS7000215: wrong secret",
        "AADSTS7000215: wrong secret",
    ]
    table.troubles.note(LEDGER, "timed out", 60)
    assert [status.error_description for status in table.told(100)] == [""]


def test_a_failure_that_nobody_met_again_is_forgotten() -> None:
    """A request for a tenant that does not exist is not shown without end."""
    table = Table()
    table.troubles.note(LEDGER, "refused", 5)
    assert len(table.told(5 + REMEMBERED - 1)) == 1
    assert table.told(5 + REMEMBERED) == []


def test_only_tokens_with_these_labels_are_told_of() -> None:
    """Tenant and service, the missing ones too."""
    table = Table()
    table.keep(of("a"))
    table.troubles.note(of("b"), "refused", 0)
    told = {
        tenant: [
            status.tenant for status in table.told(1, frozenset({("tenant", tenant), ("service", "app")}))
        ]
        for tenant in ("a", "b", "c")
    }
    assert told == {"a": ["a"], "b": ["b"], "c": []}
    assert table.told(1, frozenset({("service", "other")})) == []


def test_a_cool_down_is_told_to_its_end() -> None:
    """And reading it does not make the reader the probe."""
    table = Table()
    table.keep(LEDGER)
    table.cool_downs.refused(LEDGER.key, "fp", 10, 1.0)
    assert [table.told(now)[0].cooling for now in (10.25, 11, 12)] == [0.75, 0, 0]
    assert not table.cool_downs.cooling(LEDGER.key, 12)
