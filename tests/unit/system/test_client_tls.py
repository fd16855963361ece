"""Which certificates of servers count. The handshakes are real, and in memory."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from ssl import SSLCertVerificationError, SSLContext

import pytest
import trustme
from cryptography.x509 import DNSName, GeneralName, IPAddress, RFC822Name, UniformResourceIdentifier

from sidecar.core.tls import Tls
from sidecar.system.client_tls import client_context, context_without_authorities
from tests.support.certificates import handshake, issue, server_with


def loaded_later(tls: Tls) -> SSLContext:
    """As libraries do it that have authorities of their own."""
    context = context_without_authorities()
    context.load_verify_locations(tls.ca_file)
    return context


@pytest.mark.parametrize("make", [client_context, loaded_later])
@pytest.mark.parametrize(
    ("common_name", "names", "host", "good"),
    [
        ("localhost", [], "localhost", False),
        ("orders.internal", [], "orders.internal", False),
        ("*.svc.internal", [], "orders.svc.internal", False),
        ("localhost", [IPAddress(ip_address("127.0.0.1"))], "localhost", False),
        ("localhost", [RFC822Name("localhost@example.org")], "localhost", False),
        ("localhost", [UniformResourceIdentifier("spiffe://td/localhost")], "localhost", False),
        ("localhost", [DNSName("other.test")], "localhost", False),
        ("127.0.0.1", [], "127.0.0.1", False),
        ("::1", [], "::1", False),
        ("other.test", [DNSName("localhost")], "localhost", True),
        ("other.test", [DNSName("*.svc.internal")], "orders.svc.internal", True),
        ("other.test", [IPAddress(ip_address("127.0.0.1"))], "127.0.0.1", True),
    ],
)
def test_t12_a_name_counts_in_the_subject_alternative_name_only(
    tmp_path: Path,
    make: Callable[[Tls], SSLContext],
    common_name: str,
    names: list[GeneralName],
    host: str,
    *,
    good: bool,
) -> None:
    """By OpenSSL's default the common name counts where no alternative name is a DNS name."""
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    server = server_with(issue(authority, common_name, names), tmp_path)
    error = handshake(make(Tls(ca_file=str(tmp_path / "ca.pem"))), server, host)
    assert (error is None) == good
    assert good or isinstance(error, SSLCertVerificationError)


def test_t12_a_context_without_authorities_trusts_no_certificate(tmp_path: Path) -> None:
    """Not the system's either."""
    server = server_with(issue(trustme.CA(), "x", [DNSName("localhost")]), tmp_path)
    assert isinstance(handshake(context_without_authorities(), server, "localhost"), SSLCertVerificationError)
    assert context_without_authorities().get_ca_certs() == []
