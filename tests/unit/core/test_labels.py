"""Selectors: which labels mean which tokens, and what is remembered of revocations."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.revocations import Revocations
from sidecar.core.labels import LABELS, Labels, describe, is_value, label, parse_selector
from sidecar.oauth.token import TokenRequest
from tests.support.object_size import deep_size

ALICE: Labels = frozenset(
    {
        ("tenant", "acme"),
        ("service", "ledger"),
        ("user", "alice"),
        ("jti", "id:1"),
        ("team", "red"),
        ("team", "blue"),
        ("role", "admin"),
    }
)

VALUES = st.sampled_from(("a", "b", "a=b", "team=a", "ä"))
PAIRS = st.tuples(st.sampled_from(LABELS), VALUES)
TOKENS = st.frozensets(PAIRS, max_size=8)
SELECTORS = st.dictionaries(st.sampled_from(LABELS), VALUES, max_size=3).map(lambda d: frozenset(d.items()))


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ({}, True),
        ({"user": "alice"}, True),
        ({"team": "red"}, True),
        ({"team": "blue"}, True),
        ({"jti": "id:1"}, True),
        ({"tenant": "acme", "service": "ledger"}, True),
        ({"user": "alice", "team": "blue"}, True),
        ({"user": "bob"}, False),
        ({"user": "Alice"}, False),
        ({"user": "ali"}, False),
        ({"user": "alice", "team": "green"}, False),
        ({"tenant": "globex", "service": "ledger"}, False),
        ({"role": "alice"}, False),
    ],
)
def test_b52_a_selector_means_the_tokens_that_carry_all_its_labels(
    chosen: dict[str, object], meant: bool
) -> None:
    """Every label exactly, whichever others the token carries; without labels, all tokens."""
    revocations = Revocations()
    revocations.add(parse_selector(chosen), at=100.0)
    assert revocations.cover(ALICE, fetch_began=100.0) is meant
    assert not revocations.cover(ALICE, fetch_began=100.1)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ({"colour": "red"}, "'colour' is not a label"),
        ({"user": ""}, "user requires"),
        ({"user": "x" * 257}, "user requires"),
        ({"user": "a\nb"}, "user requires"),
        ({"user": "\ud800"}, "user requires"),
        ({"user": 7}, "user requires"),
        ({"user": None}, "user requires"),
    ],
)
def test_b44_a_selector_that_is_none_is_told_apart(labels: dict[str, object], complaint: str) -> None:
    """The message names the label and never its value."""
    with pytest.raises(ValueError, match=complaint):
        parse_selector(labels)


def test_a_selector_is_written_for_people() -> None:
    """In the order of the labels' table, `all` for the one that means every token."""
    assert describe(parse_selector({"user": "a b", "tenant": "acme"})) == "tenant=acme user=a b"
    assert describe(parse_selector({})) == "all"


def test_a_token_carries_the_labels_of_its_request() -> None:
    """Tenant and service without further configuration; no tenant, no such label."""
    request = TokenRequest(name="t", token_endpoint="u", credentials="c", service="ledger")
    assert request.labels == {("service", "ledger")}
    tenant = TokenRequest(name="t", token_endpoint="u", credentials="c", service="ledger", tenant="acme")
    assert tenant.labels == {("service", "ledger"), ("tenant", "acme")}


@given(st.text())
def test_a_value_that_no_selector_can_have_makes_no_label(value: str) -> None:
    """Whatever an authorization server writes into a claim, a label is one or none."""
    made = label("jti", value)
    assert made == ({("jti", value)} if is_value(value) else set())
    assert len(made) == 0 or parse_selector(dict(made)) == made


@given(st.lists(st.tuples(SELECTORS, st.integers(0, 9)), max_size=20), TOKENS, st.integers(0, 9))
def test_looking_up_by_shape_finds_what_a_walk_would(
    revoked: list[tuple[Labels, int]], token: Labels, fetch_began: int
) -> None:
    """Against the definition: some selector, all of whose labels the token carries, of no earlier moment."""
    revocations = Revocations()
    for chosen, at in revoked:
        revocations.add(chosen, at)
    expected = any(chosen <= token and fetch_began <= at for chosen, at in revoked)
    assert revocations.cover(token, fetch_began) is expected


@given(st.lists(st.tuples(SELECTORS, st.integers(0, 99)), max_size=30), TOKENS, st.integers(0, 99))
def test_b45_what_there_is_no_room_for_is_never_forgiven(
    revoked: list[tuple[Labels, int]], token: Labels, fetch_began: int
) -> None:
    """With room for three, every token that is revoked by the definition stays revoked."""
    revocations = Revocations(limit=3)
    for chosen, at in sorted(revoked, key=lambda pair: pair[1]):
        revocations.add(chosen, at)
        assert len(revocations) <= 3
    if any(chosen <= token and fetch_began <= at for chosen, at in revoked):
        assert revocations.cover(token, fetch_began)


def test_b45_more_than_a_hundred_thousand_revocations_stay_bounded() -> None:
    """At most 100,000 are kept, in under 32 MiB; the last ones are known one by one."""
    revocations = Revocations()
    for number in range(110_000):
        revocations.add(frozenset({("jti", f"{number:032x}")}), at=float(number))
    assert len(revocations) == 100_000
    assert deep_size(revocations) < 32 * 2**20
    assert revocations.cover(frozenset({("jti", f"{109_999:032x}")}), 109_999.0)
    assert not revocations.cover(frozenset({("jti", "other")}), 10_000.0)


def test_b45_what_is_forgotten_leaves_nothing_anywhere() -> None:
    """With a fiftieth of the room, a fiftieth of the memory, wherever the interpreter allocates it."""
    tracemalloc.start()
    revocations = Revocations(limit=2_000)
    for number in range(6_000):
        revocations.add(frozenset({("jti", f"{number:032x}")}), at=float(number))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(revocations) == 2_000
    assert used < 32 * 2**20 / 50


def test_b45_revocations_expire() -> None:
    """Those of moments from which no token is left are dropped, the others stay."""
    revocations = Revocations()
    for number in range(10):
        revocations.add(frozenset({("jti", str(number))}), at=float(number))
    revocations.forget(before=7.0)
    assert len(revocations) == 3
    assert revocations.cover(frozenset({("jti", "8")}), 8.0)
    assert not revocations.cover(frozenset({("jti", "6")}), 6.0)


def test_raising_the_floor_revokes_everything_before() -> None:
    """What may have been missed counts as having meant every token."""
    revocations = Revocations()
    revocations.raise_floor(5.0)
    assert revocations.cover(frozenset(), 5.0)
    assert not revocations.cover(frozenset(), 5.1)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("tenant", "7D9F6F43-8C3A-4A5F-9C1E-2F6F3A1B0C9D", "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"),
        ("tenant", "ACME", "ACME"),
        ("tenant", "no id", "no id"),
        ("jti", "7D9F6F43-8C3A-4A5F-9C1E-2F6F3A1B0C9D", "7D9F6F43-8C3A-4A5F-9C1E-2F6F3A1B0C9D"),
        ("user", "Alice", "Alice"),
    ],
)
def test_o8_a_tenants_uuid_is_selected_in_either_case(name: str, value: str, meant: str) -> None:
    """As requests name it in either case: tokens carry it in small letters. Other values stay as they are."""
    assert parse_selector({name: value}) == {(name, meant)}
