"""Why TLS fails: OpenSSL's own text, as a search term, and its meaning here."""

import ssl
from collections.abc import Iterator

_OF_CERTIFICATES = {
    2: "ca_file holds an intermediate authority without its root",
    9: "check the clocks of both hosts",
    10: "renew it, or the authority's in its chain",
    18: "it is not among the authorities trusted here",
    19: "the authority at the end of the chain is not trusted here",
    20: "the server sends an incomplete chain, or its authority is not trusted here",
    21: "the server sends an incomplete chain, or its authority is not trusted here",
    26: "it is not a server's certificate",
    62: "names count in its subjectAltName only",
    64: "addresses count in its subjectAltName only",
    79: "a certificate in the chain is not an authority's",
}
"""Meanings of X509_V_ERR_… codes; OpenSSL's text comes first. A code whose text is sufficient is not listed."""
_NO_TLS = "the server's answer is not TLS; check the port"
_TOO_OLD = "the server does not offer TLS 1.2 or later"
_REFUSED = "the server refuses the client certificate"
_WANTED = "the server requires a client certificate"
_WEAK = "a key or signature of the server is too weak"
_OTHERWISE = {
    "BAD_SIGNATURE": "the handshake was altered in transit",
    "CA_KEY_TOO_SMALL": _WEAK,
    "CA_MD_TOO_WEAK": _WEAK,
    "DH_KEY_TOO_SMALL": _WEAK,
    "EE_KEY_TOO_SMALL": _WEAK,
    "HTTP_REQUEST": _NO_TLS,
    "KEY_VALUES_MISMATCH": "key and certificate do not match",
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED": _WEAK,
    "NO_PROTOCOLS_AVAILABLE": _TOO_OLD,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": _WANTED,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "SSLV3_ALERT_BAD_CERTIFICATE": _REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the client certificate has been revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _REFUSED,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "no common cipher, or the server requires a client certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _REFUSED,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _WANTED,
    "TLSV1_ALERT_ACCESS_DENIED": _REFUSED,
    "TLSV1_ALERT_DECRYPT_ERROR": _REFUSED,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _WEAK,
    "TLSV1_ALERT_INTERNAL_ERROR": "the server reports an internal error",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "the server does not offer HTTP/1.1 (ALPN)",
    "TLSV1_ALERT_PROTOCOL_VERSION": _TOO_OLD,
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not trust the authority of the client certificate",
    "TLSV1_ALERT_UNRECOGNIZED_NAME": "the server has no certificate for this name (SNI)",
    "TLSV1_UNRECOGNIZED_NAME": "the server has no certificate for this name (SNI)",
    "UNEXPECTED_EOF_WHILE_READING": "the server ended the connection; it may require a client certificate",
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "VERSION_TOO_LOW": _TOO_OLD,
    "WRONG_VERSION_NUMBER": _NO_TLS,
}
"""By the names that Python gives OpenSSL's reasons."""
_DEPTH = 8
"""Number of nested errors that are searched."""


def words(error: ssl.SSLError) -> str:
    """Return why TLS failed; "" if OpenSSL gives no reason. Nothing from the peer is quoted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        found = error.verify_message.rstrip(".")
        meaning = _OF_CERTIFICATES.get(error.verify_code, "")
        return f"{found}: {meaning}" if meaning else found
    name: str = getattr(error, "reason", None) or ""  # Python code that raises one may set none
    meaning = _OTHERWISE.get(name, "")
    return f"{meaning} ({name})" if meaning else name


def speaks_tls(error: ssl.SSLError) -> bool:
    """Return whether the peer's answer was TLS, as far as the error shows."""
    return _OTHERWISE.get(getattr(error, "reason", None) or "") != _NO_TLS


def within(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that caused an error of a library, None if another one did."""
    errors = [error]
    for _ in range(_DEPTH):
        for each in errors:
            if isinstance(each, ssl.SSLError):
                return each
        errors = [within for each in errors for within in inner(each)]
    return None


def inner(error: BaseException) -> Iterator[BaseException]:
    """Yield an error's causes: redis-py has them as cause, urllib3 in arguments, boto in keywords."""
    named = getattr(error, "kwargs", {})
    more = named.values() if isinstance(named, dict) else ()
    for each in (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args, *more):
        if isinstance(each, BaseException):
            yield each
