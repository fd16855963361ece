"""Certificates that trustme does not issue, and handshakes in memory."""

import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_ROUNDS = 10
"""More than a handshake takes."""


def issue(
    authority: trustme.CA,
    common_name: str,
    names: Sequence[x509.GeneralName] = (),
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> bytes:
    """A certificate and its key (PEM); without names it has no subjectAltName at all."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signer = load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
    return signed + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def server_with(pem: bytes, directory: Path) -> ssl.SSLContext:
    """The context of a server that shows this certificate."""
    file = directory / "server.pem"
    file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> ssl.SSLError | None:
    """Return the client's error in a handshake with this server, None if it succeeds."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=host)
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(_ROUNDS):
        try:
            ours.do_handshake()
            ours.read(1)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return error
        with suppress(ssl.SSLError):  # the client learns of it by an alert
            theirs.do_handshake()
    return None
