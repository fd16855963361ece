"""From when to when a certificate is valid.

The standard library reads the dates of a peer's certificate only; those of a file are read here from its DER, because
a library for that takes more memory than the rest of the sidecar's TLS.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.system import files

PeerCertificate = Mapping[str, object]
"""As `ssl.SSLSocket.getpeercert` returns it."""

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x17, 0x18, 0xA0


@dataclass(frozen=True, slots=True)
class Validity:
    """The dates between which a certificate is valid."""

    begins: float
    ends: float


def of_peer(certificate: PeerCertificate) -> Validity | None:
    """Return the dates of a peer's certificate, None if it has none."""
    begins, ends = certificate.get("notBefore"), certificate.get("notAfter")
    if not isinstance(begins, str) or not isinstance(ends, str):
        return None
    return Validity(ssl.cert_time_to_seconds(begins), ssl.cert_time_to_seconds(ends))


def of_file(path: str) -> Validity:
    """Return the dates of the first certificate in a PEM file, which is the one presented; waits for the disk.

    Raises OSError and ValueError.
    """
    text = files.text(path, files.PEM_LIMIT)
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        raise ValueError("it holds no certificate")
    try:
        return _of_der(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)]))
    except IndexError:
        raise ValueError("its certificate is incomplete") from None


def _of_der(der: bytes) -> Validity:
    """Return what the field `validity` holds (RFC 5280 section 4.1)."""
    _, at, _ = _element(der, 0)  # Certificate
    _, at, _ = _element(der, at)  # TBSCertificate
    if der[at] == _VERSION:
        _, _, at = _element(der, at)
    for _ in range(3):  # serialNumber, signature, issuer
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    begins, at = _time(der, at)
    ends, _ = _time(der, at)
    return Validity(begins, ends)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return an element's tag, and where its content begins and ends."""
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    return tag, at, at + length


def _time(der: bytes, at: int) -> tuple[float, int]:
    """Return a date, and where it ends."""
    tag, begin, end = _element(der, at)
    text = der[begin:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if text < "5" else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("its dates cannot be read")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), end
