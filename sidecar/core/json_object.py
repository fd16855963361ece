"""JSON objects from outside."""

import json


def parse_object(text: str | bytes) -> dict[str, object] | None:
    """Return the members of a JSON object (RFC 8259); None for any other JSON, and for what is none."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):  # not UTF-8 is a ValueError, too deep is the other
        return None
    return members if isinstance(members, dict) else None
