"""Gauges about what is wrong, from the same state as `/status`."""

from collections.abc import Iterable, Mapping

from sidecar.cache.token_status import TokenStatus


def expiries(tokens: Iterable[TokenStatus]) -> Mapping[tuple[str, str], float]:
    """Return the seconds until cached tokens expire, by name and tenant; of several tokens, the earliest."""
    found: dict[tuple[str, str], float] = {}
    for token in tokens:
        if token.state != "missing":
            owner = (token.token, token.tenant)
            found[owner] = min(token.expires_in, found.get(owner, token.expires_in))
    return found


def failing(tokens: Iterable[TokenStatus], now: float) -> Mapping[tuple[str, str, str, str], float]:
    """Return for how many seconds fetches of tokens have failed, by name, tenant, state and reason; the longest.

    How long is what alerts compare. So a fetch that fails once and then succeeds fires none, however short tokens live
    and however many pods there are.
    """
    found: dict[tuple[str, str, str, str], float] = {}
    for token in tokens:
        if token.problem_since is not None:
            problem = (token.token, token.tenant, token.state, token.reason)
            found[problem] = max(now - token.problem_since, found.get(problem, 0.0))
    return found
