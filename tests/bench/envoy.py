"""Envoy's configuration for the same work as ours: an injected credential, a JSON access log, statistics."""

from pathlib import Path
from urllib.parse import urlsplit

TYPES = "type.googleapis.com/envoy.extensions"
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
LOG_FIELDS = {
    "ts": "%START_TIME%",
    "level": "info",
    "event": "request",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "route": "%ROUTE_NAME%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "duration_ms": "%DURATION%",
    "upstream_ms": "%RESPONSE_DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "error": "%RESPONSE_FLAGS%",
}

Json = dict[str, object]


def bootstrap(
    port: int, admin_port: int, upstream_url: str, ca_file: Path | None, token: str, *, http2: bool = False
) -> Json:
    """A whole static configuration; TLS to the upstream is verified, chain and name. HTTP/1.1 or 2 on both sides."""
    upstream_port = urlsplit(upstream_url).port
    assert upstream_port is not None
    return {
        "admin": {"address": _address(admin_port)},
        "static_resources": {
            "listeners": [
                {
                    "address": _address(port),
                    "filter_chains": [{"filters": [_connection_manager("HTTP2" if http2 else "HTTP1")]}],
                }
            ],
            "clusters": [_cluster(upstream_port, ca_file, http2=http2)],
            "secrets": [
                {"name": "bearer", "generic_secret": {"secret": {"inline_string": f"Bearer {token}"}}}
            ],
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(port: int, ca_file: Path | None, *, http2: bool) -> Json:
    endpoint = {"endpoint": {"address": _address(port)}}
    assignment = {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]}
    cluster: Json = {
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": assignment,
    }
    if http2:
        version: Json = {"explicit_http_config": {"http2_protocol_options": {}}}
        options = {"@type": f"type.googleapis.com/{_PROTOCOL_OPTIONS}", **version}
        cluster["typed_extension_protocol_options"] = {_PROTOCOL_OPTIONS: options}
    return {**cluster, "transport_socket": _tls(ca_file)} if ca_file else cluster


def _tls(ca_file: Path) -> Json:
    validation: Json = {
        "trusted_ca": {"filename": str(ca_file)},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}],
    }
    return _extension(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.UpstreamTlsContext",
        sni="localhost",
        common_tls_context={"validation_context": validation},
    )


def _connection_manager(codec: str) -> Json:
    route = {"name": "default", "match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}
    return _extension(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench",
        codec_type=codec,
        access_log=[_access_log()],
        http_filters=[_injector(), _extension("envoy.filters.http.router", "filters.http.router.v3.Router")],
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    )


def _access_log() -> Json:
    return _extension(
        "envoy.access_loggers.file",
        "access_loggers.file.v3.FileAccessLog",
        path="/dev/null",
        log_format={"json_format": LOG_FIELDS},
    )


def _injector() -> Json:
    credential = _extension(
        "envoy.http.injected_credentials.generic",
        "http.injected_credentials.generic.v3.Generic",
        credential={"name": "bearer"},
        header="Authorization",
    )
    return _extension(
        "envoy.filters.http.credential_injector",
        "filters.http.credential_injector.v3.CredentialInjector",
        overwrite=True,
        credential=credential,
    )


def _extension(name: str, message: str, **settings: object) -> Json:
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{message}", **settings}}
