"""The section `tenant`, and what the others may do with a tenant's name."""

from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.core.tenants import TenantRule
from tests.support.config_files import ONE_LINE, SECRETS, bad_values, check_told, faults, read, tree, write


@bad_values(
    ("tenant", {}, "tenant", "names no tenant"),
    ("tenant", {"header": "X Tenant"}, "tenant.header", "name of a header field"),
    ("tenant", {"header": "Authorization"}, "tenant.header", "has another meaning"),
    ("tenant", {"header": "Content_Length"}, "tenant.header", "has another meaning"),
    ("tenant", {"header": "proxy.authorization"}, "tenant.header", "has another meaning"),
    ("tenant", {"header": "X-T", "path": True}, "tenant.path", "a header already"),
    ("tenant", {"claim": ""}, "tenant.claim", "visible ASCII"),
    ("tenant", {"claim": "org"}, "tokens.t.subject", "give its header"),
    ("tenant", {"default": "a:b"}, "tenant.default", "letters, digits"),
    ("tenant", {"default": "a..b"}, "tenant.default", "single dots"),
    ("tenant", {"header": "X-T", "allow": ["a", "../b"]}, "tenant.allow[1]", "letters, digits"),
    ("tenant", {"header": "X-T", "default": "c", "allow": ["a"]}, "tenant.default", "not in tenant.allow"),
    (
        "tokens__t__token_endpoint",
        "https://auth.test/{tenant}/token",
        "tokens.t.token_endpoint",
        "no tenant section",
    ),
    ("tokens__t__audience", "api-{tenant}", "tokens.t.audience", "no tenant section"),
)
def test_b85_a_bad_value_is_told_with_file_path_and_reason(
    tmp_path: Path, at: str, value: object, path: str, reason: str
) -> None:
    """Each kind of bad value is a fault at its own path that says what to do, without its secret."""
    check_told(tmp_path, at, value, path, reason)


@pytest.mark.parametrize(
    ("tenant", "good"),
    [
        ({"header": "X-T"}, False),
        ({"path": True}, False),
        ({"header": "X-T", "allow": ["acme"]}, True),
        ({"default": "acme"}, True),
    ],
)
@pytest.mark.parametrize("key", ["token_endpoint", "issuer"])
def test_clients_never_choose_the_host_that_gets_our_credentials(
    tmp_path: Path, tenant: object, good: bool, key: str
) -> None:
    """A template in an address's host needs a list of tenants, or only one; in its path it does not."""
    document = tree(tenant=tenant, tokens={"t": {key: "https://{tenant}.auth.test", "credentials": "c"}})
    if good:
        assert read(tmp_path, document).tokens
    else:
        told = faults(write(tmp_path / "config.yaml", document), SECRETS)
        assert [(fault.path, "give tenant.allow" in fault.reason) for fault in told] == [
            (f"tokens.t.{key}", True)
        ]
    document = tree(tenant=tenant, tokens={"t": {key: "https://auth.test/{tenant}", "credentials": "c"}})
    assert read(tmp_path, document).tokens


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        ({"file": ONE_LINE}, "tokens.t.subject"),
        ({"header": "X-Who"}, "tokens.t.subject.verify"),
        ({"header": "X Who"}, "tokens.t.subject.header"),
        ({"header": "X-Who", "verify": {"issuer": "https://i"}}, "tokens.t.subject.verify.audience"),
    ],
)
def test_b67_a_claim_is_believed_only_of_a_verified_subject(
    tmp_path: Path, subject: dict[str, object], path: str
) -> None:
    """What cannot be verified cannot name a tenant; one fault at a time is enough."""
    token = {"issuer": "https://auth", "credentials": "c", "grant": "token_exchange", "subject": subject}
    document = tree(tenant={"claim": "org"}, tokens={"t": token})
    assert [fault.path for fault in faults(write(tmp_path / "config.yaml", document), SECRETS)] == [path]


@pytest.mark.parametrize(
    ("subject", "actor", "faulty"),
    [
        ("X-Tenant", "X-Actor", "subject"),
        ("x-tenant", "X-Actor", "subject"),
        ("X_Tenant", "X-Actor", "subject"),
        ("X-Who", "X-Tenant", "actor"),
        ("X-Who", "X-Actor", ""),
    ],
)
def test_b85_one_field_does_not_bring_tenant_and_token(
    tmp_path: Path, subject: str, actor: str, faulty: str
) -> None:
    """Nor do two that an upstream may take for one."""
    token = {
        "issuer": "https://auth",
        "credentials": "c",
        "grant": "token_exchange",
        "subject": {"header": subject},
        "actor": {"header": actor},
    }
    file = write(tmp_path / "config.yaml", tree(tenant={"header": "X-Tenant"}, tokens={"t": token}))
    if faulty:
        told = faults(file, SECRETS)
        assert [(fault.path, "the tenant already" in fault.reason) for fault in told] == [
            (f"tokens.t.{faulty}.header", True)
        ]
    else:
        assert load(file, SECRETS).tokens["t"].brought == {subject.lower().encode(), actor.lower().encode()}


@pytest.mark.parametrize(
    ("tenant", "path"),
    [
        ({"claim": "org", "allow": ["a"]}, ""),
        ({"claim": "org"}, "tokens.t.issuer"),
        ({"claim": "org", "allow": ["a"], "header": "X-T"}, "tenant.claim"),
        ({"claim": "org", "allow": ["a"], "path": True}, "tenant.claim"),
    ],
)
def test_b67_a_claim_names_the_tenant_alone(tmp_path: Path, tenant: dict[str, object], path: str) -> None:
    """Beside no field and no path; what it may name belongs in a list where it becomes part of a host."""
    subject = {"header": "X-Who", "verify": {"issuer": "https://i", "audience": "a"}}
    token = {"issuer": "https://{tenant}.auth", "grant": "jwt_bearer", "subject": subject, "credentials": "c"}
    document = tree(tenant=tenant, tokens={"t": token})
    if path:
        assert [fault.path for fault in faults(write(tmp_path / "config.yaml", document), SECRETS)] == [path]
    else:
        assert read(tmp_path, document).tenants == TenantRule(claim="org", allow=frozenset({"a"}))


def test_tenants_are_read_in_their_one_form(tmp_path: Path) -> None:
    """The field's name small, UUIDs too; the only one there is goes into the token requests at once."""
    uuid = "7D9F6F43-8C3A-4A5F-9C1E-2F6F3A1B0C9D"
    config = read(tmp_path, tree(tenant={"header": "X-Tenant-Id", "default": uuid, "allow": ["acme", uuid]}))
    allow = frozenset({"acme", uuid.lower()})
    assert config.tenants == TenantRule(header=b"x-tenant-id", default=uuid.lower(), allow=allow)
    assert config.tokens["t"].tenant == ""
    config = read(tmp_path, tree(tenant={"default": "acme"}))
    assert config.tenants is None
    assert [config.tokens["t"].tenant, config.routes[0].token] == ["acme", config.tokens["t"]]
