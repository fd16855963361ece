"""Private keys in memory, where each tenant has one of its own."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sidecar.core.secret import Secret
from sidecar.oauth.jwt.private_keys import prepare
from sidecar.oauth.signing_keys import SigningKey

TENANTS = 1000


def test_o10_the_key_of_each_of_a_thousand_tenants_is_read_once() -> None:
    """However often their tokens are renewed, one tenant after the other."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    keys = [SigningKey(Secret(pem.decode(), "fp"), kid=f"tenant-{number}") for number in range(TENANTS)]
    prepare.cache_clear()
    for _ in range(3):
        for key in keys:
            prepare(key)
    assert prepare.cache_info().misses == TENANTS
