"""Whether an error of Redis means that its user lacks a permission."""

import re

from sidecar.fleet.redis.library import NoPermissionError, ResponseError

MAX_WORDS = 200
"""Characters of the server's words that are shown."""
_IN_A_SCRIPT = re.compile(
    r"The user executing the script can't|can't publish to the channel|ACL failure in script|\bNOPERM\b"
)
"""How Redis 6.2, Redis 7 and Valkey report within EVAL what a user may not do; the code before it is ERR or NOPERM."""
_PLACE = re.compile(
    r"^(?:ERR )?Error running script \(call to \w+\): |@user_script: ?\d+: |,? ?script: \w+, on @user_script:\d+\."
    r"|\b(?:ERR|NOPERM) "
)
"""Where in which script, which says nothing to an operator."""


def denial(error: Exception) -> str | None:
    """Return the server's words for what its user may not do, without script and line; None for another error."""
    if not isinstance(error, ResponseError):
        return None
    text = str(error)
    if not isinstance(error, NoPermissionError) and not _IN_A_SCRIPT.search(text):
        return None
    words = " ".join(_PLACE.sub("", text).split())
    return "".join(character for character in words if character.isprintable())[:MAX_WORDS]
