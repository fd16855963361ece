"""Causes of failures in words: the one place where an exception becomes a text for the log, `/status` and checks.

The words are the system's, OpenSSL's or those below. A library's own text is never quoted, because it may hold
anything. The name of a class helps no operator; it is shown only if nothing else is known, as a search term.
"""

import os
import re
import socket
from collections.abc import Iterator

from sidecar.system import tls_faults

NO_ANSWER = "no answer in time"
MAX_CAUSES = 16
"""Number of nested errors that are searched for the cause of one."""
_NO_CONNECTION = "cannot connect"
_BROKE_OFF = "the connection was lost before the answer was complete"
_WORDS = {
    "BadStatusLine": "the answer is not HTTP",
    "BrokenPipeError": "the connection was lost",
    "ConnectTimeout": "no connection in time",
    "ConnectTimeoutError": "no connection in time",
    "ConnectionAbortedError": "the connection was lost",
    "ConnectionClosedError": "the connection was closed before an answer",
    "ConnectionError": _NO_CONNECTION,
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "the connection was reset",
    "CredentialRetrievalError": "the credentials could not be read",
    "EOFError": _BROKE_OFF,
    "EndpointConnectionError": _NO_CONNECTION,
    "FileNotFoundError": "no such file",
    "HTTPException": "the answer is not HTTP",
    "IncompleteRead": _BROKE_OFF,
    "IncompleteReadError": _BROKE_OFF,
    "IsADirectoryError": "it is a directory",
    "MemoryError": "out of memory",
    "MetadataRetrievalError": "the metadata service of the machine gave no credentials",
    "NameResolutionError": "the name does not resolve",
    "NewConnectionError": _NO_CONNECTION,
    "NoCredentialsError": "no credentials found",
    "NoRegionError": "no region is configured",
    "ParamValidationError": "a parameter is not valid",
    "PartialCredentialsError": "the credentials are incomplete",
    "PermissionError": "permission denied",
    "ProfileNotFound": "no such profile",
    "ProtocolError": _BROKE_OFF,
    "ProxyConnectionError": "cannot connect to the proxy",
    "ReadTimeout": NO_ANSWER,
    "ReadTimeoutError": NO_ANSWER,
    "RecursionError": "it is nested too deeply",
    "RemoteDisconnected": "the connection was closed before an answer",
    "Timeout": NO_ANSWER,
    "TimeoutError": NO_ANSWER,
    "TooManyRedirects": "too many redirects",
    "UnicodeError": "it is not valid text",
    "gaierror": "the name does not resolve",
}
"""By the names of classes, so that libraries need not be loaded."""
_SEVERAL = re.compile(r"\[Errno (\d+)\]")
"""In the text of an error without a number of its own because several addresses failed."""


def in_words(error: BaseException) -> str:
    """Return the cause in a few plain words."""
    tls = tls_faults.within(error)
    if tls is not None:
        return f"TLS failed: {tls_faults.words(tls)}".removesuffix(": ")
    chain = tuple(_causes(error))
    for find in (of_system, _of_class):
        for each in chain:
            if known := find(each):
                return known
    return f"unexpected error ({type(error).__name__})"


def of_system(error: BaseException) -> str:
    """Return the system's words for an error of its own, "" for any other, and for one without a number."""
    if not isinstance(error, OSError):
        return ""
    if isinstance(error, socket.gaierror | socket.herror):
        return error.strerror or ""
    number = error.errno
    if number is None and (several := _SEVERAL.search(str(error))):
        number = int(several[1])
    return os.strerror(number) if number is not None and number > 0 else ""


def _of_class(error: BaseException) -> str:
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_WORDS[name] for name in names if name in _WORDS), "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, the outermost first."""
    errors = [error]
    for _ in range(MAX_CAUSES):
        if not errors:
            return
        each = errors.pop(0)
        yield each
        errors += tls_faults.inner(each)
