"""All instruments, and the form in which their series are read.

Names are OpenTelemetry's, so that every exporter can derive its own from them.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
OTHER_METHOD = "_OTHER"
"""Label of any unknown method, because clients could invent any number of methods."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets, inclusive, as OpenTelemetry's HTTP conventions advise."""

_REQUEST = ("http.route", "http.request.method", "http.response.status_code", "error.type")
_UPSTREAM = ("server.address", "server.port")
_TOKEN = ("token", "tenant")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    """What is measured, and what the values of its own labels mean. `/metrics` and the reference show it."""
    labels: tuple[str, ...] = ()
    unit: Literal["", "s"] = ""


# Requests
SERVER = Instrument(
    "http.server.request.duration",
    "histogram",
    "Time from the head of a request to the end of its response.",
    _REQUEST,
    "s",
)
CLIENT = Instrument(
    "http.client.request.duration",
    "histogram",
    "Time from sending a request to the head of the upstream's response, or to the failure. The two sends of a healed "
    "request count separately.",
    _REQUEST + _UPSTREAM,
    "s",
)
ACTIVE = Instrument("http.server.active_requests", "gauge", "Requests in flight.")
REFUSALS = Instrument(
    "sidecar.refusals",
    "counter",
    "Responses that refused the sidecar's token, by decision: `renew` (fetch another token), `cooling` (relayed during "
    "a cool-down) or `relay` (another token would not help).",
    ("http.route", "decision"),
)
RELAYED = Instrument(
    "sidecar.refusals.relayed",
    "counter",
    "Responses that refused the sidecar's token for a reason that another token would not remove, by error: that of "
    "the challenge, such as `insufficient_scope`; `other_scheme`: the upstream requires another scheme; `none`: no "
    "error; `other`: rare errors.",
    ("http.route", "tenant", "error"),
)
GRPC_CALLS = Instrument(
    "sidecar.grpc.calls",
    "counter",
    "gRPC calls that ended with a status, by status, such as `OK` or `UNAVAILABLE`. Calls that a client or an upstream "
    "broke off have none.",
    ("http.route", "rpc.response.status_code"),
)
RESENDS = Instrument(
    "sidecar.resends",
    "counter",
    "Second sends after a refusal, by outcome: `healed`, `refused` again, or `failed` (no new token, or no response).",
    ("http.route", "outcome"),
)

# Tokens
HITS = Instrument(
    "m2m_credential_cache_hits",
    "counter",
    "Requests whose token was cached, by level: in `memory`, or in Redis (`store`).",
    (*_TOKEN, "level"),
)
MISSES = Instrument(
    "m2m_credential_cache_misses",
    "counter",
    "Requests whose token was not cached, by level: not in `memory`, not in Redis (`store`).",
    (*_TOKEN, "level"),
)
FETCH_ERRORS = Instrument(
    "m2m_credential_fetch_errors",
    "counter",
    "Token fetches that failed, by outcome: `refused` by the authorization server, `unavailable`, or `bad_subject` (a "
    "caller's token is not accepted).",
    (*_TOKEN, "outcome"),
)
FETCH_DURATION = Instrument(
    "m2m_credential_fetch_duration_seconds",
    "histogram",
    "Duration of token fetches, including failed ones.",
    _TOKEN,
    "s",
)
EXPIRY = Instrument(
    "sidecar.token.expires_in",
    "gauge",
    "Time until a cached token expires; of several tokens, the one that expires first.",
    _TOKEN,
    "s",
)
FAILING = Instrument(
    "sidecar.token.failing",
    "gauge",
    "Time from the first failed fetch of a needed token to the last; of several tokens, the longest. By state, as in "
    "`/status`: `missing` (requests that need the token fail), or `aging` or `fresh` (the token is in use until it "
    "expires). By reason: `refused` by the authorization server, `unavailable`, or `no_credentials` (the secret in AWS "
    "cannot be used). No series: fetches succeed, or no request has needed the token for ten minutes.",
    (*_TOKEN, "state", "reason"),
    "s",
)
BUSTS = Instrument(
    "sidecar.busts.sent", "counter", "Busts of refused tokens that this pod published to all pods.", _TOKEN
)
COOL_DOWNS = Instrument(
    "sidecar.cool_downs", "counter", "Cool-downs that began because a new token was refused too.", _TOKEN
)
CLOCK_SKEW = Instrument(
    "sidecar.token_endpoint.clock_skew",
    "gauge",
    "Difference between the clock of an authorization server's token endpoint, by the `Date` of its last response, and "
    "this machine's. Positive: the endpoint's clock is ahead. 0: no measurable difference.",
    _UPSTREAM,
    "s",
)
SECRET_READS = Instrument(
    "sidecar.secret.reads",
    "counter",
    "Reads from AWS Secrets Manager, by outcome: `ok`, or the `reason` of `secret_unread`.",
    ("outcome",),
)
SECRET_FAILING = Instrument(
    "sidecar.secret.failing",
    "gauge",
    "Time from the first failed read of a secret in AWS Secrets Manager to the last, by the `reason` of "
    "`secret_unread`. No series: the last read succeeded, or no request has needed one for ten minutes.",
    ("service", "tenant", "reason"),
    "s",
)

# The fleet
BUSTS_APPLIED = Instrument(
    "sidecar.busts.applied", "counter", "Busts of other pods that dropped tokens in this pod.", ("kind",)
)
BUSTS_FAILED = Instrument(
    "sidecar.busts.failed",
    "counter",
    "Busts that Redis did not publish to other pods (step `publish`), or published and did not record (`record`).",
    ("kind", "step"),
)
BUSTS_REJECTED = Instrument(
    "sidecar.busts.rejected",
    "counter",
    "Messages on a bust channel that were rejected, by the `reason` of `bust_rejected`.",
    ("reason",),
)
LEASES = Instrument(
    "sidecar.leases",
    "counter",
    "Fetches for the fleet, by outcome: `taken` by this pod, `awaited` from another pod, `lost` (the lease expired) or "
    "`overtaken` by a bust.",
    ("outcome",),
)
STORE_UP = Instrument(
    "sidecar.store.up", "gauge", "1 while the sidecar uses Redis; 0 while it does not because Redis failed."
)
STORE_OPERATIONS = Instrument(
    "sidecar.store.operations",
    "counter",
    "Redis operations, by outcome: `ok`, `failed`, or `skipped` while Redis is unavailable.",
    ("operation", "outcome"),
)
BUS_UP = Instrument("sidecar.bus.up", "gauge", "1 while busts of other pods arrive, else 0.")
BUS_LAG = Instrument(
    "sidecar.bus.lag",
    "histogram",
    "Delay of busts of other pods: from publishing to applying them in this pod.",
    (),
    "s",
)

# Connections
CONNECTIONS = Instrument("sidecar.connections.open", "gauge", "Open client connections.")
UPSTREAM_CONNECTIONS = Instrument(
    "sidecar.upstream.connections",
    "gauge",
    "Connections to an upstream, by state: `active` (in use, or being opened) or `idle`.",
    (*_UPSTREAM, "state"),
)
UPSTREAM_WAITING = Instrument(
    "sidecar.upstream.waiting",
    "gauge",
    "Requests that wait for a free connection because all `max_connections` to the upstream are in use.",
    _UPSTREAM,
)

NEIGHBOUR_DOWN = Instrument(
    "sidecar.neighbour.down",
    "gauge",
    "Time between the first and the last failure of a neighbour that is down, as in `health` of `/status`. No series: "
    "it is up, or its last failure was more than ten minutes ago.",
    ("neighbour", "name"),
    "s",
)
CERTIFICATE = Instrument(
    "sidecar.certificate.expires_in",
    "gauge",
    "Time until a certificate expires; negative after that. By role: `upstream` (certificate received with the last "
    "new connection to the upstream) or `client` (the sidecar's own certificate, read from its file). No series: there "
    "was no new connection to the upstream for an hour.",
    ("role", "name"),
    "s",
)
CERTIFICATE_LIFE = Instrument(
    "sidecar.certificate.lifetime",
    "gauge",
    "Total validity period of the same certificate.",
    ("role", "name"),
    "s",
)

# The process
LOOP_LAG = Instrument(
    "sidecar.event_loop.lag",
    "histogram",
    "Delay of the event loop, measured twice a second. Every request is delayed by as much.",
    (),
    "s",
)
TASKS = Instrument(
    "sidecar.tasks", "gauge", "Tasks on the event loop: one per client connection, and a few more."
)
DROPPED = Instrument(
    "sidecar.log.lines.dropped", "counter", "Log lines dropped because standard output is slow or broken."
)
EXPORTS = Instrument(
    "sidecar.telemetry.exports",
    "counter",
    "Exports to the OTLP endpoint, by outcome: `ok` or `failed`.",
    ("signal", "outcome"),
)
SPANS_DROPPED = Instrument(
    "sidecar.telemetry.spans.dropped", "counter", "Spans dropped because the OTLP endpoint is too slow."
)
RELOADS = Instrument(
    "sidecar.reloads",
    "counter",
    "Reloads of the configuration, by outcome: `ok`, or `failed` (the old configuration stays in force).",
    ("outcome",),
)
OUTDATED = Instrument(
    "sidecar.config.outdated",
    "gauge",
    "1 while the last reload has failed, so that the configuration in force is older than its file; else 0.",
)
BUGS = Instrument(
    "sidecar.bugs", "counter", "Internal errors of the sidecar; each is a `failed` line in the log."
)
NO_DESCRIPTORS = Instrument(
    "sidecar.descriptors.exhausted",
    "counter",
    "Minutes in which new client connections were closed because no file descriptor was free; each is an "
    "`out_of_descriptors` line in the log.",
)
BUILD = Instrument("sidecar.build.info", "gauge", "Always 1; the label has the version.", ("version",))

INSTRUMENTS = tuple(value for value in tuple(vars().values()) if isinstance(value, Instrument))
"""All instruments, in the order above."""

LABELS: Mapping[str, str] = {
    "http.route": "Name of the route; `token_api/` and the name of the entry for a call of the token API; empty if no "
    "route matched.",
    "http.request.method": f"Method of the request; `{OTHER_METHOD}` for an unusual one.",
    "http.response.status_code": "Status of the response; absent if there was none.",
    "rpc.response.status_code": "Name of the gRPC status.",
    "error.type": "Error of the sidecar's own ([word](errors.md)), `client_gone` or `drained`. Else the status if "
    "it is an error: 500 or more of responses to clients, 400 or more of responses of upstreams. Of a gRPC call, "
    "`UNAUTHENTICATED` or a status that is an error of a server, such as `UNAVAILABLE`.",
    "server.address": "Host of the upstream or of the token endpoint.",
    "server.port": "Its port.",
    "token": "Name of the entry in `tokens`.",
    "tenant": "Tenant, if the configuration has a `tenant` section. Configured tenants and the first others, up to "
    "100, have a value of their own; all others share `_other`.",
    "kind": "What was dropped: a `token`, `credentials`, all that a `select` names, or what a `gap` in messages hid.",
    "neighbour": "`upstream`, `authorization_server`, `secret_store` (AWS Secrets Manager), `store` (Redis) or `bus` "
    "(busts of other pods).",
    "name": "Name of the neighbour as in `/status`, URL of the upstream, or path of the file.",
    "role": "See the meaning of the metric.",
    "operation": "Name of the Redis operation.",
    "signal": "`metrics` or `traces`.",
    "service": "Service of the credentials.",
    "version": "Version of the sidecar.",
    **dict.fromkeys(
        ("decision", "error", "level", "outcome", "reason", "state", "step"), "See the meaning of the metric."
    ),
}
"""Names of the labels."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram as read: how many values fell under each of SECONDS, then the number of all."""

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class Family:
    """An instrument and its series as read: label values and the value."""

    instrument: Instrument
    series: tuple[tuple[tuple[str, ...], float | Distribution], ...]


class Histogram:
    """Counts durations by the buckets of `SECONDS`."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one. Hot path: ≤ 0.3 µs."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._total += seconds

    @property
    def used(self) -> bool:
        """Whether anything was counted."""
        return any(self._counts)

    def read(self) -> Distribution:
        """Return its current values."""
        return Distribution(tuple(self._counts), self._total)
