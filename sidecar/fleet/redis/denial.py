"""Whether an error of Redis means that its user lacks a permission."""

import re

from sidecar.fleet.redis.library import NoPermissionError, ResponseError
from sidecar.fleet.redis.server_errors import words

_IN_A_SCRIPT = re.compile(
    r"The user executing the script can't|can't publish to the channel|ACL failure in script|\bNOPERM\b"
)
"""How Redis 6.2, Redis 7 and Valkey report a missing permission within EVAL; the code before it is ERR or NOPERM."""


def denial(error: Exception) -> str | None:
    """Return the server's text about the denial, without script and line; None for another error."""
    if not isinstance(error, ResponseError):
        return None
    text = str(error)
    if not isinstance(error, NoPermissionError) and not _IN_A_SCRIPT.search(text):
        return None
    return words(text)
