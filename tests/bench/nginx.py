"""nginx's configurations: the upstream of the small answers and of the calls, and a peer that sets a static header.

One process each (`master_process off`), so that its CPU time and memory are in one place.
"""

from pathlib import Path
from string import Template
from urllib.parse import urlsplit

COMMON = """
daemon off; master_process off; pid $folder/$name.pid; error_log stderr error; worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
    default_type application/json; keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path $folder/body; proxy_temp_path $folder/proxy; fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi; scgi_temp_path $folder/scgi;
"""

UPSTREAM = Template(
    COMMON
    + """
    access_log off;
    map $$http_authorization $$status_for { default 401; "Bearer $token" 200; }
    server {
        listen 127.0.0.1:$port backlog=4096;
        listen 127.0.0.1:$tls_port ssl backlog=4096;
        ssl_certificate $certificate; ssl_certificate_key $certificate; ssl_protocols TLSv1.2 TLSv1.3;
        set $$two_kib '$two_kib';
        listen 127.0.0.1:$http2_port http2 backlog=4096;
        location = /ready { return 200; }
        location /v1/ { client_max_body_size 64m; return 200; }
        location = /token { return 200 '$grant'; }
        location = /200B { if ($$status_for = 401) { return 401; } return 200 '$small'; }
        location = /200B-unique {
            if ($$status_for = 401) { return 401; }
            add_header X-Request-Id $$request_id;
            return 200 '$small';
        }
        location /bench.Calls/ {
            if ($$status_for = 401) { return 401; }
            default_type application/grpc; add_trailer grpc-status 0; return 200 '$message';
        }
        location = /16KiB { if ($$status_for = 401) { return 401; } return 200 '$sixteen_kib'; }
    }
}
"""
)

PROXY = Template(
    COMMON
    + """
    log_format fields escape=json '{"ts":"$$time_iso8601","level":"info","event":"request",'
        '"request_id":"$$request_id","method":"$$request_method","path":"$$uri","status":$$status,'
        '"duration":$$request_time,"upstream":"$$upstream_response_time","bytes_in":$$request_length,'
        '"bytes_out":$$bytes_sent}';
    access_log /dev/null fields buffer=64k flush=1s;
    upstream peer {
        server $server; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h;
    }
    server {
        listen 127.0.0.1:$port backlog=4096;
        location / {
            proxy_pass $scheme://peer; proxy_http_version 1.1;
            proxy_set_header Host $server; proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer $token";
            client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
            $trust
        }
    }
}
"""
)

TRUST = Template(
    "proxy_ssl_verify on; proxy_ssl_trusted_certificate $ca_file; proxy_ssl_name localhost;"
    " proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3;"
)


def upstream(
    folder: Path,
    *,
    port: int,
    tls_port: int,
    http2_port: int,
    certificate: Path,
    token: str,
    grant: str,
    small: str,
    message: str,
) -> str:
    """Small answers for our token, 401 for anything else; its `/token` grants that token."""
    return UPSTREAM.substitute(
        folder=folder,
        name="upstream",
        port=port,
        tls_port=tls_port,
        http2_port=http2_port,
        certificate=certificate,
        token=token,
        grant=grant,
        small=small,
        message=message,
        two_kib="x" * 2048,  # a word of the configuration has to be shorter than 4 KiB
        sixteen_kib="$two_kib" * 8,
    )


def proxy(folder: Path, *, port: int, upstream_url: str, ca_file: Path | None, token: str) -> str:
    """A static `Authorization`, kept connections, bodies streamed, a JSON access log."""
    url = urlsplit(upstream_url)
    return PROXY.substitute(
        folder=folder,
        name="nginx",
        port=port,
        scheme=url.scheme,
        server=url.netloc,
        token=token,
        trust=TRUST.substitute(ca_file=ca_file) if ca_file else "",
    )
