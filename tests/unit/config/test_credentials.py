"""The section `credentials`."""

from pathlib import Path

from tests.support.config_files import CANARY, ONE_LINE, bad_values, check_told, read, tree, write


@bad_values(
    ("credentials__c__client_secret", CANARY, "credentials.c.client_secret", "never written here"),
    (
        "credentials__c__client_secret",
        {"file": "/nope"},
        "credentials.c.client_secret.file",
        "cannot be read: No such file",
    ),
    (
        "credentials__c__client_secret",
        {"file": "/tmp"},
        "credentials.c.client_secret.file",
        "not a regular file",
    ),
    ("credentials__c__client_secret", {"env": "NOPE"}, "credentials.c.client_secret.env", "NOPE is not set"),
    (
        "credentials__c__client_secret",
        {"env": "EMPTY"},
        "credentials.c.client_secret.env",
        "EMPTY is not set, or is empty",
    ),
    (
        "credentials__c__client_secret",
        {"env": CANARY},
        "credentials.c.client_secret.env",
        "not the secret itself",
    ),
    ("credentials__c__client_secret", {}, "credentials.c.client_secret", "exactly one of: file, env"),
    (
        "credentials__c__client_secret",
        {"file": ONE_LINE, "env": "CLIENT_SECRET"},
        "credentials.c.client_secret",
        "exactly one of: file, env",
    ),
    (
        "credentials__c",
        {"file": ONE_LINE, "aws_secret": {"id": "x"}},
        "credentials.c",
        "exactly one of",
    ),
    ("credentials__c", {"aws_secret": {}}, "credentials.c.aws_secret.id", "missing"),
    (
        "credentials",
        {"c": {"aws_secret": {"id": "x"}}, "d": {"aws_secret": {"id": "y"}, "service": "c"}},
        "credentials.d.service",
        "c has the same",
    ),
    ("credentials__c__share", False, "credentials.c.share", "only meaningful beside aws_secret"),
    (
        "credentials__c",
        {"aws_secret": {"id": "{tenant}/x"}},
        "credentials.c.aws_secret.id",
        "no tenant section",
    ),
    ("credentials__c", {"aws_secret": {"id": "{name}/x"}}, "credentials.c.aws_secret.id", "only {service}"),
    ("credentials__c", {"aws_secret": {"id": "a b"}}, "credentials.c.aws_secret.id", "name or ARN"),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "region": "Ireland"}},
        "credentials.c.aws_secret.region",
        "eu-west-1",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "endpoint": "http://aws.test"}},
        "credentials.c.aws_secret.endpoint",
        "use https",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "stage": "A B"}},
        "credentials.c.aws_secret.stage",
        "staging label",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "pointer": "a/b"}},
        "credentials.c.aws_secret.pointer",
        "JSON pointer",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "pointer": "/a~2"}},
        "credentials.c.aws_secret.pointer",
        "JSON pointer",
    ),
    ("credentials__c", {}, "credentials.c", "exactly one of: aws_secret, file, client_id"),
    ("credentials__c", {"file": "/nope"}, "credentials.c.file", "cannot be read"),
    ("credentials__c", {"client_id": "me"}, "tokens.t.credentials", "has no client_secret"),
    ("credentials__c__client_id", 12, "credentials.c.client_id", "put it in quotes"),
    ("credentials__c__client_id", " ", "credentials.c.client_id", "visible ASCII"),
    ("credentials__c__service", "a:b", "credentials.c.service", "letters, digits"),
    ("credentials__a/b", {"client_id": "me"}, "credentials.a/b", "letters, digits"),
    ("credentials__{x}", {"client_id": "me"}, "credentials.{x}", "letters, digits"),
    ("credentials__c__private_key", CANARY, "credentials.c.private_key", "a key is never written here"),
    (
        "credentials__c__private_key",
        {"file": __file__},
        "credentials.c.private_key.file",
        "neither a JWK nor a PEM key",
    ),
    (
        "credentials__c__private_key",
        {"env": "CLIENT_SECRET"},
        "credentials.c.private_key.env",
        "neither a JWK nor a PEM key",
    ),
    (
        "credentials__c__private_key",
        {"env": "PEM", "algorithm": "HS256"},
        "credentials.c.private_key.algorithm",
        "must be one of: RS256",
    ),
    ("credentials__c__private_key", {}, "credentials.c.private_key", "exactly one of: file, env"),
    ("credentials__c__assertion_file", "/nope", "credentials.c.assertion_file", "cannot be read"),
    (
        "credentials__c",
        {"file": ONE_LINE, "assertion_file": ONE_LINE},
        "credentials.c.assertion_file",
        "only meaningful beside client_id",
    ),
)
def test_b85_a_bad_value_is_told_with_file_path_and_reason(
    tmp_path: Path, at: str, value: object, path: str, reason: str
) -> None:
    """Each kind of bad value is a fault at its own path that says what to do, without its secret."""
    check_told(tmp_path, at, value, path, reason)


def test_b69_other_credentials_of_the_same_name_are_other_credentials(tmp_path: Path) -> None:
    """Deployments that share a Redis, and a name by chance, share no token."""
    both = write(tmp_path / "both.json", '{"client_id": "me", "client_secret": "hunter2"}')
    keys = {
        read(tmp_path, tree(credentials={"c": entry})).tokens["t"].key
        for entry in (
            {"client_id": "me", "client_secret": {"env": "CLIENT_SECRET"}},
            {"client_id": "you", "client_secret": {"env": "CLIENT_SECRET"}},
            {"file": both},
            {"aws_secret": {"id": "me"}},
            {"aws_secret": {"id": "me", "region": "eu-west-1"}},
        )
    }
    assert len(keys) == 5
