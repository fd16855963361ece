"""Content of a secret's text: a client id and its secret, in JSON."""

from sidecar.core import foreign_text


def client_of(text: str, pointer: str = "") -> tuple[str, str]:
    """Return `client_id` and `client_secret`, or `clientId` and `clientSecret`, of a JSON object.

    `pointer` (RFC 6901) leads to the object where it is not the whole. Raises ValueError, which quotes nothing of
    the text.
    """
    whole = foreign_text.parse_object(text)
    if whole is None:
        raise ValueError("it is not a JSON object")
    client = _at(whole, pointer)
    if not isinstance(client, dict):
        raise ValueError(f"there is no JSON object at {pointer}")  # noqa: TRY004  the content is wrong, not a type
    return _member(client, "client_id", "clientId"), _member(client, "client_secret", "clientSecret")


def check_pointer(text: str) -> None:
    """Raise ValueError if this is no JSON pointer."""
    tokens = text.split("/")
    if tokens[0] or any("~" in token.replace("~0", "").replace("~1", "") for token in tokens):
        raise ValueError(
            "write a JSON pointer: /m2m/ledger, with ~1 for a slash and ~0 for a tilde (RFC 6901)"
        )


def _at(value: object, pointer: str) -> object:
    """Return the value at the pointer; None if there is none."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _member(members: dict[str, object], snake: str, camel: str) -> str:
    member = members.get(snake) or members.get(camel)
    if not isinstance(member, str):
        raise ValueError(f"{snake} (or {camel}) is not a string, or empty")  # noqa: TRY004  the secret's content
    try:
        return foreign_text.value(member)
    except ValueError as error:
        raise ValueError(f"{snake} (or {camel}) cannot be used: {error}") from None
