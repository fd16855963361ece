"""Mistakes that people make in a configuration, and the whole message for each: place, cause and fix."""

from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigError
from tests.support.config_files import CANARY, SECRETS, write

CREDENTIALS = "credentials:\n  app: {client_id: me, client_secret: {env: CLIENT_SECRET}}\n"
TOKENS = "tokens:\n  orders: {token_endpoint: https://auth.test/token, credentials: app}\n"
ROUTES = "routes:\n  - {name: orders, upstream: https://orders.test, token: orders}\n"
GOOD = CREDENTIALS + TOKENS + ROUTES
ROUTE_KEYS = (
    "name, match, upstream, token, strip_prefix, rewrite_location, on_401, refused_statuses, timeouts, tls, "
    "max_connections, isolate"
)

NEVER = "a secret is never written here: say where it is, {file: /path} or {env: NAME}"


def but(old: str, new: str) -> str:
    """The good file with one text for another."""
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


FORMS: dict[str, tuple[str, list[str]]] = {
    "a section's name in the singular": (
        but("tokens:", "token:"),
        ["3: token: unknown key; did you mean tokens?"],
    ),
    "another section's name": (
        but("credentials:\n", "credential:\n"),
        ["1: credential: unknown key; did you mean credentials?"],
    ),
    "a misspelt key": (
        but("upstream", "upsteam"),
        ["6: routes[0].upsteam: unknown key; did you mean upstream?"],
    ),
    "camel case": (
        but("token_endpoint", "tokenEndpoint"),
        ["4: tokens.orders.tokenEndpoint: unknown key; did you mean token_endpoint?"],
    ),
    "a dash for an underscore": (
        but("client_id", "client-id"),
        ["2: credentials.app.client-id: unknown key; did you mean client_id?"],
    ),
    "a key of another product": (
        but("upstream", "url"),
        [f"6: routes[0].url: unknown key; known here: {ROUTE_KEYS}", "6: routes[0].upstream: missing"],
    ),
    "a misspelt name": (
        but("token: orders", "token: orderss"),
        ["6: routes[0].token: there is no such entry; did you mean orders?"],
    ),
    "a name that nothing resembles": (
        but("credentials: app", f"credentials: {CANARY}"),
        ["4: tokens.orders.credentials: there is no such entry; there is: app"],
    ),
    "a key one level too high": (
        but("name: orders", "name: orders, prefix: /orders"),
        ["6: routes[0].prefix: unknown key; it belongs in match"],
    ),
    "a key of an entry at the top": (
        GOOD + "upstream: https://orders.test\n",
        ["7: upstream: unknown key; it belongs in an entry of routes"],
    ),
    "a key of the top in a section": (
        "log:\n  level: info\n  drain_timeout: 3s\n" + GOOD,
        ["3: log.drain_timeout: unknown key; it belongs at the top level: check the indentation"],
    ),
    "a section indented too far": (
        CREDENTIALS + "  tokens:\n    orders: {}\n" + ROUTES,
        ["3: credentials.tokens: is no entry, but a section of its own: indent it less"],
    ),
    "entries that are not indented": (
        but("  orders:", "orders:"),
        [
            "3: tokens: write a mapping of names to entries; nothing is written here, or it is not indented",
            "4: orders: unknown key; if it belongs in tokens, which is empty, indent it",
        ],
    ),
    "a list for a mapping": (
        "credentials:\n  - name: app\n    client_id: me\n" + TOKENS + ROUTES,
        ["1: credentials: write a mapping of names to entries, not a list: remove the dashes"],
    ),
    "a mapping for a list": (
        CREDENTIALS + TOKENS + "routes:\n  orders: {upstream: https://orders.test}\n",
        ["5: routes: write a list, not a mapping: begin each entry with a dash"],
    ),
    "a text for a list": (
        but("credentials: app", "credentials: app, scope: a b"),
        ["4: tokens.orders.scope: write a list, such as [a, b]"],
    ),
    "a list at the top": (
        "- " + GOOD.replace("\n", "\n  "),
        ["1: write a mapping with at least routes: in it"],
    ),
    "no blank after a colon": (
        "log:\n  level:debug\n" + GOOD,
        ["1: log: write a mapping of keys to values; put a blank after `level:`"],
    ),
    "no blank, where a secret is": (
        but("{env: CLIENT_SECRET}", "env:CLIENT_SECRET"),
        [
            f"2: credentials.app.client_secret: {NEVER}; put a blank after `env:`",
        ],
    ),
    "a secret": (
        but("{env: CLIENT_SECRET}", CANARY),
        [
            f"2: credentials.app.client_secret: {NEVER}",
        ],
    ),
    "a secret in braces": (
        but("{env: CLIENT_SECRET}", f"{{{CANARY}}}"),
        ["2: credentials.app.client_secret: unknown key; known here: file, env"],
    ),
    "a key without a value": (
        but("{env: CLIENT_SECRET}", "{env: }"),
        ["2: credentials.app.client_secret.env: nothing is written here"],
    ),
    "a client id without a value": (
        but("client_id: me", "client_id: "),
        ["2: credentials.app.client_id: nothing is written here"],
    ),
    "a template that is a mapping": (
        but("credentials: app", "credentials: app, audience: {tenant}"),
        [
            "4: tokens.orders.audience: must be text, not a mapping: put it in quotes if it begins with a brace"
        ],
    ),
    "a number for a name": (
        GOOD.replace("orders: {", "1: {").replace("token: orders", "token: '1'"),
        ["4: tokens.1: must be text: put it in quotes"],
    ),
    "a word for a number": (
        but("token: orders", "token: orders, max_connections: many"),
        ["6: routes[0].max_connections: write a whole number from 1 to 65,535"],
    ),
    "a text for a truth value": (
        but("token: orders", "token: orders, strip_prefix: 'on'"),
        ["6: routes[0].strip_prefix: write true or false"],
    ),
    "a key twice": (
        but("token: orders", "token: orders, name: other"),
        ["6: routes[0].name: given twice, first on line 6: keep one"],
    ),
    "a section twice": (
        GOOD + "tokens: {}\n",
        ["7: tokens: given twice, first on line 3: keep one"],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_o15_a_mistake_of_form_is_told_in_full(tmp_path: Path, name: str) -> None:
    """The messages are all there are, with the line; no secret is in them."""
    content, expected = FORMS[name]
    path = write(tmp_path / "config.yaml", content)
    with pytest.raises(ConfigError) as raised:
        load(path, SECRETS)
    assert str(raised.value).replace(f"{path}:", "").splitlines() == expected
    assert CANARY not in str(raised.value)
