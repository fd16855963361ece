"""Tokens of the sidecar for a Python program: request one, and report a refusal. Standard library only."""

import json
import time
from http.client import HTTPConnection

TOKEN_API = ("127.0.0.1", 9182)
Token = dict[str, str | int]
"""`access_token`, `token_type`, `expires_in` and `fp`."""


class TokenError(OSError):
    """There is no token; `errno` is the status. 409: another token would not help. 429: new tokens are refused too."""


def token(name: str) -> Token:
    """Return the token of an entry in `token_api.tokens`."""
    return _call("GET", f"/token/{name}", None)


def refused(name: str, fp: str, status: int, challenge: str = "") -> Token:
    """Report that a server refused the token with this fingerprint; return its successor."""
    report = {"fp": fp, "status": status, "www_authenticate": challenge}
    return _call("POST", f"/token/{name}/refused", json.dumps(report))


def kafka_token(name: str) -> tuple[str, float]:
    """Return token and expiry (seconds since the epoch), as `oauth_cb` of confluent-kafka requires them."""
    found = token(name)
    return str(found["access_token"]), time.time() + int(found["expires_in"])


def _call(method: str, path: str, body: str | None) -> Token:
    connection = HTTPConnection(*TOKEN_API, timeout=20)
    try:
        connection.request(method, path, body, {"Sidecar-Request": "true", "User-Agent": "orders/1.0"})
        answer = connection.getresponse()
        members = json.load(answer)
    finally:
        connection.close()
    if answer.status != 200:
        raise TokenError(answer.status, members["detail"])
    return members
