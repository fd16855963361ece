"""Places: each fault of the file has the line on which it has to be corrected."""

from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.config.yaml_text import document
from sidecar.config.yaml_text.places import line_of
from sidecar.core.errors import ConfigError, Fault
from tests.support.config_files import SECRETS, faults, write

CONTENT = """\
listen: 0.0.0.0:1
cache: {leeway: 1,
  mode: distributed}
credentials:
  c: {client_id: me}
  dot.ted:
    client_id: ""
tokens:
  t:
    token_endpoint: https://auth.test/token
    credentials: c
    scope:
      - fine
      - not fine
  u.v: {credentials: c, token_endpoint: "http://auth.test"}
routes:
  - &base
    name: a
    upstream:
      ftp://a.test
    token: nope
  - <<: *base
    name: b
  - {name: c, upstream: http://c.test, tls: {ca_file: /nope}}
  - just text
  - name: d
"""


def test_o15_every_fault_of_the_file_has_its_line(tmp_path: Path) -> None:
    """Of its key or entry, in order. What is missing has the line of its mapping, what an alias repeats its own."""
    path = write(tmp_path / "config.yaml", CONTENT)
    told = faults(path, SECRETS)
    assert [(fault.line, fault.path) for fault in told] == [
        (1, "listen"),
        (2, "cache.leeway"),
        (3, "cache.mode"),
        (7, "credentials.dot.ted.client_id"),
        (11, "tokens.t.credentials"),
        (14, "tokens.t.scope[1]"),
        (15, "tokens.u.v.token_endpoint"),
        (15, "tokens.u.v.credentials"),
        (19, "routes[0].upstream"),
        (19, "routes[1].upstream"),
        (21, "routes[0].token"),
        (21, "routes[1].token"),
        (22, "routes[1].match"),
        (24, "routes[2].tls.ca_file"),
        (24, "routes[2].match"),
        (25, "routes[3]"),
        (26, "routes[4].upstream"),
        (26, "routes[4].match"),
    ]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 1),
        ("nothing", 1),
        ("cache", 2),
        ("cache.mode", 3),
        ("cache.mode.deeper", 3),
        ("credentials.dot.ted.client_id", 7),
        ("credentials.dot.client_id", 4),
        ("tokens.t.scope[1]", 14),
        ("tokens.t.scope[7]", 12),
        ("tokens.t.scope.x", 12),
        ("routes[1].upstream", 19),
        ("routes[1].name", 23),
        ("routes[1]", 22),
    ],
)
def test_o15_a_path_leads_to_a_line(path: str, line: int) -> None:
    """As far as there is something at it."""
    assert line_of(document.load(CONTENT.encode(), lambda: None).place, path) == line


def test_o15_a_fault_reads_like_a_compiler_s() -> None:
    """Editors and CI jump to it."""
    assert str(Fault("a.yaml", "routes[0].upstream", "x", 8)) == "a.yaml:8: routes[0].upstream: x"
    assert str(Fault("a.yaml", "", "x", 8)) == "a.yaml:8: x"
    assert str(Fault("environment", "LOG_LEVEL", "x")) == "environment: LOG_LEVEL: x"


def test_o15_a_variable_over_a_value_of_the_file_has_no_line(tmp_path: Path) -> None:
    """The line holds another value than the faulty one."""
    path = write(
        tmp_path / "config.yaml", "listen: 127.0.0.1:1\nroutes: [{name: r, upstream: http://u.test}]\n"
    )
    with pytest.raises(ConfigError) as raised:
        load(path, {"SIDECAR_LISTEN": "0.0.0.0:1"})
    assert [(fault.path, fault.line) for fault in raised.value.faults] == [("SIDECAR_LISTEN", 0)]
