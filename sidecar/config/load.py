"""YAML and environment → one frozen Config, or one ConfigError that lists every fault.

`yaml_file` and `environment` return the tree as written, and `examine` compares it with `schema`. `rules` has the
further checks. Each section's module has its keys and the function that makes settings of them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from sidecar.config import environment, rules, schema, yaml_file
from sidecar.config.decode import MOST_FAULTS, Found, examine
from sidecar.config.schema import File, json_schema
from sidecar.config.settings import Config
from sidecar.config.yaml_text.places import Faulty, Place, line_of
from sidecar.core.errors import ConfigError, Fault
from sidecar.system import files

__all__ = ["Config", "json_schema", "load", "sources"]


def load(
    path: str | None,
    environ: Mapping[str, str],
    breathe: Callable[[], None] = lambda: None,
    *,
    attended: bool = False,
    secrets: bool = True,
) -> Config:
    """Read the file at `path`, else $SIDECAR_CONFIG, else /etc/sidecar/config.yaml, and the environment.

    The environment overrides the file. Without a file it must define one route. Raises ConfigError with everything that
    is wrong, up to MOST_FAULTS. `breathe` is called every millisecond or so, so that a thread can pause. With
    `attended` the file may be a pipe or `-`. Without `secrets` no file or variable that the file names is read.
    """
    environ = environment.open_redis_url(environment.trimmed(environ))
    place = yaml_file.place(path, environ)
    source = yaml_file.name_of(place) if place else environment.SOURCE
    read = files.text if secrets else environment.unread
    where: Place = 0
    if place is None:
        tree, faults = environment.one_route(environ, read)
    else:
        written = yaml_file.read(place, breathe, attended=attended)
        tree, where = written.tree, written.place
        faults = written.faults + environment.beside(place, environ)
    if tree is None:
        raise ConfigError(tuple(faults), environment.ignored(environ, {}))
    names = environment.overlay(tree, environ) | ({} if place else environment.ONE_ROUTE)
    for part in (environment.operators, environment.fleet):
        also, wrong = part(tree, environ)
        names |= also
        faults += wrong
    values = environ if secrets else environment.Unread()
    checks = rules.checks(values, read)
    examined = examine(File, tree, checks, rules.doubt(values, checks), breathe)
    file, found = examined.root, examined.found
    if file is not None:
        unsound = Faulty([*(fault.path for fault in faults), *(at for at, _ in found), *examined.unsure])
        for fault in islice(rules.cross_checks(file, unsound, values if secrets else None), MOST_FAULTS):
            breathe()
            found.append(fault)
    blame = partial(environment.blame, names=names, environ=environ)
    faults += map(blame, _lined(source, where, found))
    ignored = environment.ignored(environ, tree)
    doubtful = tuple(map(blame, _lined(source, where, examined.doubtful)))
    if file is None or faults:
        raise ConfigError(_first(dict.fromkeys(sorted(faults, key=_line)), source), ignored + doubtful)
    unused = tuple(_lined(source, where, islice(rules.unused(file), MOST_FAULTS)))
    config = schema.config(file, values, breathe, read)
    return replace(config, ignored=ignored, doubtful=doubtful, unused=unused)


def _lined(source: str, where: Place, found: Iterable[Found]) -> Iterator[Fault]:
    return (Fault(source, at, reason, line_of(where, at)) for at, reason in found)


def _line(fault: Fault) -> int:
    return fault.line


def _first(faults: Collection[Fault], source: str) -> tuple[Fault, ...]:
    more = len(faults) >= MOST_FAULTS
    rest = (Fault(source, "", "perhaps more is wrong: correct these first"),) if more else ()
    return (*islice(faults, MOST_FAULTS), *rest)


def sources(path: str | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files whose content decides the configuration, valid or not.

    Files of credentials and certificates are not among them, because they are read again at each use.
    """
    environ = environment.trimmed(environ)
    place = yaml_file.place(path, environ)
    if place is not None:
        return (place,)
    client_id = environ.get("SIDECAR_CLIENT_ID_FILE")
    return (Path(client_id),) if client_id else ()
