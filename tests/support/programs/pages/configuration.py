"""The page of the configuration file, from the notes at the keys of the schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

from msgspec import NODEFAULT, Meta
from msgspec.structs import FieldInfo, fields

from sidecar.config.decode import Node, unwrap
from sidecar.config.restart import RESTART_KEYS
from sidecar.config.schema import File
from tests.support.programs.pages.markdown import code, codes, page, prose, sentence, table

TOP = "Top level"
INTRODUCTION = prose(
    """The file is YAML. `--config` names it, else `SIDECAR_CONFIG`, else `/etc/sidecar/config.yaml` is read.
    A flag overrides its [environment variable](environment.md), and a variable overrides the file. Unknown keys
    are errors.""",
    """`sidecar validate` reports all faults together, each with its line, path, cause and fix. `sidecar schema`
    prints a JSON Schema for editors. The case of words such as `info` or `local` does not matter.""",
    """The sidecar replaces no variables in the file: `${NAME}`, `$NAME` and `{{ … }}` are taken literally, with a
    warning. Files and variables are UTF-8 text. A byte order mark before a value and line breaks after it are
    dropped.""",
    """The sidecar checks the file's content every 2 s, and at once on SIGHUP. A key marked *needs a restart*
    cannot be changed that way: the whole new file is refused, and the log has `reload_failed`.""",
)
SEE = {
    "admin": "status-api.md",
    "busts.listen[].dialect": "dialects.md",
    "log": "log-events.md",
    "redis": "redis-keys.md",
}
FORMS: Mapping[str, tuple[str, str]] = {
    "duration": ("duration", "A whole number and a unit, `ms`, `s`, `m` or `h`: `500ms`, `30s`"),
    "span": ("duration > 0", "The same, but not zero"),
    "share": ("share", "`all`, `errors`, or a percentage such as `1%` or `0.1%`"),
    "listen": ("address", "`host:port` or `unix:/path`; IPv6 in brackets: `[::1]:9181`"),
    "listen_loopback": ("address", ""),
    "upstream": ("URL", "See the meaning"),
    "token_endpoint": ("https URL", "`https`, or `http` to a loopback address"),
    "issuer": ("https URL", ""),
    "secret_endpoint": ("https URL", ""),
    "redis": ("Redis URL", "See `redis.url`"),
    "resource": ("URI", "An absolute URI without a fragment"),
    "parameter": ("name", ""),
    "name": (
        "name",
        "At most 64 letters, digits, dots, dashes and underscores; begins with a letter or digit",
    ),
    "tenant": (
        "tenant id",
        "The same, without two dots in a row",
    ),
    "token_type": ("token type", "A URI, or a short name that the meaning lists"),
    "prefix": ("path prefix", "Begins with `/`"),
    "host": ("host name", "Without a port"),
    "scope": ("scope", "One OAuth scope, without spaces, quotes and backslashes"),
    "text": ("text", "Visible ASCII characters"),
    "key_prefix": ("text", ""),
    "stage": ("text", ""),
    "secret_id": ("text", ""),
    "region": ("text", ""),
    "pointer": ("JSON pointer", "Empty, or begins with `/` (RFC 6901)"),
    "field_name": ("header field name", "As in HTTP; the case does not matter"),
    "file": ("path", "A regular file that exists when the configuration is read"),
    "secret_file": ("path", ""),
    "document_file": ("path", ""),
    "private_key_file": ("path", ""),
    "key_file": ("path", ""),
    "bearer_file": ("path", ""),
    "variable": ("variable", "The name of an environment variable that is set"),
    "private_key_variable": ("variable", ""),
    "key_variable": ("variable", ""),
    "bearer_variable": ("variable", ""),
}
"""By the name of the check in the schema: the type, and how it is written where that is explained once."""


class Key(NamedTuple):
    """A key, or a section."""

    path: str
    type: str
    default: str
    meaning: str


def text() -> str:
    """Return the page."""
    sections: dict[str, list[Key]] = {TOP: []}
    for field in fields(File):
        rows = list(_rows(File, field, ""))
        if len(rows) == 1:
            sections[TOP] += rows
        else:
            sections[field.name] = rows
    parts = [part for name, rows in sections.items() for part in (f"## {_title(name)}", _table(rows))]
    types = table(("Type", "Written as"), [(name, form) for name, form in FORMS.values() if form])
    return page("Configuration", "`sidecar/config`", INTRODUCTION, "## Types", types, *parts)


def all_keys() -> Iterator[Key]:
    """Return every key and every section."""
    for field in fields(File):
        yield from _rows(File, field, "")


def _title(section: str) -> str:
    return section if section == TOP else code(section)


def _table(rows: list[Key]) -> str:
    return table(("Key", "Type", "Default", "Meaning"), [(code(row.path), *row[1:]) for row in rows])


def _rows(owner: type[Node], field: FieldInfo, before: str) -> Iterator[Key]:
    bare, metas, _ = unwrap(field.type)
    path = f"{before}{field.name}"
    inside, end = _entry(bare)
    described = next(meta.description for meta in metas if meta.description is not None)
    restart = "Needs a restart." if path.startswith(RESTART_KEYS) else ""
    see = f"See [{SEE[path].removesuffix('.md')}]({SEE[path]})." if path in SEE else ""
    meaning = " ".join(filter(None, (sentence(described), _relations(owner, field.name), restart, see)))
    section = isinstance(inside, type) and issubclass(inside, Node)
    yield Key(path + (end if section else ""), _kind(bare, metas), _default(field, section=section), meaning)
    if section:
        for member in fields(inside):
            yield from _rows(inside, member, f"{path}{end}.")


def _entry(bare: Any) -> tuple[Any, str]:
    """Return what is inside a list or a mapping of entries, and how a path goes on into it."""
    origin = get_origin(bare)
    if origin is dict:
        return unwrap(get_args(bare)[1])[0], ".<name>"
    if origin is tuple:
        return unwrap(get_args(bare)[0])[0], "[]"
    return bare, ""


def _relations(owner: type[Node], name: str) -> str:
    """Return which other keys the key excludes or requires."""
    others = [other for other in owner.one_of if other != name]
    if name in owner.one_of:
        return f"Set exactly one of {', '.join(('this', *map(code, others[:-1])))} and {code(others[-1])}."
    return f"Requires {code(owner.needs[name])}." if name in owner.needs else ""


def _kind(bare: Any, metas: list[Meta]) -> str:
    origin = get_origin(bare)
    if origin is Literal:
        return codes(map(str, get_args(bare)))
    if origin is tuple:
        return f"list of {_inner(get_args(bare)[0], many=True)}"
    if origin is dict:
        return f"mapping of names to {_inner(get_args(bare)[1], many=False)}"
    if bare in {bool, int, str}:
        return _scalar(bare, metas)
    assert issubclass(bare, Node)
    return "section"


def _scalar(bare: type, metas: list[Meta]) -> str:
    if bare is bool:
        return "boolean"
    if bare is int:
        bounds = [(meta.ge, meta.le) for meta in metas if meta.ge is not None]
        return "integer" + (f", {bounds[0][0]} to {bounds[0][1]}" if bounds else "")
    checks = [meta.extra["check"] for meta in metas if meta.extra is not None and "check" in meta.extra]
    return FORMS[checks[0]][0] if checks else "text"


def _inner(kind: Any, *, many: bool) -> str:
    bare, metas, _ = unwrap(kind)
    noun, *more = _kind(bare, metas).split(", ")
    plural = (many or noun == "section") and not noun.startswith("`")
    return ", ".join((f"{noun}s" if plural else noun, *more))


def _default(field: FieldInfo, *, section: bool) -> str:
    if field.required:
        return "required"
    if section:
        return ""
    default = field.default_factory() if callable(field.default_factory) else field.default
    assert default is not NODEFAULT
    if default is None:
        return "none"
    return code(default if default and isinstance(default, str) else json.dumps(default))
