"""Templates of paths and names in which `{tenant}` stands for a tenant's id."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tenants import canonical, filled, tenant_in
from sidecar.oauth.signing_keys import PrivateKey
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.tenants import for_tenant

UUID = "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"
HOSTILE = [
    "", " ", ".", "..", "../acme", "acme/..", "a/b", "/etc/passwd", "a\\b", "a..b", ".ssh", "-rf", "_x", "a b", "a\n",
    "a\0", "%2e%2e", "{tenant}", "$HOME", "~", "*", "ä", "a" * 65, UUID.upper(),
]  # fmt: skip


@pytest.mark.parametrize("tenant", HOSTILE)
def test_o10_no_hostile_name_becomes_part_of_a_path(tenant: str) -> None:
    """Only canonical ids do, whoever calls; a template without the placeholder belongs to every tenant."""
    with pytest.raises(ValueError, match=r"canonical|letters"):
        filled("/secrets/{tenant}.json", tenant)
    assert filled("/secrets/all.json", tenant) == "/secrets/all.json"


@pytest.mark.parametrize("tenant", ["acme", "ACME", "a.b-c_1", "1", "a.", "a" * 64, UUID])
def test_o10_an_id_stays_in_its_folder(tenant: str) -> None:
    """It is there as it is, at each place."""
    assert filled("/secrets/{tenant}/{tenant}.json", tenant) == f"/secrets/{tenant}/{tenant}.json"


@given(st.text(max_size=70))
def test_o10_whatever_the_name_the_path_has_as_many_parts_as_its_template(tenant: str) -> None:
    """And none of them is special."""
    try:
        path = filled("/secrets/{tenant}/client.json", tenant)
    except ValueError:
        return
    assert path.split("/") == ["", "secrets", canonical(tenant), "client.json"]
    assert not {".", "..", ""} & set(path.split("/")[1:])


@pytest.mark.parametrize(
    ("template", "text", "tenant"),
    [
        ("SECRET_{tenant}", "SECRET_acme", "acme"),
        ("SECRET_{tenant}_V1", "SECRET_acme-eu.2_V1", "acme-eu.2"),
        ("SECRET_{tenant}", "SECRET_", ""),
        ("SECRET_{tenant}_V1", "SECRET_V1", ""),
        ("SECRET_{tenant}", "secret_acme", ""),
        ("SECRET_{tenant}", "A_SECRET_acme", ""),
        ("SECRET_{tenant}", "SECRET__acme", ""),
        ("SECRET_{tenant}", f"SECRET_{UUID}", UUID),
        ("SECRET_{tenant}", f"SECRET_{UUID.upper()}", ""),
        ("/s/{tenant}/{tenant}.json", "/s/a/a.json", "a"),
        ("/s/{tenant}/{tenant}.json", "/s/a/b.json", ""),
        ("/s/{tenant}/{tenant}1", "/s/a/a1", "a"),
        ("/s/{tenant}/{tenant}00", "/s/a/a00", "a"),
        ("/s.{tenant}", "/s/acme", ""),
        ("/s/all", "/s/all", ""),
    ],
)
def test_o10_which_tenant_a_name_is_for(template: str, text: str, tenant: str) -> None:
    """The one whose canonical id gives exactly that name."""
    assert tenant_in(template, text) == tenant


def test_o10_the_files_of_a_token_request_are_the_tenants() -> None:
    """An assertion, a key, its passphrase and its certificate; a value from a variable stays."""
    key = PrivateKey(
        SecretFile("/k/{tenant}.pem", multiline=True),
        SecretFile("/p/{tenant}"),
        certificate_file="/c/{tenant}.pem",
    )
    template = TokenRequest("t", "c", "c", assertion_file="/a/{tenant}", private_key=key)
    made = for_tenant(template, "acme")
    assert made.assertion_file == "/a/acme"
    assert made.private_key == PrivateKey(
        SecretFile("/k/acme.pem", multiline=True), SecretFile("/p/acme"), certificate_file="/c/acme.pem"
    )
    fixed = replace(template, private_key=PrivateKey(Secret("canary")))
    assert for_tenant(fixed, "acme").private_key == PrivateKey(Secret("canary"))
