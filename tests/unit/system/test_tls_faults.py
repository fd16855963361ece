"""Why TLS fails, in words. The handshakes are real, and in memory."""

import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography.x509 import DNSName, IPAddress
from cryptography.x509.oid import ExtendedKeyUsageOID

from sidecar.core.tls import Tls
from sidecar.system import tls_faults
from sidecar.system.client_tls import client_context, reason
from tests.support.certificates import handshake, issue, server_with

LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=400)
HERE = [DNSName("localhost")]


class Case:
    """A client and a server that do not get on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.client = self.trusting(self.authority)

    def trusting(self, authority: trustme.CA) -> ssl.SSLContext:
        file = self.directory / "ca.pem"
        file.write_bytes(authority.cert_pem.bytes())
        return client_context(Tls(ca_file=str(file)))

    def server(self, pem: bytes = b"") -> ssl.SSLContext:
        return server_with(pem or issue(self.authority, "x", HERE), self.directory)

    def between(self, begin: datetime, end: datetime) -> ssl.SSLContext:
        leaf = self.authority.issue_cert("localhost", not_before=begin, not_after=end)
        return self.server(leaf.private_key_and_cert_chain_pem.bytes())

    def asking(self, latest: ssl.TLSVersion, authority: trustme.CA) -> ssl.SSLContext:
        """For a certificate of the client that this authority has issued."""
        server = self.server()
        server.verify_mode, server.maximum_version = ssl.CERT_REQUIRED, latest
        authority.configure_trust(server)
        return server


def expired(case: Case) -> ssl.SSLError | None:
    return handshake(case.client, case.between(LONG_AGO, LONG_AGO + timedelta(days=1)), "localhost")


def not_yet_valid(case: Case) -> ssl.SSLError | None:
    return handshake(case.client, case.between(LATER, LATER + timedelta(days=1)), "localhost")


def incomplete_chain(case: Case) -> ssl.SSLError | None:
    leaf = issue(case.authority.create_child_ca(), "x", HERE)
    return handshake(case.client, case.server(leaf), "localhost")


def unknown_authority(case: Case) -> ssl.SSLError | None:
    return handshake(case.trusting(trustme.CA()), case.server(), "localhost")


def unknown_root_in_the_chain(case: Case) -> ssl.SSLError | None:
    server = case.server(issue(case.authority, "x", HERE) + case.authority.cert_pem.bytes())
    return handshake(case.trusting(trustme.CA()), server, "localhost")


def self_signed(case: Case) -> ssl.SSLError | None:
    root = case.authority.cert_pem.bytes() + case.authority.private_key_pem.bytes()
    return handshake(case.trusting(trustme.CA()), case.server(root), "localhost")


def root_missing_here(case: Case) -> ssl.SSLError | None:
    child = case.authority.create_child_ca()
    return handshake(case.trusting(child), case.server(issue(child, "x", HERE)), "localhost")


def another_name(case: Case) -> ssl.SSLError | None:
    return handshake(case.client, case.server(), "orders.internal")


def common_name_only(case: Case) -> ssl.SSLError | None:
    return handshake(case.client, case.server(issue(case.authority, "localhost")), "localhost")


def another_address(case: Case) -> ssl.SSLError | None:
    names = [IPAddress(ip_address("10.0.0.1"))]
    return handshake(case.client, case.server(issue(case.authority, "x", names)), "127.0.0.1")


def a_clients_certificate(case: Case) -> ssl.SSLError | None:
    leaf = issue(case.authority, "x", HERE, ExtendedKeyUsageOID.CLIENT_AUTH)
    return handshake(case.client, case.server(leaf), "localhost")


def an_old_protocol(case: Case) -> ssl.SSLError | None:
    server = case.server()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1
    server.set_ciphers("ALL:@SECLEVEL=0")
    return handshake(case.client, server, "localhost")


def no_client_certificate(case: Case) -> ssl.SSLError | None:
    return handshake(case.client, case.asking(ssl.TLSVersion.TLSv1_3, case.authority), "localhost")


def no_client_certificate_in_tls_1_2(case: Case) -> ssl.SSLError | None:
    return handshake(case.client, case.asking(ssl.TLSVersion.TLSv1_2, case.authority), "localhost")


def another_authoritys_client_certificate(case: Case) -> ssl.SSLError | None:
    case.authority.issue_cert("client@test").configure_cert(case.client)
    return handshake(case.client, case.asking(ssl.TLSVersion.TLSv1_3, trustme.CA()), "localhost")


def an_expired_client_certificate(case: Case) -> ssl.SSLError | None:
    old = case.authority.issue_cert("c@test", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1))
    old.configure_cert(case.client)
    return handshake(case.client, case.asking(ssl.TLSVersion.TLSv1_3, case.authority), "localhost")


def plain_http(case: Case) -> ssl.SSLError | None:
    return answered(case, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def plain_smtp(case: Case) -> ssl.SSLError | None:
    return answered(case, b"220 mail.example.org ESMTP\r\n")


def answered(case: Case, answer: bytes) -> ssl.SSLError | None:
    """What the client has to say of a server that does not speak TLS."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = case.client.wrap_bio(back, there, server_hostname="localhost")
    back.write(answer)
    try:
        client.do_handshake()
    except ssl.SSLError as error:
        return error
    return None


CASES: Mapping[Callable[[Case], ssl.SSLError | None], str] = {
    expired: "certificate has expired: renew it",
    not_yet_valid: "certificate is not yet valid: check the clocks",
    incomplete_chain: "the server sends an incomplete chain",
    unknown_authority: "or its authority is not trusted here",
    unknown_root_in_the_chain: "the authority at the end of the chain is not trusted here",
    self_signed: "it is not among the authorities trusted here",
    root_missing_here: "ca_file holds an intermediate authority without its root",
    another_name: "not valid for 'orders.internal': names count in its subjectAltName only",
    common_name_only: "not valid for 'localhost': names count in its subjectAltName only",
    another_address: "not valid for '127.0.0.1': addresses count in its subjectAltName only",
    a_clients_certificate: "it is not a server's certificate",
    an_old_protocol: "the server does not offer TLS 1.2 or later",
    no_client_certificate: "the server requires a client certificate",
    no_client_certificate_in_tls_1_2: "or the server requires a client certificate",
    another_authoritys_client_certificate: "does not trust the authority of the client certificate",
    an_expired_client_certificate: "the client certificate has expired",
    plain_http: "the server's answer is not TLS",
    plain_smtp: "the server's answer is not TLS",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_t13_the_cause_is_named(tmp_path: Path, case: Callable[[Case], ssl.SSLError | None]) -> None:
    """By the one place that all clients have their words from."""
    error = case(Case(tmp_path))
    assert error is not None
    assert CASES[case] in reason(error)
    assert tls_faults.speaks_tls(error) == (case not in {plain_http, plain_smtp})


def test_t13_what_openssl_says_beyond_that_is_passed_on() -> None:
    """A reason without words of ours is better than none."""
    error = ssl.SSLError(1, "x")
    error.reason = "BLOCK_CIPHER_PAD_IS_WRONG"
    assert tls_faults.words(error) == "BLOCK_CIPHER_PAD_IS_WRONG"
    error.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    assert tls_faults.words(error).endswith("(TLSV1_ALERT_PROTOCOL_VERSION)")


def test_t13_it_is_found_within_the_errors_of_libraries() -> None:
    """By cause, by argument, by attribute and by keyword; not endlessly in a ring."""
    tls = ssl.SSLError(1, "x")

    class Boto(Exception):
        def __init__(self, **kwargs: object) -> None:
            super().__init__()
            self.kwargs = kwargs

    caused = ConnectionError()
    caused.__cause__ = ValueError(tls)
    ring = ValueError()
    ring.__cause__ = other = ValueError()
    other.__cause__ = ring
    for error in (tls, ValueError(ValueError(tls)), Boto(error=ValueError(tls)), caused):
        assert tls_faults.within(error) is tls
    assert tls_faults.within(ring) is None
    assert tls_faults.within(TimeoutError()) is None
