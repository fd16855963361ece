"""From when to when a certificate in a file is valid, beside what cryptography reads of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sidecar.system.certificates import Validity, of_file, of_peer

KEY = ec.generate_private_key(ec.SECP256R1())
KEY_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
DAYS = {
    "this year": (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
    "the last of UTCTime": (datetime(2000, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
    "GeneralizedTime": (datetime(2050, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    "both": (datetime(2026, 2, 28, tzinfo=UTC), datetime(2051, 3, 1, tzinfo=UTC)),
    "the century before": (datetime(1999, 12, 31, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)),
    "an hour": (datetime(2026, 6, 1, 12, tzinfo=UTC), datetime(2026, 6, 1, 13, tzinfo=UTC)),
}


def certificate(begins: datetime, ends: datetime, name: str = "client") -> str:
    """A certificate (PEM) that is valid between these dates."""
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        names, names, KEY.public_key(), x509.random_serial_number(), begins, ends
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("kind", DAYS)
def test_o4_the_dates_are_those_of_the_certificate(tmp_path: Path, kind: str) -> None:
    """Whichever of the two forms of a date they have."""
    begins, ends = DAYS[kind]
    (tmp_path / "client.pem").write_text(certificate(begins, ends))
    assert of_file(str(tmp_path / "client.pem")) == Validity(begins.timestamp(), ends.timestamp())


@pytest.mark.parametrize("long", ["x" * 10, "x" * 64])
def test_o4_the_first_certificate_of_a_file_counts(tmp_path: Path, long: str) -> None:
    """Its key may stand before it, and its authorities after it."""
    (begins, ends), other = DAYS["this year"], DAYS["both"]
    text = "# a chain\n" + KEY_PEM + certificate(begins, ends, long) + certificate(*other)
    (tmp_path / "client.pem").write_text(text)
    assert of_file(str(tmp_path / "client.pem")).ends == ends.timestamp()


BROKEN = {
    "empty": "",
    "a key only": KEY_PEM,
    "no end": certificate(*DAYS["both"]).partition("-----END")[0],
    "no content": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    "cut off": "\n".join([*certificate(*DAYS["both"]).splitlines()[:2], "-----END CERTIFICATE-----", ""]),
    "not Base64": "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    "something else": "-----BEGIN CERTIFICATE-----\naGVsbG8gd29ybGQ=\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_o4_a_file_without_a_certificate_is_an_error_with_a_reason(tmp_path: Path, kind: str) -> None:
    """Not a wrong date, and no other error."""
    (tmp_path / "client.pem").write_text(BROKEN[kind])
    with pytest.raises(ValueError, match=r"."):
        of_file(str(tmp_path / "client.pem"))


def test_o4_a_peers_certificate_has_the_same_dates() -> None:
    """As the standard library returns them."""
    found = of_peer({"notBefore": "Jan  2 03:04:05 2026 GMT", "notAfter": "Dec 31 23:59:59 2026 GMT"})
    assert found == Validity(*(date.timestamp() for date in DAYS["this year"]))
    assert of_peer({}) is None
