"""The section `routes`."""

from pathlib import Path

from tests.support.config_files import CANARY, bad_values, check_told


@bad_values(
    ("routes", [], "routes", "at least one"),
    ("routes", None, "routes", "missing"),
    ("routes", {}, "routes", "write a list"),
    ("routes", ["x"], "routes[0]", "write a mapping"),
    ("routes__0__name", None, "routes[0].name", "missing"),
    ("routes__0__name", "a b", "routes[0].name", "letters, digits"),
    ("routes__0__token", "zz", "routes[0].token", "there is no such entry; there is: t"),
    ("routes__0__match__prefix", "r", "routes[0].match.prefix", "start the prefix with a slash"),
    ("routes__0__match__prefix", "/r/", "routes[0].match.prefix", "whole segments"),
    ("routes__0__match__prefix", "/a/../b", "routes[0].match.prefix", "dot segment"),
    ("routes__0__match__prefix", "/r?x", "routes[0].match.prefix", "percent-encoded"),
    ("routes__0__match__host", "r:80", "routes[0].match.host", "without scheme and port"),
    ("admin__hosts", ["a.svc", "a.svc:80"], "admin.hosts[1]", "without scheme and port"),
    ("admin__hosts", ["http://a.svc"], "admin.hosts[0]", "without scheme and port"),
    ("admin__hosts", ["*"], "admin.hosts[0]", "without scheme and port"),
    ("admin__hosts", "a.svc", "admin.hosts", "write a list"),
    ("routes__0__match__method", "GET", "routes[0].match.method", "unknown key"),
    ("routes__0__upstream", None, "routes[0].upstream", "missing"),
    ("routes__0__upstream", "ftp://r", "routes[0].upstream", "write http:// or https://"),
    ("routes__0__upstream", "https://", "routes[0].upstream", "write http:// or https://"),
    ("routes__0__upstream", "https://r:x", "routes[0].upstream", "malformed"),
    ("routes__0__upstream", "https://r:0", "routes[0].upstream", "a port"),
    ("routes__0__upstream", "https://r:70000", "routes[0].upstream", "malformed"),
    ("routes__0__upstream", "https://[::1", "routes[0].upstream", "malformed"),
    ("routes__0__upstream", "https://-r-.x", "routes[0].upstream", "host is malformed"),
    ("routes__0__upstream", "https://r/?a", "routes[0].upstream", "no query"),
    ("routes__0__upstream", "https://r?", "routes[0].upstream", "no query"),
    ("routes__0__upstream", "https://r/#a", "routes[0].upstream", "fragment"),
    ("routes__0__upstream", f"https://{CANARY}@r/", "routes[0].upstream", "user name and password"),
    ("routes__0__upstream", "https://r/%2e%2E/", "routes[0].upstream", "dot segment"),
    ("routes__0__upstream", "https://r/a b", "routes[0].upstream", "visible ASCII"),
    ("routes__0__upstream", "https://bücher.example", "routes[0].upstream", "visible ASCII"),
    ("routes__0__on_401", "maybe", "routes[0].on_401", "lenient, strict, ignore"),
    ("routes__0__refused_statuses", [200], "routes[0].refused_statuses[0]", "from 400 to 499"),
    ("routes__0__refused_statuses", [500], "routes[0].refused_statuses[0]", "from 400 to 499"),
    ("routes__0__refused_statuses", [], "routes[0].refused_statuses", "at least one"),
    ("routes__0__timeouts", {"idle": "soon"}, "routes[0].timeouts.idle", "not a duration"),
    ("routes__0__tls", {"key_file": __file__}, "routes[0].tls.key_file", "beside certificate_file"),
    ("routes__0__tls", {"ca_file": "/nope"}, "routes[0].tls.ca_file", "cannot be read"),
    ("routes__0__strip_prefix", "yes", "routes[0].strip_prefix", "write true or false"),
    ("routes__0__max_connections", 0, "routes[0].max_connections", "from 1 to 65,535"),
)
def test_b85_a_bad_value_is_told_with_file_path_and_reason(
    tmp_path: Path, at: str, value: object, path: str, reason: str
) -> None:
    """Each kind of bad value is a fault at its own path that says what to do, without its secret."""
    check_told(tmp_path, at, value, path, reason)
