"""`sidecar validate`."""

import argparse
import sys
from typing import TYPE_CHECKING

from sidecar.cli import flags
from sidecar.cli.exits import EXIT_OK

if TYPE_CHECKING:
    from sidecar.config.settings import TokenApiSettings
    from sidecar.core.tenants import TenantRule
    from sidecar.fleet.settings import RedisSettings

MEANING = "check the configuration and print a summary; makes no connection"
EXAMPLE = "sidecar validate sidecar.yaml\ncat sidecar.yaml | sidecar validate --no-secrets -"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the configuration."""
    flags.add_configuration_file(parser)
    parser.add_argument(
        "--no-secrets",
        action="store_true",
        help="read no secret, key or certificate; the files and variables that hold them need not exist",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print a summary of a valid configuration."""
    from sidecar.config.load import load

    config = load(
        flags.configuration_file(arguments),
        flags.environ(arguments),
        attended=True,
        secrets=not arguments.no_secrets,
    )
    for warning in config.warnings:
        print(flags.warned(warning).strip(), file=sys.stderr)
    print(f"ok: listen {config.listen}, admin {config.admin.listen}, cache {config.cache.mode}")
    if arguments.no_secrets:
        print("secrets, keys and certificates: not read")
    if config.redis is not None:
        print(_redis(config.redis))
    if config.tenants is not None:
        print(_tenants(config.tenants))
    for route in config.routes:
        origin = route.origin
        upstream = f"{origin.scheme}://{origin.authority.decode()}{route.base_path}"
        token = f"token {route.token.name}" if route.token else "no token"
        print(f"route {route.name}: {route.host}{route.prefix} -> {upstream}, {token}")
    if config.token_api.listen:
        print(_token_api(config.token_api))
    return EXIT_OK


def _token_api(settings: "TokenApiSettings") -> str:
    proxies = ", header mode" if settings.authorize else ""
    return f"token API {settings.listen}: hands out {', '.join(settings.tokens)}{proxies}"


def _tenants(rule: "TenantRule") -> str:
    allowed = f"{len(rule.allow)} allowed" if rule.allow else "any tenant"
    if rule.claim:
        place = f"the claim {rule.claim} of the caller's verified token"
    else:
        place = "the path, /t/{tenant}/" if rule.path else f"the field {rule.header.decode()}"
    return f"tenants: {allowed}, named by {place}, {f'else {rule.default}' if rule.default else 'no default'}"


def _redis(settings: "RedisSettings") -> str:
    hosts = ", ".join(f"{host}:{port}" for host, port in settings.hosts)
    keys = ", ".join(key.id for key in settings.encryption_keys)
    sealed = (
        f"encrypted with {keys}"
        if keys
        else "NOT ENCRYPTED: every client of Redis can read tokens and bust them"
    )
    return f"redis {hosts or settings.unix_path}, {sealed}"
