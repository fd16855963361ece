"""What can be used, but is probably a mistake: it is a warning, and the sidecar starts."""

import re
import time
from pathlib import Path

import pytest

from sidecar.config import hints
from sidecar.config.decode import MOST_FAULTS
from sidecar.config.load import load
from sidecar.core.errors import ConfigError
from tests import ROOT
from tests.support.config_files import CANARY, ONE_ROUTE, read, tree, write

LITERALLY = "is taken literally, because the sidecar replaces no variables in values: write the value itself"
NO_SETTING = "there is no such setting, so it has no effect"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("SIDECAR_UPSTERAM", "did you mean SIDECAR_UPSTREAM?"),
        ("SIDECAR_CLIENTID", "did you mean SIDECAR_CLIENT_ID?"),
        ("SIDECAR_CLIENT_SECRETS", "did you mean SIDECAR_CLIENT_SECRET?"),
        ("SIDECAR_SCOPES", "did you mean SIDECAR_SCOPE?"),
        ("SIDECAR_CONFIG_FILE", "did you mean SIDECAR_CONFIG?"),
        ("SIDECAR_TOKENENDPOINT", "did you mean SIDECAR_TOKEN_ENDPOINT?"),
        ("sidecar_listen", "did you mean SIDECAR_LISTEN?"),
        ("M2M_CREDENTIAL_CACHE_TTL", "did you mean M2M_CREDENTIAL_CACHE_TTL_SEC?"),
        ("SIDECAR_LOG_LEVEL", "did you mean LOG_LEVEL?"),
        ("SIDECAR_REDIS_URL", "did you mean REDIS_URL?"),
        ("SIDECAR_PORT", "unset it"),
        ("SIDECAR_BLUE", "unset it"),
    ],
)
def test_o13_a_variable_that_no_setting_has_is_a_warning(name: str, advice: str) -> None:
    """With the one that was probably meant; its value is not shown."""
    config = load(None, ONE_ROUTE | {name: CANARY})
    assert [str(each) for each in config.ignored] == [f"environment: {name}: {NO_SETTING}; {advice}"]
    assert config.doubtful == ()


def test_o13_known_variables_and_foreign_ones_are_no_warning(tmp_path: Path) -> None:
    """Nor are those that the file names, and what Kubernetes sets for Services called `sidecar` or `sidecar-redis`."""
    links = {
        "SIDECAR_SERVICE_HOST": "10.0.0.1",
        "SIDECAR_SERVICE_PORT": "80",
        "SIDECAR_SERVICE_PORT_HTTP": "80",
        "SIDECAR_PORT": "tcp://10.0.0.1:80",
        "SIDECAR_PORT_80_TCP": "tcp://10.0.0.1:80",
        "SIDECAR_PORT_80_TCP_PROTO": "tcp",
        "SIDECAR_PORT_80_TCP_PORT": "80",
        "SIDECAR_PORT_80_TCP_ADDR": "10.0.0.1",
        "SIDECAR_REDIS_SERVICE_HOST": "10.0.0.2",
        "SIDECAR_REDIS_PORT": "tcp://10.0.0.2:6379",
    }
    foreign = {"SIDECARS": "x", "MY_SIDECAR_X": "x", "ISTIO_SIDECAR": "x", "SIDECAR_ALLOW_DUMPS": "true"}
    named = tree(credentials__c__client_secret={"env": "SIDECAR_MY_SECRET"})
    environ = links | foreign | {"SIDECAR_MY_SECRET": CANARY}
    assert read(tmp_path, named, environ).warnings == ()
    assert [each.path for each in load(None, ONE_ROUTE | environ).ignored] == ["SIDECAR_MY_SECRET"]


def test_o13_every_variable_of_the_code_is_known() -> None:
    """A new one cannot be forgotten."""
    texts = [module.read_text() for module in (ROOT / "sidecar").rglob("*.py")]
    names = {name for text in texts for name in re.findall(r'"((?:SIDECAR|M2M)_[A-Z_]*[A-Z])"', text)}
    environ = dict.fromkeys(names, "x")
    with pytest.raises(ConfigError) as raised:
        load(None, environ | {"SIDECAR_CONFIG": ""})
    assert [str(each) for each in raised.value.warnings] == [
        "environment: SIDECAR_ALLOW_DUMPS: has no effect: write true, or unset it"
    ]


def test_o13_a_start_that_fails_says_so_too() -> None:
    """The misspelt variable is the reason why the other one is missing."""
    misspelt = {"SIDECAR_UPSTERAM": ONE_ROUTE["SIDECAR_UPSTREAM"]}
    rest = {name: value for name, value in ONE_ROUTE.items() if name != "SIDECAR_UPSTREAM"}
    for environ, fault in ((misspelt | rest, "SIDECAR_UPSTREAM: missing"), (misspelt, "nothing to do")):
        with pytest.raises(ConfigError) as raised:
            load(None, environ)
        assert fault in str(raised.value)
        assert [each.path for each in raised.value.warnings] == ["SIDECAR_UPSTERAM"]


@pytest.mark.parametrize(
    ("at", "value", "path", "form"),
    [
        ("credentials__c__client_id", "${CLIENT_ID}", "credentials.c.client_id", "${…}"),
        ("credentials__c__client_id", "$CLIENT_ID", "credentials.c.client_id", "$NAME"),
        ("credentials__c__client_id", "app-${ENV:-dev}", "credentials.c.client_id", "${…}"),
        ("credentials__c__client_id", "$(CLIENT_ID)", "credentials.c.client_id", "$(…)"),
        ("tokens__t__audience", "{{ .Values.audience }}", "tokens.t.audience", "{{…}}"),
        ("tokens__t__audience", "https://$HOST/", "tokens.t.audience", "$NAME"),
        ("tokens__t__scope", ["$(SCOPE)"], "tokens.t.scope[0]", "$(…)"),
        ("tokens__t__parameters", {"x": "${X}"}, "tokens.t.parameters.x", "${…}"),
        (
            "redis",
            {"url": "redis://r", "key_prefix": "$PREFIX:", "encryption": "none"},
            "redis.key_prefix",
            "$NAME",
        ),
    ],
)
def test_o13_a_variable_that_was_not_replaced_is_a_warning(
    tmp_path: Path, at: str, value: object, path: str, form: str
) -> None:
    """Where the value is good otherwise."""
    config = read(tmp_path, tree(**{at: value}))
    (told,) = config.doubtful
    assert (told.path, told.reason) == (path, f"{form} {LITERALLY}")
    assert told.line > 0


@pytest.mark.parametrize(
    "value", ["pa$word", "$", "a$", "$5", "{tenant}", "/$metadata", "${", "a{{b", "US$ 5", "$$NAME", "x$FOO"]
)
def test_o13_other_signs_are_no_warning(tmp_path: Path, value: str) -> None:
    """Nothing says that these are variables."""
    assert read(tmp_path, tree(tokens__t__parameters={"x": value})).warnings == ()


@pytest.mark.parametrize(
    ("secret", "told"), [("${S}", 1), ("$SECRET", 1), ("{{ s }}", 1), ("pa$SWORD-${x", 0)]
)
def test_o13_a_secret_that_is_a_variable_is_a_warning(tmp_path: Path, secret: str, told: int) -> None:
    """In a variable or a file; of a secret only a whole one counts, and nothing of it is shown."""
    by_file = tree(credentials__c__client_secret={"file": write(tmp_path / "secret", secret)})
    for config in (read(tmp_path, tree(), {"CLIENT_SECRET": secret}), read(tmp_path, by_file)):
        assert len(config.doubtful) == told
        assert secret not in "".join(map(str, config.doubtful))
    assert len(load(None, ONE_ROUTE | {"SIDECAR_CLIENT_SECRET": secret}).doubtful) == told


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("listen", "${LISTEN}"),
        ("routes__0__upstream", "https://${HOST}/"),
        ("routes__0__name", "{{ name }}"),
        ("log", {"level": "$LOG_LEVEL"}),
        ("routes__0__max_connections", "$(MAX)"),
    ],
)
def test_o13_a_variable_that_breaks_the_value_s_rule_is_named_in_its_fault(
    tmp_path: Path, at: str, value: object
) -> None:
    """Beside the rule."""
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, tree(**{at: value}))
    (told,) = raised.value.faults
    assert told.reason.endswith(LITERALLY)


NO_TOKEN, NO_ROUTE = "no token uses this entry", "no route uses this entry"
TOKEN = {"token_endpoint": "https://auth.example.com/token", "credentials": "c"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"credentials__d": {"client_id": "me"}}, [("credentials.d", NO_TOKEN)]),
        ({"tokens__u": TOKEN}, [("tokens.u", NO_ROUTE)]),
        ({"tokens__1": TOKEN, "credentials__2": {"client_id": "me"}},
         [("credentials.2", NO_TOKEN), ("tokens.1", NO_ROUTE)]),
        ({"routes__0__token": None}, [("tokens.t", NO_ROUTE)]),
        ({"routes__0__token": None, "tokens": None}, [("credentials.c", NO_TOKEN)]),
        ({"credentials__d": {"client_id": "me", "client_secret": {"env": "CLIENT_SECRET"}},
          "tokens__u": {**TOKEN, "credentials": "d"}}, [("tokens.u", NO_ROUTE)]),
        ({"routes": [{"name": n, "match": {"prefix": f"/{n}"}, "upstream": "https://r.internal", "token": "t"}
                     for n in ("a", "b")]}, []),
    ],
)  # fmt: skip
def test_an_entry_that_nothing_uses_is_a_warning(
    tmp_path: Path, changes: dict[str, object], told: list[tuple[str, str]]
) -> None:
    """With its line. Credentials that only an unused token names are not reported, because that is one mistake."""
    warnings = read(tmp_path, tree(**changes)).warnings
    assert [(each.path, each.reason.partition(":")[0]) for each in warnings] == told
    assert all(each.line > 0 for each in warnings)


def test_a_thousand_unused_entries_are_a_bounded_warning(tmp_path: Path) -> None:
    """Like faults."""
    many = {f"c{number}": {"client_id": "me"} for number in range(1000)}
    document = tree(credentials={"c": {"client_id": "me"}} | many, tokens__t__client_auth="none")
    assert len(read(tmp_path, document).warnings) == MOST_FAULTS


def test_a_fault_is_not_followed_by_a_warning_of_an_unused_entry(tmp_path: Path) -> None:
    """A misspelt name is one mistake; and the one route of the environment names what it has."""
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, tree(routes__0__token="tt"))
    assert raised.value.warnings == ()
    assert load(None, ONE_ROUTE).warnings == ()


def test_o13_no_text_takes_long() -> None:
    """Whatever it is made of."""
    for part in ("$", "${", "$(", "$(A", "{{", "$A", "$_", "{"):
        began = time.thread_time()
        hints.unexpanded(part * (8192 // len(part)))
        hints.is_unexpanded(part * (8192 // len(part)))
        assert time.thread_time() - began < 0.1, part
