"""An authorization server and an upstream in one, for the demo: /token returns tokens, all other paths require one."""

import json
import secrets
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8080
LIFE = 60
"""Seconds that a token is valid, short enough to see renewals in the sidecar's log."""
SECRET = Path("/run/secrets/client-secret")


class Servers(ThreadingHTTPServer):
    """Accepts the tokens that it issued last."""

    def __init__(self, port: int, client_secret: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        credentials = b64encode(f"demo:{client_secret}".encode()).decode()
        self.client = f"Basic {credentials}"
        self.issued: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Answers a request of a client."""

    server: Servers
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Return a token to the demo's client."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/token":
            self._answer(404, {"error": "not_found"})
        elif self.headers.get("Authorization") != self.server.client:
            self._answer(401, {"error": "invalid_client"})
        else:
            self.server.issued = [*self.server.issued[-99:], secrets.token_urlsafe(32)]
            token = {"access_token": self.server.issued[-1], "token_type": "Bearer", "expires_in": LIFE}
            self._answer(200, token)

    def do_GET(self) -> None:
        """Greet a client that has a token."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and token in self.server.issued:
            self._answer(200, {"hello": "authorised client"})
        else:
            self._answer(401, {"error": "invalid_token"}, challenge='Bearer error="invalid_token"')

    def _answer(self, status: int, document: dict[str, object], *, challenge: str = "") -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    secret = Path(sys.argv[1]) if len(sys.argv) > 1 else SECRET
    port = int(sys.argv[2]) if len(sys.argv) > 2 else PORT
    Servers(port, secret.read_text().strip()).serve_forever()
