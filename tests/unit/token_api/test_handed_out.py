"""Which reports of refusals cost a renewal."""

import pytest

from sidecar.core.secret import Secret
from sidecar.oauth.token import Token, TokenRequest, bearer
from sidecar.token_api.handed_out import BURST, MAX_BYTES, PROVEN_AFTER, PROVEN_BY, HandedOut, HandedOutTokens

LEDGER = TokenRequest(name="ledger", credentials="c", service="ledger")
OTHER = TokenRequest(name="other", credentials="c", service="other")


def token(name: str, size: int = 0) -> Token:
    return bearer(Secret(name + "x" * size, f"fp-{name}"), fetch_began=0.0, life=300.0, leeway=60.0)


@pytest.fixture
def tokens() -> HandedOutTokens:
    return HandedOutTokens()


def found(tokens: HandedOutTokens, name: str, request: TokenRequest = LEDGER) -> HandedOut:
    handed = tokens.find(request, f"fp-{name}")
    assert handed is not None
    return handed


def test_b91_only_what_was_handed_out_is_found(tokens: HandedOutTokens) -> None:
    """By its fingerprint, and only for its own token request."""
    tokens.use(LEDGER, token("a"))
    assert found(tokens, "a").uses == 1
    assert tokens.find(OTHER, "fp-a") is None
    assert tokens.find(LEDGER, "fp-b") is None
    assert tokens.find(LEDGER, "fp-") is None


def test_b91_the_first_report_costs_a_renewal(tokens: HandedOutTokens) -> None:
    """A token that replaced none is thought to have worked."""
    tokens.use(LEDGER, token("a"))
    assert not tokens.doubts(LEDGER, found(tokens, "a"), 0.0)


def test_b91_a_successor_that_is_refused_at_once_has_never_worked(tokens: HandedOutTokens) -> None:
    """Its report begins a cool-down; the next one is up to that."""
    tokens.replace(LEDGER, token("b"), 10.0)
    assert tokens.doubts(LEDGER, found(tokens, "b"), 11.0)
    assert not tokens.doubts(LEDGER, found(tokens, "b"), 12.0)


@pytest.mark.parametrize(
    ("uses", "seconds", "doubted"),
    [
        (0, 0.0, True), (1, 1.0, True), (PROVEN_BY - 1, 1.0, True), (PROVEN_BY, 1.0, False),
        (0, PROVEN_AFTER, False), (0, PROVEN_AFTER - 0.1, True),
    ],
)  # fmt: skip
def test_b91_a_successor_in_use_has_worked(
    tokens: HandedOutTokens, uses: int, seconds: float, *, doubted: bool
) -> None:
    """Handed out often enough, or for long enough."""
    tokens.replace(LEDGER, token("b"), 10.0)
    for _ in range(uses):
        tokens.use(LEDGER, token("b"))
    assert tokens.doubts(LEDGER, found(tokens, "b"), 10.0 + seconds) == doubted


def test_b91_a_token_in_use_is_no_successor(tokens: HandedOutTokens) -> None:
    """It was handed out before another refusal led to it."""
    tokens.use(LEDGER, token("a"))
    tokens.replace(LEDGER, token("a"), 10.0)
    assert not tokens.doubts(LEDGER, found(tokens, "a"), 10.0)


def test_b91_reports_of_working_tokens_are_bounded_too(tokens: HandedOutTokens) -> None:
    """A burst, then one a minute; each key by itself."""

    def doubted(number: int, now: float, request: TokenRequest = LEDGER) -> bool:
        tokens.use(request, token(f"{number}"))
        return tokens.doubts(request, found(tokens, f"{number}", request), now)

    assert [doubted(number, 5.0) for number in range(BURST)] == [False] * BURST
    assert doubted(100, 5.0)
    assert not doubted(100, 5.0, OTHER)
    assert not doubted(101, 5.0 + PROVEN_AFTER)
    assert doubted(102, 5.0 + PROVEN_AFTER)


def test_b91_what_is_remembered_is_bounded() -> None:
    """In number and in bytes; the one used least recently goes first."""
    few = HandedOutTokens(2)
    for name in "abc":
        few.use(LEDGER, token(name))
    assert few.find(LEDGER, "fp-a") is None
    assert found(few, "c").uses == 1
    large = HandedOutTokens()
    for name in "abc":
        large.use(LEDGER, token(name, MAX_BYTES // 5))
    assert [large.find(LEDGER, f"fp-{name}") is None for name in "abc"] == [True, False, False]
