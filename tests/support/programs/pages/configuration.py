"""The page of the configuration file, from the notes at the keys of the schema."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

from msgspec import NODEFAULT, Meta
from msgspec.structs import FieldInfo, fields

from sidecar.config.decode import Node, unwrap
from sidecar.config.restart import RESTART_KEYS
from sidecar.config.schema import File
from tests.support.programs.pages.markdown import code, codes, page, prose, sentence, table

INTRODUCTION = prose(
    """The file is YAML. `--config` names it, else `SIDECAR_CONFIG`, else `/etc/sidecar/config.yaml` is read.
    A flag overrides its [environment variable](environment.md), and a variable overrides the file. Unknown keys
    are errors.""",
    """Each section below lists its keys; a key is written at the path of its section. `<name>` is a name that you
    choose, `[]` an entry of a list.""",
    """`sidecar validate` reports all faults together, each with its line, path, cause and fix. `sidecar schema`
    prints a JSON Schema for editors. The case of words such as `info` or `local` does not matter.""",
    """The sidecar replaces no variables in the file: `${NAME}`, `$NAME` and `{{ … }}` are taken literally, with a
    warning. Files and variables are UTF-8 text. A byte order mark before a value and line breaks after it are
    dropped.""",
    """The sidecar checks the file's content every 2 s, and at once on SIGHUP. A key marked *needs a restart*
    cannot be changed that way: the whole new file is refused, and the log has `reload_failed`.""",
)
SEE = {
    "admin": "[Status API](status-api.md)",
    "busts.listen[].dialect": "[Dialects](dialects.md)",
    "log": "[Log events](log-events.md)",
    "redis": "[Redis keys](redis-keys.md)",
    "token_api": "[Token API](token-api.md)",
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
    "tenant_secret_file": ("path", ""),
    "tenant_document_file": ("path", ""),
    "private_key_file": ("path", ""),
    "key_file": ("path", ""),
    "bearer_file": ("path", ""),
    "variable": ("variable", "The name of an environment variable that is set"),
    "tenant_variable": ("variable", ""),
    "private_key_variable": ("variable", ""),
    "key_variable": ("variable", ""),
    "bearer_variable": ("variable", ""),
}
"""By the name of the check in the schema: the type, and how it is written where that is explained once."""


class Key(NamedTuple):
    """A key, which may hold a section of further keys."""

    home: str
    """Path of the section that it is in."""
    name: str
    inside: str
    """Path of the section that it holds, "" for none."""
    type: str
    default: str
    meaning: str

    @property
    def path(self) -> str:
        """Where it is in the file."""
        return f"{self.home}.{self.name}" if self.home else self.name


def text() -> str:
    """Return the page."""
    sections: dict[str, list[Key]] = {"": []}
    for key in all_keys():
        sections[key.home].append(key)
        if key.inside:
            sections[key.inside] = []
    holders = {key.inside: key for key in all_keys() if key.inside}
    parts = [part for path, keys in sections.items() for part in _section(path, holders.get(path), keys)]
    types = table(("Type", "Written as"), [(name, form) for name, form in FORMS.values() if form])
    return page("Configuration", "`sidecar/config`", INTRODUCTION, "## Types", types, *parts)


def all_keys() -> Iterator[Key]:
    """Return every key and every section, each section before what is in it."""
    for field in fields(File):
        yield from _keys(File, field, "")


def _section(path: str, holder: Key | None, keys: list[Key]) -> Iterator[str]:
    if holder is None:
        yield "## Top level"
    else:
        yield f"{'###' if holder.home else '##'} {code(path)}"
        yield prose(holder.meaning)
    yield table(("Key", "Type", "Default", "Meaning"), [(_shown(key), *key[3:]) for key in keys])


def _shown(key: Key) -> str:
    anchor = re.sub(r"[^a-z0-9_-]", "", key.inside)
    return f"[{code(key.name)}](#{anchor})" if key.inside else code(key.name)


def _keys(owner: type[Node], field: FieldInfo, home: str) -> Iterator[Key]:
    bare, metas, _ = unwrap(field.type)
    path = f"{home}.{field.name}" if home else field.name
    held, end = _entry(bare)
    described = next(meta.description for meta in metas if meta.description is not None)
    restart = "Needs a restart." if _by_restart(path) else ""
    see = f"See {SEE[path]}." if path in SEE else ""
    meaning = " ".join(filter(None, (sentence(described), _relations(owner, field.name), restart, see)))
    section = isinstance(held, type) and issubclass(held, Node)
    inside = f"{path}{end}" if section else ""
    yield Key(home, field.name, inside, _kind(bare, metas), _default(field, section=section), meaning)
    if section:
        for member in fields(held):
            yield from _keys(held, member, inside)


def _by_restart(path: str) -> bool:
    return any(re.match(rf"{re.escape(key)}(?![a-z_])", path) for key in RESTART_KEYS)


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
