"""Answers of the token API with a token. `sidecar.proxy.own_answers` has the others."""

import json

from sidecar.oauth.token import Token
from sidecar.token_api.calls import Form
from sidecar.token_api.handed_out import HandedOut


def with_token(form: Form, handed: HandedOut, *, expires_in: float, close: bool) -> tuple[bytes, bytes]:
    """Return head and body of the answer to a call of this form; `expires_in` is in seconds."""
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
    if handed.json is None:
        handed.json = _around_seconds(handed.token)
    before, after = handed.json
    return b"%b%d%b" % (before, max(0, int(expires_in)), after)


def _around_seconds(token: Token) -> tuple[bytes, bytes]:
    """Return the JSON before and after `expires_in`: to encode a token takes longer than all else."""
    members = {"access_token": token.secret.reveal(), "token_type": "Bearer"}
    before = json.dumps(members).removesuffix("}")
    return f'{before}, "expires_in": '.encode(), f', "fp": {json.dumps(token.fingerprint)}}}'.encode()
