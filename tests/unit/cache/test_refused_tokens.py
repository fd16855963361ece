"""Which tokens are refused, and what may follow them."""

import pytest

from sidecar.cache.refused_tokens import Bust, RefusedTokens
from sidecar.core.secret import Secret
from sidecar.oauth.token import Token, bearer


def token(name: str, fetch_began: float) -> Token:
    return bearer(Secret(name, name), fetch_began=fetch_began, life=60, leeway=0)


def test_what_may_follow_a_dead_token_only_ever_moves_on() -> None:
    """A late report of an early request does not lower the floor; a token's death is news once."""
    busts = RefusedTokens(10)
    assert busts.floor("k") == float("-inf")
    assert busts.mark("k", token("a", 1), 10)
    assert not busts.mark("k", token("a", 1), 5)
    assert not busts.mark("k", token("a", 1), 20)
    assert busts.floor("k") == 10
    assert busts.mark("k", token("b", 5), 7)
    assert busts.floor("k") == 10


@pytest.mark.parametrize(
    ("again", "news"),
    [
        (token("a", 1), False),
        (token("b", 11), False),
        (token("c", 21), False),
        (token("a", 15), True),
        (token("b", 25), True),
        (token("c", 31), True),
        (token("d", 5), True),
    ],
)
@pytest.mark.parametrize("sent_at", [5, 12, 40])
def test_b95_a_late_refusal_of_an_earlier_token_is_no_news(again: Token, sent_at: float, news: bool) -> None:
    """However late its request was sent; a token that was issued again since is another one."""
    busts = RefusedTokens(10)
    for each, refused_at in ((token("a", 1), 10), (token("b", 11), 20), (token("c", 21), 30)):
        assert busts.mark("k", each, refused_at)
    assert busts.mark("k", again, sent_at) is news
    assert busts.floor("k") == (max(30, sent_at) if news else 30)


def test_b95_what_is_kept_of_earlier_tokens_is_bounded() -> None:
    """The last one and 16 before it; one that was refused before these is news again."""
    busts = RefusedTokens(10)
    tokens = [token(f"t{number}", 10 * number) for number in range(40)]
    for each in tokens:
        assert busts.mark("k", each, each.fetch_began + 5)
    assert not any(busts.mark("k", each, 900) for each in tokens[-17:])
    assert busts.mark("k", tokens[-18], 900)


def test_a_token_given_anew_can_die_anew() -> None:
    """The authorization server repeats itself: fetched after its first death it is another life."""
    busts = RefusedTokens(10)
    busts.mark("k", token("a", 1), 10)
    assert busts.is_trustworthy("k", token("a", 11))
    assert busts.mark("k", token("a", 11), 20)
    assert not busts.is_trustworthy("k", token("a", 11))


def test_a_pod_that_knew_earlier_lowers_the_floor_but_not_below_an_earlier_one() -> None:
    """What the fleet says settles what may follow; other tokens' deaths still count."""
    busts = RefusedTokens(10)
    busts.mark("k", token("a", 1), 10)
    busts.settle("k", token("a", 1), 8)
    assert busts.floor("k") == 8
    busts.mark("k", token("b", 9), 20)
    busts.settle("k", token("a", 1), 2)
    assert busts.floor("k") == 20
    busts.settle("k", token("b", 9), 3)
    assert busts.floor("k") == 8


def test_a_refusal_the_fleet_lets_pass_is_forgotten() -> None:
    """The token may be used, and die, again."""
    busts = RefusedTokens(10)
    busts.mark("k", token("a", 1), 10)
    busts.take_back("k", token("a", 1))
    assert busts.is_trustworthy("k", token("a", 1))
    assert busts.mark("k", token("a", 1), 10)


def test_a_token_heard_dead_comes_back_by_no_way_it_was_on() -> None:
    """Only it, and only as it was fetched before."""
    busts = RefusedTokens(10)
    busts.hear(Bust("k", "a", 1), 10)
    assert not busts.is_trustworthy("k", token("a", 9))
    assert busts.is_trustworthy("k", token("b", 9))
    assert busts.is_trustworthy("k", token("a", 11))


def test_b21_what_is_taken_back_leaves_earlier_refusals() -> None:
    """The token refused before the last stays out of use, and a late refusal of it is no news."""
    busts = RefusedTokens(10)
    busts.mark("k", token("a", 1), 10)
    busts.mark("k", token("b", 11), 20)
    busts.take_back("k", token("b", 11))
    assert busts.is_trustworthy("k", token("b", 11))
    assert not busts.is_trustworthy("k", token("a", 1))
    assert busts.had_token("k")


def test_b21_only_the_last_refusal_is_taken_back() -> None:
    """Another token was refused meanwhile."""
    busts = RefusedTokens(10)
    busts.mark("k", token("a", 1), 10)
    busts.mark("k", token("b", 11), 20)
    busts.take_back("k", token("a", 1))
    assert not busts.is_trustworthy("k", token("b", 11))


def test_b21_a_refusal_that_is_taken_back_after_another_is_news_again() -> None:
    """Two tokens were refused before the fleet's replies arrived. Else the next bust of the first would be lost."""
    busts = RefusedTokens(10)
    busts.mark("k", token("c", 1), 5)
    busts.mark("k", token("a", 6), 10)
    busts.mark("k", token("b", 11), 20)
    for name, fetch_began in (("a", 6), ("b", 11)):
        busts.take_back("k", token(name, fetch_began))
    assert not busts.mark("k", token("c", 1), 30)
    assert busts.mark("k", token("a", 6), 30)
    assert busts.mark("k", token("b", 11), 40)
