"""Signatures as other people make them."""

import hmac
import json

import jwt
import pytest
from jwt.utils import base64url_encode

from sidecar.oauth.jwt.signatures import JwtSignatures
from tests.support.keys import jwk, pem

PAIRS = [("rsa", "RS256"), ("rsa", "PS384"), ("p256", "ES256"), ("p521", "ES512"), ("ed25519", "EdDSA")]


@pytest.mark.parametrize(("kind", "algorithm"), PAIRS)
def test_b66_a_signature_is_good_for_its_own_key_and_algorithm_only(kind: str, algorithm: str) -> None:
    """No other key, nothing altered, no other algorithm, whatever the header names."""
    good = JwtSignatures().good
    token = jwt.encode({"sub": "alice"}, pem(kind), algorithm)
    key = json.loads(jwk(kind))
    assert good(token, key, algorithm)
    head, claims, signature = token.split(".")
    mallory = jwt.encode({"sub": "mallory"}, pem(kind), algorithm).split(".")[1]
    assert not good(f"{head}.{mallory}.{signature}", key, algorithm)
    assert not good(f"{head}.{claims}.", key, algorithm)
    assert not good(token, key, "HS256")
    assert not good(token, key, "none")
    for other, _ in PAIRS:
        if other != kind:
            assert not good(token, json.loads(jwk(other)), algorithm)


@pytest.mark.parametrize(
    "key",
    [{}, {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA"}, {"kty": "RSA", "n": 7, "e": []}, {"kty": "EC"}],
)
def test_a_key_that_is_none_verifies_nothing(key: dict[str, object]) -> None:
    """It may be of a kind to come."""
    assert not JwtSignatures().good(jwt.encode({}, pem("rsa"), "RS256"), key, "RS256")


def test_b66_a_public_key_is_no_shared_secret() -> None:
    """The classic confusion: signed with HMAC and the public key."""
    public = jwk("rsa")
    content, _, _ = jwt.encode({"sub": "mallory"}, "x" * 32, "HS256").rpartition(".")
    mac = hmac.new(public.encode(), content.encode(), "sha256").digest()
    token = f"{content}.{base64url_encode(mac).decode()}"
    for algorithm in ("RS256", "HS256"):
        assert not JwtSignatures().good(token, json.loads(public), algorithm)
