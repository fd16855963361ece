"""The section `tokens`."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tls import Tls
from sidecar.oauth import subject_token
from sidecar.oauth.signing_keys import PrivateKey, Verification
from sidecar.oauth.token import Assertion, FromRequest, Presented, TokenRequest
from tests.support import keys
from tests.support.config_files import (
    CANARY,
    ONE_LINE,
    SECRETS,
    bad_values,
    check_told,
    faults,
    read,
    tree,
    write,
)


@bad_values(
    ("tokens__t__grant", "implicit", "tokens.t.grant", "must be one of: client_credentials"),
    ("tokens__t__grant", "token_exchange", "tokens.t.subject", "missing: token_exchange exchanges it"),
    ("tokens__t__grant", "jwt_bearer", "tokens.t", "exactly one of: subject, assertion"),
    ("tokens__t__client_auth", "client_secret_jwt", "tokens.t.client_auth", "must be one of"),
    ("tokens__t__client_auth", "private_key_jwt", "tokens.t.credentials", "c has no private_key"),
    ("tokens__t__client_auth", "client_assertion_file", "tokens.t.credentials", "c has no assertion_file"),
    (
        "tokens__t__client_auth",
        "tls_client_auth",
        "tokens.t.tls.certificate_file",
        "tls_client_auth presents",
    ),
    ("tokens__t__assertion_audience", "x", "tokens.t.assertion_audience", "nothing is signed"),
    ("tokens__t__parameters", {"scope": "x"}, "tokens.t.parameters.scope", "the sidecar sets it itself"),
    ("tokens__t__parameters", {"client_id": "x"}, "tokens.t.parameters.client_id", "sets it itself"),
    ("tokens__t__parameters", {"a b": "x"}, "tokens.t.parameters.a b", "letters, digits"),
    ("tokens__t__parameters", {"a": 1}, "tokens.t.parameters.a", "put it in quotes"),
    (
        "tokens__t__requested_token_type",
        "jwt",
        "tokens.t.requested_token_type",
        "only for grant: token_exchange",
    ),
    ("tokens__t__assertion", {}, "tokens.t.assertion", "only for grant: jwt_bearer"),
    ("tokens__t__subject", {"file": ONE_LINE}, "tokens.t.subject", "token_exchange or jwt_bearer"),
    ("tokens__t__subject", CANARY, "tokens.t.subject", "a token is never written here"),
    ("tokens__t__subject", {"file": "/nope"}, "tokens.t.subject.file", "cannot be read"),
    (
        "tokens__t__subject",
        {"file": ONE_LINE, "type": "jwt "},
        "tokens.t.subject.type",
        "write one of access_token",
    ),
    (
        "tokens__t__subject",
        {"file": ONE_LINE, "header": "X"},
        "tokens.t.subject",
        "exactly one of: file, header",
    ),
    ("tokens__t__subject", {"header": "X Y"}, "tokens.t.subject.header", "name of a header field"),
    ("tokens__t__actor", {"file": ONE_LINE}, "tokens.t.actor", "beside subject"),
    ("tokens__t__tls", {"ca_file": "/nope"}, "tokens.t.tls.ca_file", "cannot be read"),
    ("tokens__t__issuer", "https://auth.example.com", "tokens.t", "exactly one of: token_endpoint, issuer"),
    ("tokens__t__credentials", "zz", "tokens.t.credentials", "there is no such entry; there is: c"),
    ("tokens__t__credentials", None, "tokens.t.credentials", "missing"),
    ("tokens__t__token_endpoint", None, "tokens.t", "exactly one of: token_endpoint, issuer"),
    ("tokens__t__token_endpoint", "http://auth/token", "tokens.t.token_endpoint", "use https"),
    (
        "tokens__t__token_endpoint",
        f"https://me:{CANARY}@auth",
        "tokens.t.token_endpoint",
        "user name and password",
    ),
    ("tokens__t__token_endpoint", "https://auth/#x", "tokens.t.token_endpoint", "fragment"),
    ("tokens__t__token_endpoint", "/token", "tokens.t.token_endpoint", "write http:// or https://"),
    ("tokens__t__scope", "a b", "tokens.t.scope", "write a list"),
    ("tokens__t__scope", ["a b"], "tokens.t.scope[0]", "one scope an entry"),
    ("tokens__t__resource", ["/x"], "tokens.t.resource[0]", "absolute URI"),
)
def test_b85_a_bad_value_is_told_with_file_path_and_reason(
    tmp_path: Path, at: str, value: object, path: str, reason: str
) -> None:
    """Each kind of bad value is a fault at its own path that says what to do, without its secret."""
    check_told(tmp_path, at, value, path, reason)


@pytest.mark.parametrize(
    ("token", "path", "reason"),
    [
        ({"issuer": "http://auth"}, "tokens.t.issuer", "use https"),
        ({"issuer": "https://auth?x"}, "tokens.t.issuer", "no query"),
        (
            {"issuer": "https://auth", "grant": "jwt_bearer", "assertion": {}},
            "tokens.t.credentials",
            "no private_key to sign the assertion with",
        ),
        (
            {"issuer": "https://auth", "grant": "jwt_bearer", "subject": {"file": ONE_LINE, "type": "jwt"}},
            "tokens.t.subject.type",
            "remove the type",
        ),
        *(
            (
                {
                    "issuer": "https://auth",
                    "grant": "jwt_bearer",
                    "subject": {"header": "X", "verify": {"issuer": "https://i", "audience": "a", **wrong}},
                },
                f"tokens.t.subject.verify.{place}",
                reason,
            )
            for wrong, place, reason in (
                ({"issuer": "http://i"}, "issuer", "use https"),
                ({"jwks_uri": "http://i"}, "jwks_uri", "use https"),
                ({"algorithms": ["none"]}, "algorithms[0]", "must be one of: RS256"),
                ({"algorithms": ["HS256"]}, "algorithms[0]", "must be one of: RS256"),
                ({"algorithms": []}, "algorithms", "at least one"),
                ({"audience": 1}, "audience", "put it in quotes"),
                ({"tls": {"ca_file": "/nope"}}, "tls.ca_file", "cannot be read"),
                (
                    {"issuer": "http://[::1]", "tls": {"ca_file": __file__}},
                    "tls",
                    "the keys come over plain http",
                ),
            )
        ),
        (
            {
                "issuer": "https://auth",
                "grant": "jwt_bearer",
                "subject": {"file": ONE_LINE, "verify": {"issuer": "https://i", "audience": "a"}},
            },
            "tokens.t.subject.verify",
            "only meaningful beside header",
        ),
        (
            {"issuer": "https://auth", "grant": "jwt_bearer", "subject": {"header": "Host"}},
            "tokens.t.subject.header",
            "has another meaning",
        ),
        (
            {
                "issuer": "https://auth",
                "grant": "token_exchange",
                "subject": {"header": "X-Who"},
                "actor": {"header": "x-who"},
            },
            "tokens.t.actor.header",
            "brings the subject already",
        ),
        (
            {
                "issuer": "https://auth",
                "grant": "token_exchange",
                "subject": {"header": "X-Who"},
                "actor": {"header": "X_Who"},
            },
            "tokens.t.actor.header",
            "brings the subject already",
        ),
        (
            {"token_endpoint": "http://127.0.0.1/t", "tls": {"ca_file": __file__}},
            "tokens.t.tls",
            "the authorization server is plain http",
        ),
    ],
)
def test_b85_what_a_token_request_needs_is_told(
    tmp_path: Path, token: dict[str, object], path: str, reason: str
) -> None:
    """Between keys of one entry, and between it and its credentials."""
    written = tree(tokens={"t": {"credentials": "c", **token}})
    (told,) = faults(write(tmp_path / "config.yaml", written), SECRETS)
    assert told.path == path
    assert reason in told.reason


def test_every_way_of_asking_becomes_a_token_request(tmp_path: Path) -> None:
    """Keys, files, types, parameters and assertions arrive where they are meant."""
    key_file = write(tmp_path / "key.pem", keys.pem("p256", BestAvailableEncryption(CANARY.encode())))
    pem = write(tmp_path / "certificate.pem", keys.certificate_pem("p256"))
    token = write(tmp_path / "token", "a.b.c\n")
    config = read(
        tmp_path,
        f"""
credentials:
  signing:
    client_id: me
    private_key:
      {{file: {key_file}, passphrase: {{env: CLIENT_SECRET}}, algorithm: ES256, kid: k, certificate_file: {pem}}}
  given: {{client_id: me, assertion_file: {token}}}
tokens:
  exchange:
    grant: token_exchange
    issuer: https://auth.example.com/realm
    client_auth: private_key_jwt
    assertion_audience: aud
    credentials: signing
    parameters: {{organization: o, empty: ""}}
    subject: {{file: {token}}}
    actor: {{file: {token}, type: "urn:example:type"}}
    requested_token_type: jwt
  bearer:
    grant: jwt_bearer
    token_endpoint: https://auth.example.com/token
    tls: {{ca_file: {pem}, certificate_file: {pem}, key_file: {pem}}}
    client_auth: tls_client_auth
    credentials: signing
    assertion: {{issuer: i, subject: s, audience: a, claims: {{scope: x}}}}
  given:
    grant: jwt_bearer
    token_endpoint: https://auth.example.com/token
    client_auth: client_assertion_file
    credentials: given
    subject: {{file: {token}}}
  behalf:
    grant: token_exchange
    issuer: https://auth.example.com
    credentials: given
    client_auth: client_assertion_file
    subject:
      header: X-Subject
      type: jwt
      verify:
        issuer: https://idp
        audience: me
        jwks_uri: https://idp/keys
        algorithms: [ES256, PS256]
        tls: {{ca_file: {token}}}
routes: [{{name: r, upstream: "https://r", token: exchange}}]
""",
    )
    rule = Verification("https://idp", "me", "https://idp/keys", ("ES256", "PS256"), Tls(token))
    brought = Presented(FromRequest(b"x-subject", rule), "", "urn:ietf:params:oauth:token-type:jwt")
    assert config.tokens["behalf"].subject == brought
    assert config.tokens["behalf"].brought == {b"x-subject"}
    exchange, bearer, given = (config.tokens[name] for name in ("exchange", "bearer", "given"))
    key = PrivateKey(SecretFile(key_file, multiline=True), Secret(CANARY), "ES256", "k", pem)
    whose = subject_token.identity("a.b.c")
    assert exchange == TokenRequest(
        name="exchange",
        credentials="signing",
        service="signing",
        issuer="https://auth.example.com/realm",
        client="['id', 'me']",
        grant="token_exchange",
        client_auth="private_key_jwt",
        parameters=(("organization", "o"), ("empty", "")),
        private_key=key,
        assertion_audience="aud",
        subject=Presented(SecretFile(token), whose, "urn:ietf:params:oauth:token-type:access_token"),
        actor=Presented(SecretFile(token), whose, "urn:example:type"),
        requested_token_type="urn:ietf:params:oauth:token-type:jwt",
    )
    assert (bearer.tls, bearer.client_auth) == (Tls(pem, pem, pem), "tls_client_auth")
    assert bearer.assertion == Assertion("i", "s", "a", (("scope", "x"),))
    assert (given.assertion_file, given.client_auth) == (token, "client_assertion_file")
    assert given.subject is not None
