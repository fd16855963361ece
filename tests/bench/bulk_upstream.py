"""The upstream of the large bodies, with and without TLS: `GET /sized/BYTES`, `GET /chunked/BYTES`, `POST /`.

A program: `python -m tests.bench.bulk_upstream --port 8000 --tls-port 8001 --certificate server.pem --token T`.
"""

import argparse
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

from tests.bench.bodies import MIB, framing, receive, send


class Handler(BaseHTTPRequestHandler):
    """Answers only our token; the answer to a POST is its size."""

    protocol_version = "HTTP/1.1"
    rbufsize = MIB
    disable_nagle_algorithm = True
    token: ClassVar[str]

    def do_GET(self) -> None:
        _, kind, *size = self.path.split("/")
        if kind == "ready":
            self.answer(b"")
        elif self.headers["Authorization"] != f"Bearer {self.token}":
            self.send_error(401)
        else:
            self.send_response(200)
            self.send_header(*framing(kind, int(size[0])))
            self.end_headers()
            send(self.wfile.write, kind, int(size[0]))

    def do_POST(self) -> None:
        size = receive(self.rfile, self.headers)
        if self.headers["Authorization"] == f"Bearer {self.token}":
            self.answer(str(size).encode())
        else:
            self.send_error(401)

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls-port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--token", required=True)
    options = parser.parse_args()
    Handler.token = options.token
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    encrypted = Server(("127.0.0.1", options.tls_port), Handler)
    encrypted.socket = context.wrap_socket(encrypted.socket, server_side=True, do_handshake_on_connect=False)
    Thread(target=encrypted.serve_forever, daemon=True).start()
    Server(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
