"""Why a Redis operation failed, for operators: the server's text, or what happened to the connection."""

from collections.abc import Iterator

from sidecar.fleet.redis.library import (
    Disconnected,
    InvalidResponse,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimedOut,
)
from sidecar.fleet.redis.server_errors import code_of, words
from sidecar.system import causes, client_tls, tls_faults
from sidecar.system.causes import MAX_CAUSES, NO_ANSWER

_CLOSED = "Connection closed by server"
_PLAIN: tuple[tuple[type[BaseException], str], ...] = (
    (InvalidResponse, "it does not answer in the Redis protocol"),
    (TimeoutError, NO_ANSWER),
    (TimedOut, NO_ANSWER),
)


class UnusableTls(Disconnected):
    """The files for TLS cannot be used; the text names the file, and the reason."""


def code(error: BaseException) -> str:
    """Return the server's error code, or the kind of failure where no server answered.

    redis-py treats READONLY from a server that Sentinels named as a lost connection; the original error is in its
    context.
    """
    inner = error.__context__
    if isinstance(error, Disconnected) and isinstance(inner, ReadOnlyError):
        return code(inner)
    status = _status(error)
    return (status if status != "ERR" else None) or code_of(str(error)) or status or type(error).__name__


def reason(error: BaseException) -> str:
    """Return the server's text if it answered with an error, else why there was no answer, in a few plain words."""
    if isinstance(error, UnusableTls):
        return str(error)
    fault = tls_faults.within(error)
    if fault is not None:
        return f"TLS failed: {client_tls.reason(fault)}"
    for cause in _causes(error):
        if isinstance(cause, NoScriptError):
            continue  # only the first half of an operation, which is answered
        known = _known(cause)
        if known:
            return known
    if isinstance(error, RedisError | RedisClusterException):
        return words(str(error)) or causes.in_words(error)
    return causes.in_words(error)  # the text of a bug may quote anything


def _known(error: BaseException) -> str:
    """Return the text for this error without its causes, "" if there is none."""
    status = _status(error)
    if status is not None or isinstance(error, ResponseError):
        shown = words(str(error))
        return shown if status in {None, "ERR", "NOPERM"} else f"{status} {shown}"
    if str(error).startswith(_CLOSED):
        return "it closed the connection"
    plain = next((text for kind, text in _PLAIN if isinstance(error, kind)), "")
    return plain or (_of_system(error) if isinstance(error, OSError) else "")


def _of_system(error: OSError) -> str:
    text = client_tls.connection_reason(error)
    return words(f"{error.filename}: {text}" if isinstance(error.filename, str) else text)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it, the outermost first."""
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> str | None:
    status: str | None = getattr(error, "status_code", None)
    return status
