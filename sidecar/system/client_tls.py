"""TLS towards a server: its certificate chain and name are always verified, and the files for that are bounded.

A name counts in the certificate's subjectAltName only (RFC 9525 section 2): OpenSSL otherwise reads it from the common
name where no subjectAltName is a DNS name. Every client of the sidecar has its context from here.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.core.tls import Tls, no_passphrase
from sidecar.system import causes, files, tls_faults

_SINCE_3_13 = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
"""Flags that Python 3.13 sets by itself; without them every Python judges a chain alike.

Private authorities often issue without an Authority Key Identifier, and an intermediate authority needs its root.
"""


class UnusableFiles(Exception):
    """Files that TLS needs cannot be used."""

    def __init__(self, paths: str, cause: OSError | ValueError) -> None:
        """Take `paths`, the names of the files."""
        super().__init__(paths)
        self.paths = paths
        self.cause = cause


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return a context from the files as they are now, because they rotate.

    Waits for the disk. Raises UnusableFiles.
    """
    for path in tls.files:
        with _naming(path):
            files.probe(path)
    with _naming(tls.ca_file):
        context = _strict(ssl.create_default_context(cafile=tls.ca_file or None))
    if tls.certificate_file:
        with _naming(" with ".join(filter(None, (tls.certificate_file, tls.key_file)))):
            context.load_cert_chain(tls.certificate_file, tls.key_file or None, no_passphrase)
    return context


def context_without_authorities() -> ssl.SSLContext:
    """Return a context for a library that loads the authorities itself; until then it trusts no certificate."""
    return _strict(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags &= ~_SINCE_3_13
    return context


def reason(error: Exception) -> str:
    """Return in a few words why files, a connection or TLS failed."""
    if isinstance(error, ssl.SSLError):
        return tls_faults.words(error) or "it is not a PEM file, or requires a passphrase"
    known = causes.of_system(error) if isinstance(error, OSError) else ""
    return known or str(error) or causes.in_words(error)


def connection_reason(error: OSError) -> str:
    """Return in a few words why a connection failed, and whether TLS failed."""
    return f"TLS: {reason(error)}" if isinstance(error, ssl.SSLError) else reason(error)


@contextmanager
def _naming(paths: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise UnusableFiles(paths, error) from None
