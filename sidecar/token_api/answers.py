"""Answers of the token API with a token. `sidecar.proxy.own_answers` has the others."""

import json

from sidecar.token_api.calls import Form
from sidecar.token_api.handed_out import HandedOut


def with_token(form: Form, handed: HandedOut, *, expires_in: float, close: bool) -> tuple[bytes, int]:
    """Return the answer to a call of this form, and the length of its body; `expires_in` is in seconds.

    A program's answer is the same for a second, and is kept that long.
    """
    if close or form.of_proxy or form is Form.AGENT:
        head, body = _made(form, handed, expires_in, close=close)
        return head + body, len(body)
    seconds = int(expires_in)
    kept = handed.answer
    if kept is None or kept[0] != seconds:
        head, body = _made(form, handed, expires_in, close=False)
        kept = handed.answer = (seconds, head + body)
        handed.body = len(body)
    return kept[1], handed.body


def _made(form: Form, handed: HandedOut, expires_in: float, *, close: bool) -> tuple[bytes, bytes]:
    end = b"Connection: close\r\n\r\n" if close else b"\r\n"
    if form.of_proxy:
        fields, body = b"Authorization: %b\r\n" % handed.token.authorization, b""
    else:
        fields, body = b"Content-Type: application/json\r\n", _body(form, handed, expires_in)
    head = b"HTTP/1.1 200 OK\r\n%bCache-Control: no-store\r\nContent-Length: %d\r\n%b"
    return head % (fields, len(body), end), body


def _body(form: Form, handed: HandedOut, expires_in: float) -> bytes:
    if form is Form.AGENT:
        return json.dumps({"authorizationHeader": handed.token.authorization.decode()}).encode()
    members = {
        "access_token": handed.token.secret.reveal(),
        "token_type": "Bearer",
        "expires_in": max(0, int(expires_in)),
        "fp": handed.token.fingerprint,
    }
    return json.dumps(members).encode()
