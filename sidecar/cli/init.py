"""`sidecar init`."""

import argparse
from collections.abc import Iterator

from sidecar.cli.exits import EXIT_FAILED, EXIT_OK

MEANING = "write a starter configuration with comments"
EXAMPLE = "sidecar init --upstream https://api.example.com --output sidecar.yaml"

_RULES = {"upstream": "upstream", "token_endpoint": "token_endpoint", "client_id": "text"}
"""Each flag's rule in the configuration."""

_HEAD = """\
# Configuration of the credential sidecar.
# Check it: sidecar validate FILE. All keys: docs/reference/configuration.md.
# Lines that begin with # and no blank are optional settings.

# Address for the application. Only this pod can reach it.
listen: 127.0.0.1:9180

admin:
  # Address for probes, metrics, status and the live page.
  listen: 0.0.0.0:9181
"""
_ADMIN_TOKEN = """\
  # Bearer token for `sidecar bust`, 16 or more characters.
  token: {file: /var/run/secrets/sidecar/admin-token}
"""
_FLEET = """\

# The pods of a fleet share their tokens through Redis. When one pod sees a
# revoked token, all pods drop it.
redis:
  url: "rediss://redis.example.com:6379/0"
  #username: sidecar
  #password: {file: /var/run/secrets/redis/password}
  # Tokens in Redis are encrypted with the first key. To create one:
  # sidecar keygen > fleet.key
  encryption_keys:
    - {id: k1, key: {file: /var/run/secrets/sidecar/fleet.key}}

# Tenants: each has tokens of its own.
#tenant: {header: X-Tenant-Id, default: acme}
"""
_CREDENTIALS = """\

# Clients at the authorization server. A secret is in a file or an environment
# variable, never here. AWS, keys, certificates: docs/how-to/authenticate.md.
credentials:
  example-client:
    client_id: %(client_id)s
    # Or {env: NAME}.
    client_secret: {file: /var/run/secrets/example/client-secret}

# Token requests.
tokens:
  example:
    token_endpoint: %(token_endpoint)s
    credentials: example-client
    %(scope)s
    #audience: "https://api.example.com"

# A route with a host has priority, then the one with the longest prefix.
routes:
  - name: example
    upstream: %(upstream)s
    token: example
    #match: {prefix: /example}
    #strip_prefix: true
    # Which 401 of the upstream renews the token: lenient, strict or ignore.
    #on_401: lenient
    #timeouts: {connect: 5s, idle: 60s}
"""
_LOG = """\

log:
  # json for machines, console for people.
  format: json
  #level: debug
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the file's content, and for its place."""
    parser.add_argument("--fleet", action="store_true", help="for pods that share their tokens through Redis")
    parser.add_argument(
        "--upstream",
        metavar="URL",
        default="https://api.example.com",
        help="URL that requests are sent to; default: %(default)s",
    )
    parser.add_argument(
        "--token-endpoint",
        metavar="URL",
        default="https://auth.example.com/oauth2/token",
        help="URL of the authorization server's token endpoint; default: %(default)s",
    )
    parser.add_argument(
        "--client-id", metavar="ID", default="my-client-id", help="client id there; default: %(default)s"
    )
    parser.add_argument(
        "--scope", metavar="SCOPE", action="append", default=[], help="scope to request; may be repeated"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="new file to write, never an existing one; default: standard output",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the file, or write it."""
    _check(arguments)
    text = "".join(_parts(arguments))
    if arguments.output in {None, "-"}:
        print(text, end="")
        return EXIT_OK
    return _write(arguments.output, text)


def _check(arguments: argparse.Namespace) -> None:
    from sidecar.config.rules import checks

    rules = checks({})
    arguments.scope = [scope for given in arguments.scope for scope in given.split()]
    given = [(flag, rule, getattr(arguments, flag)) for flag, rule in _RULES.items()]
    for flag, rule, value in (*given, *(("scope", "scope", scope) for scope in arguments.scope)):
        try:
            rules[rule](value)
        except ValueError as error:
            arguments.usage(f"argument --{flag.replace('_', '-')}: {error}")


def _parts(arguments: argparse.Namespace) -> Iterator[str]:
    """Return the values as JSON, which is YAML too."""
    import json

    yield _HEAD
    if arguments.fleet:
        yield _ADMIN_TOKEN + _FLEET
    scope = f"scope: {json.dumps(arguments.scope)}" if arguments.scope else "#scope: [read, write]"
    yield _CREDENTIALS % {
        **{flag: json.dumps(getattr(arguments, flag)) for flag in _RULES},
        "scope": scope,
    }
    yield _LOG


def _write(name: str, text: str) -> int:
    import sys
    from pathlib import Path

    from sidecar.cli.terminal import harmless

    try:
        with Path(name).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(harmless(f"sidecar: cannot write {name}: it exists; name another file"), file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        reason = f"sidecar: cannot write {name}: {error.strerror}; check the path and its permissions"
        print(harmless(reason), file=sys.stderr)
        return EXIT_FAILED
    print(harmless(f"wrote {name}; next: sidecar validate --no-secrets {name}"))
    return EXIT_OK
