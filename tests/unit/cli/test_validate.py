"""`sidecar validate`: where the configuration may come from, and what it does without secrets."""

from pathlib import Path

import pytest

from tests.support.in_process import typed

GOOD = b"""
routes:
  - {name: ledger, match: {prefix: /ledger}, upstream: "https://ledger.internal/api"}
"""
SUMMARY = """\
ok: listen 127.0.0.1:9180, admin 0.0.0.0:9181, cache local
route ledger: /ledger -> https://ledger.internal/api, no token
"""
REFERENCES = """
admin: {token: {file: /nowhere/admin}}
redis: {url: "rediss://r.internal", password: {env: NOWHERE}, tls: {ca_file: /nowhere/ca.pem},
        encryption_keys: [{id: a, key: {file: /nowhere/key}}, {id: b, key: {env: NOWHERE}}]}
credentials:
  fixed: {client_id: app, client_secret: {env: NOWHERE}}
  half: {client_id: app, client_secret: {file: /nowhere/secret}}
  json: {file: /nowhere/credentials.json}
  signs:
    client_id: app
    private_key: {file: /nowhere/key.pem, passphrase: {env: NOWHERE}, certificate_file: /nowhere/c.pem}
  env: {client_id: app, private_key: {env: NOWHERE}}
  given: {client_id: app, assertion_file: /nowhere/assertion}
tokens:
  fixed: {token_endpoint: "https://auth.internal/token", credentials: fixed}
  half: {token_endpoint: "https://auth.internal/token", credentials: half, tls: {certificate_file: /nowhere/chain.pem}}
  json: {token_endpoint: "https://auth.internal/token", credentials: json, grant: token_exchange,
         subject: {file: /nowhere/t}}
  signs: {token_endpoint: "https://auth.internal/token", credentials: signs, client_auth: private_key_jwt}
  env: {token_endpoint: "https://auth.internal/token", credentials: env, client_auth: private_key_jwt}
  given: {token_endpoint: "https://auth.internal/token", credentials: given, client_auth: client_assertion_file}
routes:
  - {name: ledger, upstream: "https://ledger.internal", token: signs, tls: {ca_file: /nowhere/ca.pem}}
"""


@pytest.mark.parametrize(
    "arguments", [("-c", "-"), ("-",), ("--config=-",), ("/dev/stdin",), ("-c", "/dev/stdin")]
)
def test_o12_validate_reads_standard_input(arguments: tuple[str, ...]) -> None:
    """However it is named, for `helm template … | sidecar validate -`."""
    done = typed("validate", *arguments, stdin=GOOD)
    assert done == (0, SUMMARY, "")


def test_o12_validate_reads_a_file_by_its_place(tmp_path: Path) -> None:
    """`validate FILE` is `validate --config FILE`; both at once are one too many."""
    file = tmp_path / "sidecar.yaml"
    file.write_bytes(GOOD)
    assert typed("validate", str(file)) == (0, SUMMARY, "")
    done = typed("validate", str(file), "-c", str(file))
    assert done.code == 2
    assert done.err.endswith("sidecar validate: name the configuration once: as FILE or with --config FILE\n")


@pytest.mark.parametrize(
    ("stdin", "fault"),
    [
        (b"", "standard input: is empty"),
        (b"\n \n", "standard input: is empty"),
        (b"a: [", "standard input:1: `[` is not closed"),
        (b"\xff\xff", "standard input: cannot be read: it is not UTF-8 text"),
        (b"routes: []", "standard input:1: routes: must hold at least one entry"),
        (b"a" * (1 << 20) + b"a", "standard input: cannot be read: it is larger than 1 MiB"),
    ],
)
def test_o12_faults_name_standard_input(stdin: bytes, fault: str) -> None:
    """As they name a file."""
    done = typed("validate", "-", stdin=stdin)
    assert (done.code, done.out) == (78, "")
    assert f"  {fault}" in done.err


def test_o12_no_secrets_reads_nothing_that_the_configuration_names() -> None:
    """Each kind of reference: with the flag none is missing, without it each is."""
    done = typed("validate", "-", "--no-secrets", stdin=REFERENCES.encode())
    assert done.code == 0
    assert all("no route uses this entry" in line for line in done.err.splitlines())
    assert "secrets, keys and certificates: not read" in done.out.splitlines()
    done = typed("validate", "-", stdin=REFERENCES.encode())
    assert done.code == 78
    assert done.err.count("/nowhere") + done.err.count("NOWHERE") + done.err.count("cannot be read") >= 14


def test_o12_no_secrets_finds_all_other_faults() -> None:
    """Also in the references themselves."""
    text = b"""
admin: {token: {env: "not a name"}}
credentials: {app: {client_id: app, client_secret: hunter2}}
tokens: {api: {token_endpoint: "http://auth.internal/token", credentials: app, scop: []}}
routes: [{name: api, upstream: nowhere, token: other}]
"""
    done = typed("validate", "-", "--no-secrets", stdin=text)
    assert done.code == 78
    paths = [line.split(": ")[1] for line in done.err.splitlines()[1:]]
    assert sorted(paths) == [
        "admin.token.env",
        "credentials.app.client_secret",
        "routes[0].token",
        "routes[0].upstream",
        "tokens.api.scop",
        "tokens.api.token_endpoint",
    ]


def test_o12_no_secrets_needs_none_for_the_one_route() -> None:
    """The variables of the environment's route and fleet, and their twins."""
    environ = {
        "SIDECAR_UPSTREAM": "https://ledger.internal",
        "SIDECAR_TOKEN_ENDPOINT": "https://auth.internal/token",
        "SIDECAR_CLIENT_ID_FILE": "/nowhere/id",
        "REDIS_URL": "redis://r.internal",
        "SIDECAR_ENCRYPTION_KEY_FILE": "/nowhere/key",
        "SIDECAR_ADMIN_TOKEN_FILE": "/nowhere/admin",
    }
    done = typed("validate", "--no-secrets", environ=environ)
    assert (done.code, done.err) == (0, "")
    assert typed("validate", environ=environ).code == 78
