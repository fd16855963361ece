"""`sidecar explain`."""

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sidecar.cli import flags
from sidecar.cli.exits import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from sidecar.diagnostics.explain import Explanation, Sent, TokenAsked

MEANING = "show what the proxy would do with a request; sends nothing"
EXAMPLE = """\
sidecar explain -c sidecar.yaml -H 'X-Tenant-Id: acme' \\
    GET http://127.0.0.1:9180/ledger/accounts"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for a request, as curl has them."""
    parser.add_argument("method", metavar="METHOD", help="method of the request, such as GET")
    parser.add_argument("url", metavar="URL", help="URL that the application requests, or only its path")
    parser.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="FIELD",
        help="header field, 'Name: value'; may be repeated",
    )
    flags.add_configuration(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Explain; return exit code 1 if the sidecar would refuse the request."""
    import asyncio
    import json
    from dataclasses import asdict

    from sidecar.config.load import load
    from sidecar.diagnostics.explain import explain
    from sidecar.diagnostics.explain_call import explain_call, is_call

    config = load(flags.configuration_file(arguments), flags.environ(arguments), attended=True)
    try:
        head = _head(arguments.method, arguments.url, arguments.header, config.listen)
    except ValueError as error:
        arguments.usage(str(error))
    told = explain_call if is_call(config, arguments.url) else explain
    explanation = asyncio.run(told(config, head))
    if arguments.json:
        print(json.dumps(asdict(explanation), indent=2))
    else:
        print(*_told(explanation), sep="\n")
    return EXIT_OK if explanation.answer is None else EXIT_FAILED


def _head(method: str, url: str, fields: Sequence[str], listen: str) -> bytes:
    """Return the head that the application would send. Raises ValueError if no head can be made."""
    import re
    from contextlib import suppress

    from sidecar.core.errors import RequestRefused
    from sidecar.proxy.target import split

    host = "localhost" if listen.startswith("unix:") else listen
    target = url
    if not url.startswith("/") and "://" in url.partition("?")[0]:
        if not re.match("http://[^/?#]", url, re.IGNORECASE):
            raise ValueError(
                "write the URL as http://host:port/path, or only its path: the sidecar has no TLS"
            )
        with suppress(RequestRefused):  # by the proxy's own parser; the proxy refuses the rest
            parts = split(url.encode("utf-8", "surrogateescape"))
            host, target = parts.authority.decode(), (parts.path + parts.query).decode()
    if not any(field.partition(":")[0].lower() == "host" for field in fields):
        fields = [f"Host: {host}", *fields]
    lines = [f"{method} {target} HTTP/1.1", *fields]
    if any(not line or set(line) & {"\r", "\n"} for line in lines):
        raise ValueError("a header field, the method and the URL are one line each")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "surrogateescape")


def _told(explanation: "Explanation") -> Iterator[str]:
    from sidecar.cli.terminal import columns, harmless

    rows = [("route", route.name, route.match, route.verdict) for route in explanation.routes]
    yield from columns(rows)
    if explanation.answer is not None:
        status, error = explanation.answer["status"], explanation.answer["error"]
        yield f"answer  {status} {error}: {harmless(str(explanation.answer['detail']))}"
    if explanation.token is not None:
        yield ""
        yield from _token(explanation.token)
    if explanation.sent is not None:
        yield ""
        yield from _sent(explanation.sent)
    if explanation.refusals:
        yield ""
        yield from columns([("answer", answer, what) for answer, what in explanation.refusals])


def _token(token: "TokenAsked") -> Iterator[str]:
    from sidecar.cli.terminal import columns, harmless

    rows = [
        ("token", "name", token.name),
        ("", "tenant", token.tenant),
        ("", "cache key", token.key),
        ("", "endpoint", token.endpoint),
        ("", "client", f"{token.client_auth}, credentials {token.credentials} (service {token.service})"),
        ("", "secret in", token.place),
        ("", "subject", token.subject),
        ("", "actor", token.actor),
        *(("", name, value) for name, value in token.form),
    ]
    yield from columns([(head, name, harmless(value)) for head, name, value in rows if value])


def _sent(sent: "Sent") -> Iterator[str]:
    from sidecar.cli.terminal import columns, harmless

    rows = [("upstream", sent.upstream, harmless(f"{sent.method} {sent.target}"))]
    rows += [("", "connections", sent.connections)] if sent.connections else []
    rows += [("", "protocol", sent.protocol)] if sent.protocol == "http2" else []
    rows += [("", harmless(name), what) for name, what in sent.fields]
    yield from columns(rows)
