"""Answers with a token, and what is known of an entry."""

import json

import pytest

from sidecar.core.errors import NotListed
from sidecar.core.origin import Origin
from sidecar.core.secret import Secret
from sidecar.oauth.token import TokenRequest, bearer
from sidecar.proxy.routes import Route
from sidecar.token_api.answers import with_token
from sidecar.token_api.calls import Form
from sidecar.token_api.entries import Served, entry
from sidecar.token_api.handed_out import HandedOut

LEDGER = TokenRequest(name="ledger", credentials="c", service="ledger")


def handed(text: str = "secret") -> HandedOut:
    return HandedOut(bearer(Secret(text, "fp"), fetch_began=0.0, life=300.0, leeway=60.0), None)


@pytest.mark.parametrize("text", ["secret", "a.b-c_d~e+f/g==", 'quote"back\\slash', "%d %s {} %"])
def test_b90_the_json_holds_any_token(text: str) -> None:
    """Also on the second call, when only the seconds differ, or nothing does."""
    token = handed(text)
    for seconds in (299.9, 299.1, 12.0, 12.0, 0.4, -0.4, -5.0):
        answer, length = with_token(Form.TOKEN, token, expires_in=seconds, close=False)
        head, body = answer[:-length], answer[-length:]
        assert json.loads(body) == {
            "access_token": text, "token_type": "Bearer", "expires_in": max(0, int(seconds)), "fp": "fp",
        }  # fmt: skip
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    answer, length = with_token(Form.AGENT, token, expires_in=1.0, close=False)
    assert json.loads(answer[-length:]) == {"authorizationHeader": f"Bearer {text}"}


@pytest.mark.parametrize("form", list(Form))
def test_b90_every_answer_may_be_the_last(form: Form) -> None:
    """No cache keeps it; a proxy gets a field and no body."""
    for close in (False, True):
        answer, length = with_token(form, handed(), expires_in=1.0, close=close)
        head, end, body = answer.partition(b"\r\n\r\n")
        head += end
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(body) == length
        assert b"\r\nCache-Control: no-store\r\n" in head
        assert (b"\r\nConnection: close\r\n" in head) == close
        assert (b"\r\nAuthorization: Bearer secret\r\n" in head) == form.of_proxy == (not body)


def test_b91_statuses_that_refuse_are_those_of_the_tokens_routes() -> None:
    """And 401 always; other tokens' routes do not matter."""

    def route(token: TokenRequest, *statuses: int) -> Route:
        return Route("r", Origin("http", "h", 1), token=token, refused_statuses=frozenset(statuses))

    other = TokenRequest(name="other", credentials="c", service="other")
    found = entry(LEDGER, [route(LEDGER, 403), route(other, 419), route(LEDGER, 401, 440)])
    assert (found.name, found.token) == ("token_api/ledger", LEDGER)
    assert found.refused_statuses == {401, 403, 440}
    assert entry(LEDGER, []).refused_statuses == {401}


def test_b90_only_listed_entries_are_found() -> None:
    """By their exact names."""
    served = Served({"ledger": entry(LEDGER, [])})
    assert served.entry("ledger").token == LEDGER
    for name in ("Ledger", "other", "token_api/ledger"):
        with pytest.raises(NotListed):
            served.entry(name)
