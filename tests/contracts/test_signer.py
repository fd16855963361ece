"""Assertions as their recipients verify them: with the public key, by PyJWT and by hand."""

import json
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from time import process_time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode

from sidecar.config.load import load
from sidecar.core.errors import ConfigError, TokenUnavailable
from sidecar.core.secret import Secret
from sidecar.oauth.jwt.pem import block
from sidecar.oauth.jwt.signer import JwtSigner
from sidecar.oauth.signing_keys import Algorithm, SigningKey
from sidecar.system.files import SECRET_LIMIT
from tests.support.keys import certificate, certificate_pem, jwk, pem, private
from tests.support.randomness import FixedRandomness

NOW = 1_800_000_000.75
CLAIMS = {"iss": "me", "sub": "me", "aud": "https://auth.test"}


async def head(key: SigningKey, kind: str, algorithm: str) -> dict[str, object]:
    """Sign, verify with the public key under this algorithm and no other, and return the JWT's header."""
    token = await JwtSigner(lambda: NOW, FixedRandomness()).sign(key, CLAIMS, 60.0)
    public = private(kind).public_key()
    assert not isinstance(public, dsa.DSAPublicKey)
    claims = jwt.decode(
        token,
        public,
        algorithms=[algorithm],
        options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
    )
    assert claims == {**CLAIMS, "iat": 1_800_000_000, "exp": 1_800_000_060, "jti": claims["jti"]}
    return jwt.get_unverified_header(token)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        *(("rsa", f"{family}{bits}") for family in ("RS", "PS") for bits in (256, 384, 512)),
        ("p256", "ES256"),
        ("p384", "ES384"),
        ("p521", "ES512"),
        ("ed25519", "EdDSA"),
        ("ed448", "EdDSA"),
    ],
)
@pytest.mark.parametrize("form", [pem, jwk])
async def test_b62_every_algorithm_signs_with_a_key_that_suits_it(
    kind: str, algorithm: Algorithm, form: Callable[[str], str]
) -> None:
    """From PEM and from a JWK; the receiver's own library agrees."""
    assert await head(SigningKey(Secret(form(kind)), algorithm=algorithm), kind, algorithm) == {
        "alg": algorithm,
        "typ": "JWT",
    }


@pytest.mark.parametrize(
    ("kind", "usual"),
    [("rsa", "RS256"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("ed25519", "EdDSA")],
)
async def test_without_an_algorithm_the_key_decides(kind: str, usual: str) -> None:
    """The usual one for its kind; a JWK may name another."""
    assert (await head(SigningKey(Secret(pem(kind))), kind, usual))["alg"] == usual
    assert (await head(SigningKey(Secret(jwk(kind))), kind, usual))["alg"] == usual


async def test_a_jwk_says_how_it_is_used_and_the_configuration_goes_before_it() -> None:
    """Algorithm, kid and thumbprint."""
    text = Secret(jwk("rsa", alg="PS256", kid="in the jwk", **{"x5t#S256": "print"}))
    expected = {"alg": "PS256", "typ": "JWT", "kid": "in the jwk", "x5t#S256": "print"}
    assert await head(SigningKey(text), "rsa", "PS256") == expected
    own = SigningKey(text, algorithm="RS512", kid="mine")
    assert await head(own, "rsa", "RS512") == {**expected, "alg": "RS512", "kid": "mine"}


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
async def test_b62_an_encrypted_key_is_opened_with_its_passphrase(form: PrivateFormat) -> None:
    """PKCS 8 as well as the older form."""
    text = Secret(pem("rsa", BestAvailableEncryption(b"hunter2"), form))
    assert (await head(SigningKey(text, Secret("hunter2")), "rsa", "RS256"))["alg"] == "RS256"


async def test_b62_a_certificate_gives_its_thumbprint() -> None:
    """RFC 7515 section 4.1.8: SHA-256 over its DER form."""
    found = certificate("rsa")
    key = SigningKey(Secret(pem("rsa")), kid="k1", certificate=found.public_bytes(Encoding.PEM).decode())
    told = await head(key, "rsa", "RS256")
    assert told["kid"] == "k1"
    assert told["x5t#S256"] == base64url_encode(sha256(found.public_bytes(Encoding.DER)).digest()).decode()


async def test_b62_no_two_assertions_have_the_same_id() -> None:
    """Servers refuse one they have seen (RFC 7523 section 3)."""
    signer = JwtSigner(lambda: NOW, FixedRandomness())
    key = SigningKey(Secret(pem("p256")))
    tokens = [await signer.sign(key, CLAIMS, 60.0) for _ in range(5)]
    ids = {jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens}
    assert len(ids) == 5
    assert all(len(each) == 32 for each in ids)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (SigningKey(Secret("canary")), "neither a JWK nor a PEM key"),
        (
            SigningKey(Secret("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----")),
            "neither a JWK",
        ),
        (SigningKey(Secret("{canary")), "is not JSON"),
        (SigningKey(Secret('{"kty": "canary"}')), "not a private RSA, EC or OKP key"),
        (SigningKey(Secret('{"kty": "oct", "k": "Y2FuYXJ5"}')), "not a private RSA, EC or OKP key"),
        (SigningKey(Secret('{"kty": "RSA", "d": "canary"}')), "not a private RSA, EC or OKP key"),
        (SigningKey(Secret('{"kty": "EC", "crv": ["canary"]}')), "not a private RSA, EC or OKP key"),
        (SigningKey(Secret("{}")), "not a private RSA, EC or OKP key"),
    ],
)
async def test_a_key_that_is_none_is_an_outage(key: SigningKey, reason: str) -> None:
    """A rotated one may work; nothing of the key is quoted."""
    with pytest.raises(TokenUnavailable, match=reason) as raised:
        await JwtSigner(lambda: NOW, FixedRandomness()).sign(key, CLAIMS, 60.0)
    assert "canary" not in str(raised.value)


def _public_jwk() -> str:
    key = private("p256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return str(ECAlgorithm.to_jwk(key.public_key()))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (lambda: SigningKey(Secret(_public_jwk())), "not a private RSA, EC or OKP key"),
        (lambda: SigningKey(Secret(pem("dsa"))), "not an RSA, EC or EdDSA key"),
        (lambda: SigningKey(Secret(pem("rsa-1024"))), "fewer than 2048 bits"),
        (lambda: SigningKey(Secret(pem("k256"))), "none of P-256"),
        (lambda: SigningKey(Secret(pem("p384")), algorithm="ES256"), "ES256 does not suit it; ES384 would"),
        (lambda: SigningKey(Secret(pem("rsa")), algorithm="EdDSA"), "EdDSA does not suit it; RS256"),
        (lambda: SigningKey(Secret(jwk("rsa", alg="none"))), "none does not suit it"),
        (lambda: SigningKey(Secret(jwk("rsa", alg="HS256"))), "HS256 does not suit it"),
        (lambda: SigningKey(Secret(pem("p256")), Secret("canary")), "remove the passphrase"),
        (lambda: SigningKey(Secret(pem("p256", BestAvailableEncryption(b"x")))), "give its passphrase"),
        (
            lambda: SigningKey(Secret(pem("p256", BestAvailableEncryption(b"x"))), Secret("canary")),
            "passphrase is wrong",
        ),
        (lambda: SigningKey(Secret(pem("p256")), certificate="canary"), "no readable certificate"),
        (
            lambda: SigningKey(
                Secret(pem("p256")), certificate=certificate("rsa").public_bytes(Encoding.PEM).decode()
            ),
            "another key's",
        ),
    ],
)
async def test_a_key_that_does_not_fit_says_why(key: Callable[[], SigningKey], reason: str) -> None:
    """Weak, public, of an unknown kind, locked, or of another kind than configured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography's own opinion of such keys
        signing = key()
        with pytest.raises(TokenUnavailable, match=reason) as raised:
            await JwtSigner(lambda: NOW, FixedRandomness()).sign(signing, CLAIMS, 60.0)
    assert "canary" not in str(raised.value)


def bag(text: str) -> str:
    """As `openssl pkcs12 -nodes` writes it."""
    attributes = "Bag Attributes\n    friendlyName: my \\new key\n    localKeyID: 01 02 \n"
    return f"{attributes}Key Attributes: <No Attributes>\n{text}{attributes}"


def written(text: str) -> str:
    return text.replace("\n", "\\n")


EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
FORMS: Mapping[str, Callable[[str], str]] = {
    "as it is": str,
    "Bag Attributes": bag,
    "certificate and parameters before it": lambda text: certificate_pem("p384") + EC_PARAMETERS + text,
    "certificate after it": lambda text: text + certificate_pem("p384"),
    "written line breaks": written,
    "written line breaks, and one at the end": lambda text: written(text) + "\n",
    "written line breaks, twice": lambda text: written(text).replace("\\", "\\\\"),
    "written line breaks of Windows": lambda text: text.replace("\n", "\\r\\n"),
    "written line breaks in Bag Attributes": lambda text: written(bag(text)),
    "in quotes": lambda text: f'"{written(text)}"',
    "line breaks of Windows": lambda text: text.replace("\n", "\r\n"),
    "line breaks of old": lambda text: text.replace("\n", "\r"),
    "indented": lambda text: text.replace("\n", "\n    "),
    "blanks at line ends": lambda text: text.replace("\n", "  \n"),
    "comment before it": lambda text: f"# the key of ledger: PS256\n\n{text}",
    "byte order mark": lambda text: f"\ufeff{text}",
    "on one line": lambda text: text.replace("\n", " "),
}  # fmt: skip
ONE_LINE = "on one line"


def checked(folder: Path, text: str, **more: object) -> None:
    """Find out whether the check at the start accepts the key, in a file and in a variable."""
    (folder / "key").write_text(text, newline="")
    for place in ({"file": str(folder / "key")}, {"env": "KEY"}):
        entry = {"client_id": "me", "private_key": {**place, **more}}
        (folder / "config.yaml").write_text(json.dumps({"credentials": {"c": entry}, "routes": [ROUTE]}))
        load(str(folder / "config.yaml"), {"KEY": text, "PASSPHRASE": "hunter2"})


ROUTE = {"name": "r", "upstream": "https://u.test"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
async def test_t8_what_the_check_at_the_start_accepts_can_sign(tmp_path: Path, form: str, kind: str) -> None:
    """However the key was pasted."""
    text = FORMS[form](pem(kind))
    checked(tmp_path, text)
    assert await head(SigningKey(Secret(text)), kind, {"p256": "ES256", "rsa": "RS256"}.get(kind, "EdDSA"))


@pytest.mark.parametrize("form", [form for form in FORMS if form != ONE_LINE])
async def test_t8_so_can_an_encrypted_key_with_headers(tmp_path: Path, form: str) -> None:
    """The older form, whose headers need lines of their own."""
    text = FORMS[form](pem("rsa", BestAvailableEncryption(b"hunter2"), PrivateFormat.TraditionalOpenSSL))
    checked(tmp_path, text, passphrase={"env": "PASSPHRASE"})
    assert await head(SigningKey(Secret(text), Secret("hunter2")), "rsa", "RS256")


@pytest.mark.parametrize(
    "form", ["as it is", "written line breaks", "byte order mark", "line breaks of Windows"]
)
async def test_t8_so_can_a_jwk(tmp_path: Path, form: str) -> None:
    """Printed on several lines."""
    text = FORMS[form](json.dumps(json.loads(jwk("p256")), indent=1))
    checked(tmp_path, text)
    assert await head(SigningKey(Secret(text.removeprefix("\ufeff"))), "p256", "ES256")


@pytest.mark.parametrize("form", FORMS)
async def test_t8_a_certificate_is_read_in_the_same_way(tmp_path: Path, form: str) -> None:
    """Its thumbprint is the same in each form."""
    found = certificate("rsa")
    text = FORMS[form](certificate_pem("rsa"))
    if "certificate and" in form:
        text = EC_PARAMETERS + certificate_pem("rsa")
    (tmp_path / "certificate").write_text(text, newline="")
    checked(tmp_path, pem("rsa"), certificate_file=str(tmp_path / "certificate"))
    told = await head(SigningKey(Secret(pem("rsa")), certificate=text), "rsa", "RS256")
    assert told["x5t#S256"] == base64url_encode(sha256(found.public_bytes(Encoding.DER)).digest()).decode()


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        (lambda: "-----BEGIN PRIVATE KEY-----", {}, "neither a JWK nor a PEM key"),
        (lambda: "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----", {}, "neither a JWK nor a PEM key"),
        (lambda: certificate_pem("rsa"), {}, "neither a JWK nor a PEM key"),
        (lambda: pem("p256")[:-40], {}, "neither a JWK nor a PEM key"),
        (lambda: pem("p256").replace("M", "!", 1), {}, "neither a JWK nor a PEM key"),
        (lambda: "{canary", {}, "is not JSON"),
        (lambda: "{}", {}, "not a private RSA, EC or OKP key"),
        (lambda: pem("rsa-1024"), {}, "fewer than 2048 bits"),
        (lambda: pem("k256"), {}, "none of P-256"),
        (lambda: pem("p256"), {"algorithm": "RS256"}, "RS256 does not suit it; ES256 would"),
        (lambda: pem("p256", BestAvailableEncryption(b"x")), {}, "give its passphrase"),
        (lambda: pem("p256"), {"passphrase": {"env": "PASSPHRASE"}}, "remove the passphrase"),
        (lambda: pem("rsa", BestAvailableEncryption(b"x")), {"passphrase": {"env": "PASSPHRASE"}}, "is wrong"),
        (lambda: pem("p256"), {"certificate_file": __file__}, "certificate_file holds no readable certificate"),
    ],
)  # fmt: skip
def test_t8_the_check_at_the_start_refuses_what_cannot_sign(
    tmp_path: Path, text: Callable[[], str], more: dict[str, object], reason: str
) -> None:
    """For the signer's reasons, and under the name of the key."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            ConfigError, match=rf"credentials\.c\.private_key\.file: cannot be used: .*{reason}"
        ) as raised:
            checked(tmp_path, text(), **more)
    assert "canary" not in str(raised.value)


@cache
def twenty_good_keys() -> float:
    """Seconds of CPU time: one after the other costs the same."""
    began = process_time()
    for _ in range(4):
        load_pem_private_key(pem("rsa").encode(), None)
    return 5 * (process_time() - began)


@pytest.mark.parametrize("text", ["-----BEGIN A-----", "-----BEGIN PRIVATE KEY-----", "\\", "\\r", "-----"])
def test_t8_the_longest_file_takes_no_time_to_speak_of(text: str) -> None:
    """Whatever repeats in it: less CPU than reading one good RSA key twenty times."""
    longest = (text * SECRET_LIMIT)[:SECRET_LIMIT]
    limit, began = twenty_good_keys(), process_time()
    with pytest.raises(ValueError, match="no PEM block"):
        block(longest, "PRIVATE KEY")
    assert process_time() - began < limit
