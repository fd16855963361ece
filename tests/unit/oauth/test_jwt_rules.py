"""Which callers' tokens may be believed, once their signature is good; and which signatures are looked at."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused
from sidecar.oauth.jwt_rules import MAX_KEYS, SKEW, Signed, judge, keys, signed
from sidecar.oauth.ports import Reply
from sidecar.oauth.signing_keys import Algorithm, Verification
from tests.support.unsigned_jwt import jwt

NOW = 1000.0
RULE = Verification("https://idp.test", "sidecar", algorithms=("RS256", "ES256"))
GOOD: dict[str, object] = {"iss": RULE.issuer, "aud": RULE.audience, "exp": NOW + 1}


def headed(head: object) -> str:
    return f"{base64.urlsafe_b64encode(json.dumps(head).encode()).rstrip(b'=').decode()}.e30.c2ln"


@pytest.mark.parametrize(
    "claims",
    [
        GOOD,
        {**GOOD, "aud": ["other", "sidecar"]},
        {**GOOD, "nbf": NOW + SKEW},
        {**GOOD, "exp": str(NOW + 1)},
    ],
)
def test_b66_a_good_token_passes(claims: dict[str, object]) -> None:
    """Issuer to the letter, one of its audiences, its time now."""
    judge(jwt(**claims), RULE, NOW)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({**GOOD, "iss": "https://idp.test/"}, "another issuer"),
        ({**GOOD, "iss": None}, "another issuer"),
        ({**GOOD, "aud": "other"}, "another audience"),
        ({**GOOD, "aud": ["sidecar2"]}, "another audience"),
        ({**GOOD, "aud": "sidecar "}, "another audience"),
        ({"iss": RULE.issuer, "exp": NOW + 1}, "another audience"),
        ({**GOOD, "exp": NOW}, "has expired"),
        ({**GOOD, "exp": "soon"}, "has expired, or never does"),
        ({**GOOD, "exp": True}, "has expired, or never does"),
        ({"iss": RULE.issuer, "aud": RULE.audience}, "has expired, or never does"),
        ({**GOOD, "nbf": NOW + SKEW + 1}, "not valid yet"),
        ({**GOOD, "nbf": "now"}, "not valid yet"),
        ({}, "another issuer"),
    ],
)
def test_b66_others_are_refused(claims: dict[str, object], reason: str) -> None:
    """401, and why."""
    with pytest.raises(RequestRefused, match=reason) as raised:
        judge(jwt(**claims), RULE, NOW)
    assert raised.value.status == 401


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {"alg": None},
        {"alg": "HS256"},
        {"alg": "PS256"},
        {"alg": "rs256"},
        {"alg": ["RS256"]},
        {"alg": "RS256", "crit": ["b64"]},
        [],
        "RS256",
    ],
)
def test_b66_only_algorithms_that_are_named_count(head: object) -> None:
    """Never `none`, never a shared secret, nothing this reader would have to understand first."""
    with pytest.raises(RequestRefused, match=r"an accepted algorithm|not a JWT"):
        signed(headed(head), RULE)


def test_a_head_names_algorithm_and_key() -> None:
    """The key's id only where it is one."""
    assert signed(headed({"alg": "ES256", "kid": "k"}), RULE) == Signed("ES256", "k")
    assert signed(headed({"alg": "RS256", "kid": 7}), RULE) == Signed("RS256", None)


RSA: dict[str, object] = {"kty": "RSA", "kid": "k"}


@pytest.mark.parametrize(
    ("algorithm", "jwk", "fits"),
    [
        ("RS256", RSA, True),
        ("PS512", RSA, True),
        ("RS256", {**RSA, "use": "sig", "alg": "RS256"}, True),
        ("RS256", {"kty": "RSA"}, True),
        ("RS256", {**RSA, "kid": "other"}, False),
        ("RS256", {**RSA, "use": "enc"}, False),
        ("RS256", {**RSA, "alg": "PS256"}, False),
        ("RS256", {"kty": "oct", "k": "c2VjcmV0"}, False),
        ("RS256", {"kty": "EC", "crv": "P-256"}, False),
        ("RS256", {"kty": ["RSA"]}, False),
        ("RS256", {**RSA, "use": ["sig"]}, False),
        ("ES256", {"kty": "EC", "crv": "P-256"}, True),
        ("ES256", {"kty": "EC", "crv": "P-384"}, False),
        ("ES256", RSA, False),
        ("EdDSA", {"kty": "OKP", "crv": "Ed25519"}, True),
    ],
)
def test_b66_a_key_is_used_for_what_it_is(
    algorithm: Algorithm, jwk: dict[str, object], *, fits: bool
) -> None:
    """No confusion of kinds, of curves, or of signing and sealing."""
    assert Signed(algorithm, "k").fits(jwk) is fits


def test_any_key_of_the_kind_may_be_that_of_a_token_that_names_none() -> None:
    """RFC 7515 section 4.1.4: the id is a hint."""
    assert Signed("RS256", None).fits({"kty": "RSA", "kid": "other"})


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": {}}', b"[" * 60_000, b"\xff"])
def test_what_is_no_set_of_keys_is_none(body: bytes) -> None:
    """Not an empty one: that would forget the keys there are."""
    assert keys(Reply(200, "", body)) is None
    assert keys(Reply(404, "", b'{"keys": []}')) is None


def test_a_set_has_no_more_keys_than_the_limit() -> None:
    """And only what is a key."""
    document = {"keys": [7, RSA, "x", *[RSA] * 1000]}
    assert len(keys(Reply(200, "", json.dumps(document).encode())) or ()) == MAX_KEYS - 2


@given(
    st.text(),
    st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf"]), st.none() | st.floats() | st.text()),
)
def test_no_token_breaks_it(text: str, claims: dict[str, object]) -> None:
    """Whatever a caller brings is refused, or fine."""
    for token in (text, jwt(**claims)):
        for step in (lambda token: signed(token, RULE), lambda token: judge(token, RULE, NOW)):
            with suppress(RequestRefused):
                step(token)
