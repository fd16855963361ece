"""YAML and environment → one frozen Config, or one ConfigError that lists every fault.

A package for its length only: from outside it is one module. `yaml_file` and `environment` give the tree as
written, `examine` holds it against `schema`, `rules` say what else must be right, `meaning` makes the Config.
"""

from collections.abc import Mapping
from pathlib import Path

from sidecar.config import build, environment, rules, yaml_file
from sidecar.config.decode import examine
from sidecar.config.schema import File, json_schema
from sidecar.config.settings import Config
from sidecar.core.errors import ConfigError, Fault

__all__ = ["Config", "json_schema", "load", "sources"]


def load(path: str | None, environ: Mapping[str, str]) -> Config:
    """Read the file at `path`, else $SIDECAR_CONFIG, else /etc/sidecar/config.yaml, and the environment.

    The environment goes before the file. Without any file it alone must make one route. Raises ConfigError
    with everything that is wrong.
    """
    environ = environment.open_redis_url(environ)
    place = yaml_file.place(path, environ)
    source = str(place or environment.SOURCE)
    if place is None:
        tree, faults = environment.one_route(environ)
    else:
        tree, faults = yaml_file.read(place)
        faults += environment.beside(place, environ)
    if tree is None:
        raise ConfigError(tuple(faults))
    names = environment.overlay(tree, environ) | ({} if place else environment.ONE_ROUTE)
    for part in (environment.operators, environment.fleet):
        written, wrong = part(tree, environ)
        names |= written
        faults += wrong
    file, found = examine(File, tree, rules.checks(environ))
    found += rules.cross_checks(file, found)
    faults += [environment.blame(Fault(source, *fault), names, environ) for fault in found]
    if faults:
        raise ConfigError(tuple(dict.fromkeys(faults)))
    return build.config(file, environ)


def sources(path: str | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files whose content decides the configuration, good or bad.

    Files of credentials and certificates are not among them: whoever uses those reads them again.
    """
    place = yaml_file.place(path, environ)
    if place is not None:
        return (place,)
    client_id = environ.get("SIDECAR_CLIENT_ID_FILE")
    return (Path(client_id),) if client_id else ()
