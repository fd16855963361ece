"""Node.js and nginx as servers that answer before they have read a body."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from string import Template
from typing import Self

from tests.support.waiting import PATIENCE

NODE = """
const fs = require("fs");
const [port, certificate] = process.argv.slice(1);
const answer = (request, response) => {
    response.writeHead(Number(request.url.split("/").pop()), {Connection: "close"});
    response.end("refused");
};
const pem = certificate && fs.readFileSync(certificate);
const server = pem
    ? require("https").createServer({key: pem, cert: pem}, answer) : require("http").createServer(answer);
server.listen(Number(port), "127.0.0.1");
"""
NGINX = Template("""
daemon off; master_process off; pid $folder/nginx.pid; error_log stderr crit;
events { worker_connections 512; }
http {
    access_log off; client_body_temp_path $folder/body; proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi; uwsgi_temp_path $folder/uwsgi; scgi_temp_path $folder/scgi;
    server {
        listen 127.0.0.1:$port $tls;
        $certificate
        lingering_close $linger;
        location = /401 { client_max_body_size 0; return 401; }
        location = /413 { client_max_body_size 1m; }
    }
}
""")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Program:
    """A server process on a loopback port."""

    def __init__(self, command: list[str], port: int) -> None:
        self._command = command
        self.port = port

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 4 * PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
            except OSError:
                if self._child.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait(PATIENCE)


def node(certificate: Path | None) -> Program | None:
    """Return Node.js's server, or None where there is no Node.js."""
    binary, port = shutil.which("node"), free_port()
    arguments = [str(port), *([] if certificate is None else [str(certificate)])]
    return None if binary is None else Program([binary, "-e", NODE, "--", *arguments], port)


def nginx(folder: Path, certificate: Path | None, *, linger: bool) -> Program | None:
    """Return nginx with `client_max_body_size` and `return 401`, or None where there is no nginx."""
    binary, port = shutil.which("nginx"), free_port()
    folder.mkdir(exist_ok=True)
    pair = f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
    content = NGINX.substitute(
        folder=folder,
        port=port,
        tls="" if certificate is None else "ssl",
        certificate="" if certificate is None else pair,
        linger="on" if linger else "off",
    )
    configuration = folder / f"nginx-{port}.conf"
    configuration.write_text(content)
    return None if binary is None else Program([binary, "-c", str(configuration)], port)
