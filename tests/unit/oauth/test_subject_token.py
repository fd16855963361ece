"""What is read from a token that another issuer made."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused
from sidecar.oauth import subject_token
from sidecar.oauth.request_form import TOKEN_TYPES
from tests.support.unsigned_jwt import jwt

WHOSE = {"iss": "https://k8s", "sub": "system:serviceaccount:a:b", "aud": ["x"]}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (jwt(**WHOSE, exp=1, jti="1"), jwt(**WHOSE, exp=2, jti="2"), True),
        (jwt(**WHOSE), jwt(**{**WHOSE, "sub": "c"}), False),
        (jwt(**WHOSE), jwt(**{**WHOSE, "iss": "https://other"}), False),
        (jwt(**WHOSE), jwt(**{**WHOSE, "aud": "y"}), False),
        (jwt(sub="a", exp=1), jwt(sub="a", exp=2), False),
        (jwt(iss="", sub="a", exp=1), jwt(iss="", sub="a", exp=2), False),
        (jwt(iss=["x"], sub="a", exp=1), jwt(iss=["x"], sub="a", exp=2), False),
        ("opaque", "opaque", True),
        ("opaque", "other", False),
    ],
)
def test_b69_a_token_is_its_subjects_at_its_issuer(one: str, other: str, *, same: bool) -> None:
    """Rotated ones have the same entry; a token without a subject has an entry of its own."""
    assert (subject_token.identity(one) == subject_token.identity(other)) is same


JWT = TOKEN_TYPES["jwt"]
ACCESS = TOKEN_TYPES["access_token"]


@pytest.mark.parametrize(
    ("field", "kind", "token"),
    [
        (b"Bearer abc", ACCESS, "abc"),
        (b"bearer  abc==", ACCESS, "abc=="),
        (b"a-b._~+/c", ACCESS, "a-b._~+/c"),
        (jwt(exp=101).encode(), JWT, jwt(exp=101)),
    ],
)
def test_b63_a_request_brings_a_token(field: bytes, kind: str, token: str) -> None:
    """With the scheme or without; opaque ones where the type allows them."""
    assert subject_token.brought(field, b"x-subject", kind, 100) == token


@pytest.mark.parametrize(
    ("field", "kind", "reason"),
    [
        (None, ACCESS, "there is none"),
        (b"", ACCESS, "no token, or more than one"),
        (b"Bearer", JWT, "not a JWT"),
        (b"Bearer a, Bearer b", ACCESS, "no token, or more than one"),
        (b"Basic canary", ACCESS, "no token, or more than one"),
        (b"canary\xff", ACCESS, "no token, or more than one"),
        (b"Bearer canary", JWT, "not a JWT"),
        (b"Bearer canary", TOKEN_TYPES["id_token"], "not a JWT"),
        (jwt(exp=100, sub="canary").encode(), ACCESS, "has expired"),
    ],
)
def test_b63_a_request_without_a_good_token_is_answered_401(
    field: bytes | None, kind: str, reason: str
) -> None:
    """The reason names the field and nothing of what was in it."""
    with pytest.raises(RequestRefused, match=f"x-subject.*{reason}") as raised:
        subject_token.brought(field, b"x-subject", kind, 100)
    assert raised.value.status == 401
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("token", "expiry"),
    [
        (jwt(exp=7), 7),
        (jwt(exp="7"), 7),
        (jwt(exp="soon"), math.inf),
        (jwt(), math.inf),
        ("opaque", math.inf),
    ],
)
def test_b64_a_token_tells_when_it_expires(token: str, expiry: float) -> None:
    """One that does not say never does, as far as we know."""
    assert subject_token.expiry(token) == expiry


def test_b64_a_token_gives_the_labels_of_its_user() -> None:
    """User by id and by address, token id, teams, groups and roles; nothing that is no label."""
    token = jwt(
        sub="alice",
        email="alice@example.com",
        jti="1",
        teams=["red", 7],
        groups="ops",
        roles=["a\n", "admin"],
    )
    assert subject_token.labels(token) == {
        ("user", "alice"),
        ("user", "alice@example.com"),
        ("jti", "1"),
        ("team", "red"),
        ("team", "ops"),
        ("role", "admin"),
    }
    assert subject_token.labels("opaque") == frozenset()


def test_a_token_gives_no_more_labels_than_the_limit() -> None:
    """Its issuer may have put it into any number of groups."""
    token = jwt(groups=[str(number) for number in range(1000)])
    assert len(subject_token.labels(token)) == subject_token.MAX_LABELS


@given(
    st.text(),
    st.dictionaries(
        st.sampled_from(["sub", "exp", "iss", "aud", "teams", "roles"]),
        st.none() | st.floats() | st.text() | st.lists(st.text()),
    ),
)
def test_no_token_breaks_it(text: str, claims: dict[str, object]) -> None:
    """Whatever a file or a header holds."""
    for token in (text, jwt(**claims)):
        subject_token.labels(token), subject_token.expiry(token), subject_token.identity(token)
