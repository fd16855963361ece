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
    "name, match, upstream, protocol, token, strip_prefix, rewrite_location, on_401, refused_statuses, timeouts, tls, "
    "max_connections, isolate"
)

NEVER = "a secret is never written here; give its location: {file: /path} or {env: NAME}"
CREDENTIALS_KEYS = "client_id, client_secret, private_key, assertion_file, file, aws_secret, share, service"


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
        ["3: credentials.tokens: is a section of its own, not an entry: indent it less"],
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
        ["1: log: write a mapping of keys to values; write a colon and a blank after `level`"],
    ),
    "no colon after a key": (
        "log:\n  level info\n" + GOOD,
        ["1: log: write a mapping of keys to values; write a colon and a blank after `level`"],
    ),
    "no blank after a colon, in braces": (
        but("name: orders, ", "name:orders, "),
        ["6: routes[0].name: write a colon and a blank after `name`"],
    ),
    "no blank before a secret": (
        but("client_secret: {env: CLIENT_SECRET}", f"client_secret:{CANARY}"),
        ["2: credentials.app.client_secret: write a colon and a blank after `client_secret`"],
    ),
    "an equals sign before a secret": (
        but("client_secret: {env: CLIENT_SECRET}", f"secret={CANARY}"),
        [
            f"2: credentials.app.secret: unknown key; known here: {CREDENTIALS_KEYS}",
        ],
    ),
    "no blank, where a secret is": (
        but("{env: CLIENT_SECRET}", "env:CLIENT_SECRET"),
        [
            f"2: credentials.app.client_secret: {NEVER}; write a colon and a blank after `env`",
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
        ["2: credentials.app.client_secret.env: nothing is written here: write a value, or delete the key"],
    ),
    "a client id without a value": (
        but("client_id: me", "client_id: "),
        ["2: credentials.app.client_id: nothing is written here: write a value, or delete the key"],
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


LOG = "log:\n  level: info\n"
SYNTAX: dict[str, tuple[str, str]] = {
    "a tab": ("log:\n\tlevel: info\n", "2: a tab in the indentation: YAML requires spaces"),
    "tabs": (
        "log:\n  level: info\n\tformat: json\n\trequests: all\n",
        "3: a tab in the indentation (on 2 lines): YAML requires spaces",
    ),
    "too deep": (
        "log:\n  level: info\n    format: json\n",
        "3: indented deeper than line 2, which has a value already: indent both alike",
    ),
    "too shallow": (
        "log:\n    level: info\n  format: json\n",
        "3: an indentation of 2, where line 2 has 4 and line 1 0: indent entries alike",
    ),
    "a section with a blank before it": (
        GOOD.replace("routes:", " routes:"),
        "5: an indentation of 1, where line 4 has 2 and line 1 0: indent entries alike",
    ),
    "keys of an entry out of line": (
        "routes:\n  - name: a\n   upstream: https://a.test\n",
        "3: an indentation of 3, where line 2 has 2: indent entries alike",
    ),
    "a dash among keys": (
        "routes:\n  - name: a\n    upstream: https://a.test\n    - name: b\n",
        "4: a dash where a key is expected: indent all entries of a list alike",
    ),
    "no colon after a section": (
        "log\n  level: info\n",
        "1: a colon and a blank are missing after the key: write `key: value`",
    ),
    "no colon after a key": (
        "log:\n  format: json\n  level info\n",
        "3: a colon and a blank are missing after the key: write `key: value`",
    ),
    "an equals sign": (
        "listen=127.0.0.1:1\n" + LOG,
        "1: a colon and a blank are missing after the key: write `key: value`",
    ),
    "no blank after a colon": (
        "routes:\n  - name: a\n    upstream:https://a.test\n",
        "3: a blank is missing after the colon: write `key: value`",
    ),
    "no blank after the first colon": (
        "listen:127.0.0.1:1\n" + LOG,
        "1: a blank is missing after the colon: write `key: value`",
    ),
    "no blank after a dash": (
        "routes:\n  -name: a\n   upstream: https://a.test\n",
        "2: a blank is missing after the dash: write `- value`",
    ),
    "a colon in a value": ("listen: a: b\n", "1: a value with a colon and a blank in it: put it in quotes"),
    "a quote that is not closed": (
        f"listen: '{CANARY}\n" + LOG,
        "1: the quote that begins here is not closed: write its other end",
    ),
    "a quote that the next one closes": (
        'routes:\n  - name: "a\n    upstream: "https://a.test"\n',
        "2: the quote that begins here is not closed: write its other end",
    ),
    "text after a quote": (
        f"listen: 'a' {CANARY}\n",
        "1: text after a closing quote: put the whole value in quotes",
    ),
    "a bracket that is not closed": (
        "tokens:\n  t:\n    scope: [a, b\n    credentials: c\n",
        "3: `[` is not closed, or a comma is missing: write it before line 4",
    ),
    "a brace that is not closed at the end": (
        GOOD.replace("token: orders}", "token: orders"),
        "6: `{` is not closed: write `}`",
    ),
    "a bracket at the end": ("log: {}\nroutes: [", "2: `[` is not closed: write `]`"),
    "a brace too many": (
        GOOD.replace("token: orders}", "token: orders}}"),
        "6: `}` closes nothing: delete it, or open it before",
    ),
    "no comma": (
        GOOD.replace("name: orders, ", "name: orders "),
        "6: a comma is missing, or `{` is not closed: write it before column 27",
    ),
    "an at sign": ("log: {level: @info}\n", "1: a value begins with @: put it in quotes"),
    "a backtick": ("listen: `a`\n", "1: a value begins with `: put it in quotes"),
    "a percent sign": ("log:\n  requests: %1\n", "2: a value begins with %: put it in quotes"),
    "a percent sign at the start": (
        "%1\n" + LOG,
        "1: a line begins with %: put the value in quotes, or delete the line",
    ),
    "a tenant at the start": (
        "tokens:\n  t:\n    token_endpoint: {tenant}.auth.test\n    credentials: c\n",
        "3: text after `}`: put a value that begins with a bracket or brace in quotes",
    ),
    "a tenant at the start, in braces": (
        "tokens:\n  t: {token_endpoint: {tenant}/x, credentials: c}\n",
        "2: text after `}`: put a value that begins with a bracket or brace in quotes",
    ),
    "an IPv6 address": ("listen: [::1]:9180\n" + LOG, "1: a value begins with [: put it in quotes"),
    "an asterisk": (
        "routes:\n  - match:\n      host: *.a.test\n",
        "3: a value begins with *, and there is no anchor of that name: put it in quotes",
    ),
    "an alias of nothing": (
        f"listen: *{CANARY}\n",
        "1: listen: a value begins with *, and there is no anchor of that name: put it in quotes",
    ),
    "an exclamation mark": (
        f"listen: !{CANARY}\n",
        "1: listen: a value begins with !, which names a type: put it in quotes",
    ),
    "a comma after an entry": (
        GOOD.replace("token: orders}", "token: orders},"),
        "6: a comma after the last `}`: delete it",
    ),
    "a value that is missing": (
        "log: {level: , }\nroutes: [a, , b]\n",
        "2: a value begins with ,: put it in quotes, or write what is missing before it",
    ),
    "a bar": ("listen: |a\n", "1: a value begins with | or >: put it in quotes"),
    "a backslash": (
        'listen: "C:\\path"\n',
        "1: a backslash in double quotes begins an escape: use single quotes",
    ),
    "a comma at the start": (
        "listen: , a\n",
        "1: a value begins with ,: put it in quotes, or write what is missing before it",
    ),
    "a second document": (
        GOOD + "---\n" + GOOD,
        "7: a second document begins here: keep one, without --- between",
    ),
    "text after the end": (
        LOG + "...\n" + LOG,
        "4: text after the end of the document: delete the `...` or the bracket before it",
    ),
    "a list on the line of its key": (
        "routes: - name: a\n",
        "1: a list begins on the line of its key: begin a new line before the dash",
    ),
    "a template of Helm": (
        "{{- if .Values.a }}\n" + LOG,
        "1: a template that was not rendered: write the value in place of {{ … }} or {% … %}",
    ),
    "a value of Helm": (
        "listen: {{ .Values.listen }}\n",
        "1: listen: a key that is a mapping or a list: write text; a template such as {{ … }} has to be rendered first",
    ),
    "a merge conflict": (
        LOG + "<<<<<<< HEAD\nlisten: a\n=======\nlisten: b\n>>>>>>> b\n",
        "3: a merge conflict: keep one of the two versions, and delete the lines of <, = and >",
    ),
    "a control character": (
        LOG + "listen: a\x07\n",
        "3: the character U+0007, which YAML does not allow: delete it",
    ),
    "a month that there is not": (
        "listen: 2024-13-45\n",
        "1: listen: a number or a date that is impossible: put it in quotes",
    ),
}


def told(tmp_path: Path, content: str) -> list[str]:
    """All messages, without the file's name."""
    path = write(tmp_path / "config.yaml", content)
    with pytest.raises(ConfigError) as raised:
        load(path, SECRETS)
    assert CANARY not in str(raised.value)
    return str(raised.value).replace(f"{path}:", "").splitlines()


@pytest.mark.parametrize("name", SYNTAX)
def test_o15_a_mistake_of_syntax_is_told_in_words_about_the_text(tmp_path: Path, name: str) -> None:
    """Its line, and what to write there; nothing of the text is quoted."""
    content, expected = SYNTAX[name]
    assert told(tmp_path, content) == [expected]


@pytest.mark.parametrize("name", FORMS)
def test_o15_a_mistake_of_form_is_told_in_full(tmp_path: Path, name: str) -> None:
    """The messages are all there are, with the line; no secret is in them."""
    content, expected = FORMS[name]
    assert told(tmp_path, content) == expected
