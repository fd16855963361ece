"""The application's part of a pod: an authorization server and an upstream on loopback, one behind the other.

The upstream refuses the first token there is, as if it had been revoked: the first request must heal.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PORT = int(os.environ.get("PORT", "8080"))


class Handler(BaseHTTPRequestHandler):
    """POST issues the next token, GET requires the newest."""

    issued = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Handler.issued += 1
        token = {"access_token": f"token-{Handler.issued}", "token_type": "Bearer", "expires_in": 3600}
        self._answer(200, json.dumps(token))

    def do_GET(self) -> None:
        good = Handler.issued > 1 and self.headers["Authorization"] == f"Bearer token-{Handler.issued}"
        self._answer(200 if good else 401, "hello" if good else "who are you?")

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer error="invalid_token"')
        self.end_headers()
        self.wfile.write(body.encode())


def start() -> None:
    """Serve as long as the program has something else to do."""
    Thread(target=ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever, daemon=True).start()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
