"""The fields of a JSON document, by their paths."""

from collections.abc import Iterator, Mapping


def names(value: object, path: str = "") -> Iterator[str]:
    """Yield every field of a JSON document by its path, as `routes[].name`."""
    if isinstance(value, Mapping) and not path.endswith((".fields", ".errors_by")):
        for name, member in value.items():
            yield from names(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield from names(value[0], f"{path}[]")
    else:
        yield path
