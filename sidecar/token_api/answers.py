"""Answers of the token API with a token. `sidecar.proxy.own_answers` has the others."""

import json

from sidecar.oauth.token import Token
from sidecar.token_api.calls import HEADER_MODE, Form


def with_token(form: Form, token: Token, *, expires_in: float, close: bool) -> tuple[bytes, bytes]:
    """Return head and body of the answer to a call of this form; `expires_in` is in seconds."""
    end = b"Connection: close\r\n\r\n" if close else b"\r\n"
    if form in HEADER_MODE:
        fields, body = b"Authorization: %b\r\n" % token.authorization, b""
    else:
        fields, body = b"Content-Type: application/json\r\n", _body(form, token, expires_in).encode()
    head = b"HTTP/1.1 200 OK\r\n%bCache-Control: no-store\r\nContent-Length: %d\r\n%b"
    return head % (fields, len(body), end), body


def _body(form: Form, token: Token, expires_in: float) -> str:
    if form is Form.AGENT:
        return json.dumps({"authorizationHeader": token.authorization.decode()})
    return json.dumps(
        {
            "access_token": token.secret.reveal(),
            "token_type": "Bearer",
            "expires_in": max(0, int(expires_in)),
            "fp": token.fingerprint,
        }
    )
