"""`{tenant}` in the files and variables of credentials, and its refusal elsewhere."""

from pathlib import Path
from typing import Any

import pytest
from trustme import CA

from sidecar.config.load import load
from sidecar.core.secret import Secret
from sidecar.credentials.model import FileCredentials, SecretFileCredentials, VariableCredentials
from tests.support.config_files import KEY, SECRETS, faults, read, tree, write

HEADER = {"header": "X-Tenant-Id"}
PLACE = "{tenant} is not replaced here"
ONLY = "only {tenant} is replaced"


def of(entry: dict[str, object], **more: object) -> dict[str, Any]:
    return tree(tenant=HEADER, credentials={"c": entry}, **more)


@pytest.mark.parametrize(
    "entry",
    [
        {"file": "/s/{tenant}.json"},
        {"file": "/s/{tenant}/{tenant}.json"},
        {"client_id": "me", "client_secret": {"file": "/s/{tenant}/secret"}},
        {"client_id": "me", "client_secret": {"env": "LEDGER_{tenant}"}},
        {"client_id": "me", "client_secret": {"env": "LEDGER_{tenant}_SECRET"}},
        {"client_id": "me", "client_secret": {"env": "SIDECAR_CLIENT_SECRET_OF_{tenant}"}},
    ],
)
def test_o10_places_of_tenants_are_valid_before_a_tenant_has_one(
    tmp_path: Path, entry: dict[str, object]
) -> None:
    """A tenant without a file is refused when it sends a request, and so the others are served."""
    assert read(tmp_path, of(entry)).warnings == ()


def test_o10_keys_and_assertions_of_tenants_are_valid(tmp_path: Path) -> None:
    """They are read for each signature."""
    key = {
        "file": "/k/{tenant}.pem",
        "passphrase": {"file": "/p/{tenant}"},
        "certificate_file": "/c/{tenant}",
    }
    signed = of({"client_id": "me", "private_key": key}, tokens__t__client_auth="private_key_jwt")
    assert read(tmp_path, signed).tokens["t"].private_key is not None
    given = of(
        {"client_id": "me", "assertion_file": "/a/{tenant}"}, tokens__t__client_auth="client_assertion_file"
    )
    assert read(tmp_path, given).tokens["t"].assertion_file == "/a/{tenant}"


@pytest.mark.parametrize(
    ("document", "path", "reason"),
    [
        (of({"file": "/s/{Tenant}.json"}), "credentials.c.file", ONLY),
        (of({"file": "/s/{tenant }.json"}), "credentials.c.file", ONLY),
        (of({"file": "/s/{{tenant}}.json"}), "credentials.c.file", ONLY),
        (of({"file": "/s/{service}/{tenant}.json"}), "credentials.c.file", ONLY),
        (of({"file": "/s/{org}.json"}), "credentials.c.file", ONLY),
        (of({"file": "/s/{tenant.json"}), "credentials.c.file", ONLY),
        (
            of({"client_id": "me", "client_secret": {"file": "/s/{tenant}/{key}"}}),
            "credentials.c.client_secret.file",
            ONLY,
        ),
        (
            of({"client_id": "me", "client_secret": {"env": "{tenant}"}}),
            "credentials.c.client_secret.env",
            "once and not at the beginning",
        ),
        (
            of({"client_id": "me", "client_secret": {"env": "A_{tenant}_{tenant}"}}),
            "credentials.c.client_secret.env",
            "once and not at the beginning",
        ),
        (
            of({"client_id": "me", "client_secret": {"env": "A-{tenant}"}}),
            "credentials.c.client_secret.env",
            "once and not at the beginning",
        ),
        (
            of({"client_id": "me", "client_secret": {"env": "A_{TENANT}"}}),
            "credentials.c.client_secret.env",
            ONLY,
        ),
        (
            of({"client_id": "me", "private_key": {"env": "KEY_{tenant}"}}),
            "credentials.c.private_key.env",
            PLACE,
        ),
        (
            of({"client_id": "me", "private_key": {"file": "/k", "passphrase": {"env": "P_{tenant}"}}}),
            "credentials.c.private_key.passphrase.env",
            PLACE,
        ),
        (tree(admin__token={"file": "/s/{tenant}"}), "admin.token.file", PLACE),
        (tree(admin__token={"env": "A_{tenant}"}), "admin.token.env", PLACE),
        (tree(tokens__t__tls={"ca_file": "/s/{tenant}.pem"}), "tokens.t.tls.ca_file", PLACE),
        (
            tree(routes__0__tls={"certificate_file": "/s/{tenant}.pem"}),
            "routes[0].tls.certificate_file",
            PLACE,
        ),
        (
            tree(
                tokens__t__grant="token_exchange",
                tokens__t__subject={"file": "/s/{tenant}", "type": "jwt"},
            ),
            "tokens.t.subject.file",
            PLACE,
        ),
        (tree(credentials__c={"file": "/s/{tenant}.json"}), "credentials.c.file", "no tenant section"),
        (
            tree(credentials__c__client_secret={"env": "A_{tenant}"}),
            "credentials.c.client_secret.env",
            "no tenant section",
        ),
    ],
)
def test_o10_a_placeholder_that_nothing_replaces_is_refused_in_words(
    tmp_path: Path, document: dict[str, Any], path: str, reason: str
) -> None:
    """At load, at its own path."""
    told = [
        fault
        for fault in faults(write(tmp_path / "config.yaml", document), SECRETS)
        if reason in fault.reason
    ]
    assert [fault.path for fault in told] == [path]


@pytest.mark.parametrize(
    ("template", "allow", "other"),
    [
        ("ADMIN_{tenant}", [], "ADMIN_TOKEN"),
        ("ADMIN_{tenant}", ["acme", "TOKEN"], "ADMIN_TOKEN"),
        ("ADMIN_{tenant}", ["acme"], ""),
        ("SIDECAR_{tenant}", [], "SIDECAR_ADMIN_LISTEN"),
        ("AWS_{tenant}_KEY", [], "AWS_SECRET_ACCESS_KEY"),
        ("LEDGER_{tenant}", [], ""),
    ],
)
def test_o10_no_tenant_can_name_the_variable_of_another_secret(
    tmp_path: Path, template: str, allow: list[str], other: str
) -> None:
    """The authorization server would get that secret; with a list only its tenants can."""
    document = tree(
        tenant={**HEADER, "allow": allow},
        admin={"token": {"env": "ADMIN_TOKEN"}},
        credentials={"c": {"client_id": "me", "client_secret": {"env": template}}},
    )
    environ = SECRETS | {"ADMIN_TOKEN": KEY}
    if other:
        (told,) = faults(write(tmp_path / "config.yaml", document), environ)
        assert told.path == "credentials.c.client_secret.env"
        assert f"this can become {other}" in told.reason
    else:
        assert read(tmp_path, document, environ).credentials


@pytest.mark.parametrize(
    ("mine", "theirs", "reached"),
    [
        ("{0}/{{tenant}}", "{0}/admin-token", True),
        ("{0}/{{tenant}}", "{0}/./admin-token", True),
        ("{0}/{{tenant}}", "{0}//admin-token", True),
        ("{0}/of/../{{tenant}}", "{0}/admin-token", True),
        ("{0}/{{tenant}}.json", "{0}/admin-token", False),
        ("{0}/of/{{tenant}}", "{0}/admin-token", False),
    ],
)
def test_o10_no_tenant_can_name_the_file_of_another_secret(
    tmp_path: Path, mine: str, theirs: str, reached: bool
) -> None:
    """Tenants' files are in a folder of their own, or have an ending that the others do not have."""
    (tmp_path / "admin-token").write_text(KEY)
    document = tree(
        tenant=HEADER,
        admin={"token": {"file": theirs.format(tmp_path)}},
        credentials={
            "c": {"client_id": "me", "client_secret": {"file": mine.format(tmp_path)}},
        },
    )
    if reached:
        (told,) = faults(write(tmp_path / "config.yaml", document), SECRETS)
        assert "choose another folder or name" in told.reason
    else:
        assert read(tmp_path, document).credentials


def test_o10_no_tenant_can_name_the_file_of_a_certificates_key(tmp_path: Path) -> None:
    """It would sign with it."""
    pem = tmp_path / "mtls.pem"
    CA().issue_cert("a.test").private_key_and_cert_chain_pem.write_to_path(str(pem))
    document = of(
        {"client_id": "me", "private_key": {"file": f"{tmp_path}/{{tenant}}.pem"}},
        tokens__t__client_auth="private_key_jwt",
        routes__0__tls={"certificate_file": str(pem)},
    )
    (told,) = faults(write(tmp_path / "config.yaml", document), SECRETS)
    assert (told.path, f"this can become {pem}" in told.reason) == ("credentials.c.private_key.file", True)


@pytest.mark.parametrize(("allow", "found"), [(["B_acme", "acme"], True), (["acme", "globex"], False)])
def test_o10_overlapping_names_are_compared_for_the_tenants_there_are(
    tmp_path: Path, allow: list[str], found: bool
) -> None:
    """With a list, no other tenant has a secret."""
    document = tree(
        tenant={**HEADER, "allow": allow},
        credentials={
            "c": {"client_id": "me", "client_secret": {"env": "A_{tenant}"}},
            "d": {"client_id": "us", "client_secret": {"env": "A_B_{tenant}"}},
        },
    )
    environ = {
        **SECRETS,
        "A_acme": "1",
        "A_B_acme": "2",
        "A_globex": "3",
        "A_B_globex": "4",
        "A_B_B_acme": "5",
    }
    told = [] if not found else faults(write(tmp_path / "config.yaml", document), environ)
    assert [fault.path for fault in told] == ["credentials.c.client_secret.env"] * found
    if not found:
        assert read(tmp_path, document, environ).credentials


def test_o10_two_entries_with_overlapping_names_are_refused(tmp_path: Path) -> None:
    """Tenant `B_acme` of one would be tenant `acme` of the other."""
    document = tree(
        tenant=HEADER,
        credentials={
            "c": {"client_id": "me", "client_secret": {"env": "A_{tenant}"}},
            "d": {"client_id": "us", "client_secret": {"env": "A_B_{tenant}"}},
            "e": {"client_id": "them", "client_secret": {"env": "A_{tenant}"}},
        },
    )
    told = faults(write(tmp_path / "config.yaml", document), SECRETS)
    assert [fault.path for fault in told] == [f"credentials.{name}.client_secret.env" for name in "ce"]


def test_o10_variables_are_found_by_canonical_ids_only(tmp_path: Path) -> None:
    """A variable whose name holds no id is no tenant's."""
    environ = {"S_acme": "a", "S_ACME": "b", "S_a.b-c": "c", "S__x": "d", "S_": "e", "XS_acme": "f"}
    document = of({"client_id": "me", "client_secret": {"env": "S_{tenant}"}})
    assert read(tmp_path, document, environ).credentials["c"] == VariableCredentials(
        "me", "S_{tenant}", {"acme": Secret("a"), "ACME": Secret("b"), "a.b-c": Secret("c")}
    )


def test_o10_templates_stay_in_the_settings(tmp_path: Path) -> None:
    """Also where no secret is read."""
    document = of({"file": "/s/{tenant}.json"})
    document["credentials"]["d"] = {"client_id": "me", "client_secret": {"file": "/d/{tenant}"}}
    path = write(tmp_path / "config.yaml", document)
    for secrets in (True, False):
        assert load(path, SECRETS, secrets=secrets).credentials == {
            "c": FileCredentials("/s/{tenant}.json"),
            "d": SecretFileCredentials("me", "/d/{tenant}"),
        }
