"""What the sidecar logs for its operators: one flat class per event, one field per log field.

`docs/reference/log-events.md` is generated from the docstrings: of a class, of a field, or of a field in `FIELDS`.

Never in any field: a token, a secret, a query string, a body.
"""

from dataclasses import dataclass
from typing import ClassVar

from sidecar.telemetry.words import Build, Decision, FetchFault, Level, Outcome, SecretFault, Signal

FIELDS = {
    "duration_ms": "Duration in milliseconds.",
    "error": "Reason, in words.",
    "fp": "Fingerprint of the token. It is made with a key that is new at each start.",
    "kind": "What was dropped.",
    "request_id": "Id of the request: its `X-Request-Id`, or an id of the sidecar's own.",
    "route": "Name of the route; `token_api/` and the name of the entry for a call of the token API.",
    "service": "Service of the credentials.",
    "tenant": "Tenant; empty if there is none.",
    "token": "Name of the entry in `tokens`.",
}
"""Fields of several events, with the same meaning in all of them unless the class defines another one."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base: `name` is the log line's `event`, `level` its `level`."""

    name: ClassVar[str]
    level: ClassVar[Level] = "info"

    def values(self) -> dict[str, object]:
        """Return the fields by name, in their order."""
        names: tuple[str, ...] = self.__match_args__  # `fields()` takes twice as long
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The sidecar listens on both addresses."""

    name: ClassVar[str] = "started"
    version: str
    """Version of the sidecar."""
    listen: str
    """Address for the application."""
    admin: str
    """Address of the admin server."""
    routes: int
    """Number of routes."""
    mode: str
    """`cache.mode`: `local` or `distributed`."""
    build: Build
    """Build of the request path: `pure` Python, or `compiled`."""
    token_api: str = ""
    """Address of the token API; empty if there is none."""


@dataclass(frozen=True, slots=True)
class TokenFetched(Event):
    """The authorization server returned a token."""

    name: ClassVar[str] = "token_fetched"
    token: str
    service: str
    tenant: str
    fp: str
    expires_in: float
    """Seconds until the token expires."""
    duration_ms: float
    reason: str
    """Why it was fetched: `cold` (there was none), `aging` (it expires soon), `refused` or `warm_up` (at start)."""


@dataclass(frozen=True, slots=True)
class TokenFetchFailed(Event):
    """A token could not be fetched."""

    name: ClassVar[str] = "token_fetch_failed"
    level: ClassVar[Level] = "warning"
    token: str
    service: str
    tenant: str
    outcome: FetchFault
    error: str
    duration_ms: float
    retry_after: float
    """Seconds to wait that the authorization server requested; else 0."""
    error_description: str = ""
    """Text of the authorization server about the error, without secrets; empty if there is none."""
    hint: str = ""
    """What to do next; empty if that is not known."""


@dataclass(frozen=True, slots=True)
class SecretRead(Event):
    """The sidecar read credentials from a secret store."""

    name: ClassVar[str] = "secret_read"
    service: str
    tenant: str
    secret: str
    """Name of the secret in the store."""
    stage: str
    """Staging label of the version: `AWSCURRENT`, or another one if that was not accepted."""
    duration_ms: float


@dataclass(frozen=True, slots=True)
class SecretUnread(Event):
    """The sidecar could not read credentials from a secret store."""

    name: ClassVar[str] = "secret_unread"
    level: ClassVar[Level] = "warning"
    service: str
    tenant: str
    secret: str
    """Name of the secret in the store."""
    reason: SecretFault
    error: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CredentialsRejected(Event):
    """An authorization server refused credentials, and their source now has others. The old ones are dropped."""

    name: ClassVar[str] = "credentials_rejected"
    level: ClassVar[Level] = "warning"
    service: str
    tenant: str
    fp: str
    """Fingerprint of the refused credentials."""


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """An upstream refused the sidecar's token: it returned 401, or another status in the route's
    `refused_statuses`."""

    name: ClassVar[str] = "refused"
    level: ClassVar[Level] = "warning"
    request_id: str
    route: str
    tenant: str
    fp: str
    status: int
    """Status of the upstream's response."""
    error: str
    """Error in the challenge; `other_scheme` if the upstream requires other schemes only; empty if there is none."""
    decision: Decision
    scope: str = ""
    """Scope that the challenge requires; empty if it names none."""
    reporter: str = ""
    """Program that reported the refusal to the token API: its `User-Agent`, at most 100 characters. Empty on a route.
    """


@dataclass(frozen=True, slots=True)
class UnknownTenantNamed(Event):
    """Requests name a tenant that the configuration does not serve. Emitted at once, then at most once a minute."""

    name: ClassVar[str] = "unknown_tenant"
    level: ClassVar[Level] = "warning"
    route: str
    tenant: str
    """The name in most of the requests. Not shown unless it is a tenant id that does not look like a token or a key.
    `_other`: one of many names.
    """
    count: int
    """Number of such requests since the last such event."""


@dataclass(frozen=True, slots=True)
class Resent(Event):
    """The sidecar sent a refused request a second time."""

    name: ClassVar[str] = "resent"
    request_id: str
    route: str
    fp: str
    """Fingerprint of the second token, or of the refused one if there was no second."""
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CoolingDown(Event):
    """A new token was refused too. Until the cool-down ends, the sidecar relays refusals to the clients. Refusals of
    gRPC calls after a message then renew no token."""

    name: ClassVar[str] = "cooling_down"
    level: ClassVar[Level] = "warning"
    token: str
    service: str
    tenant: str
    seconds: float
    """Length of the cool-down in seconds."""


@dataclass(frozen=True, slots=True)
class UpstreamDown(Event):
    """An upstream is unavailable: a connection to it failed, or a request got no answer. Emitted once, until it
    answers again, and at most once a minute."""

    name: ClassVar[str] = "upstream_down"
    level: ClassVar[Level] = "warning"
    upstream: str
    """URL of the upstream, without a path."""
    error: str
    outages: int = 1
    """Number of outages since the last such event, this one included."""


@dataclass(frozen=True, slots=True)
class UpstreamUp(Event):
    """An upstream answers again, after `upstream_down`."""

    name: ClassVar[str] = "upstream_up"
    upstream: str
    """URL of the upstream, without a path."""
    seconds: float
    """Duration of the outage in seconds."""


@dataclass(frozen=True, slots=True)
class ExportDown(Event):
    """The OTLP endpoint does not accept metrics or traces. Requests are not affected."""

    name: ClassVar[str] = "export_down"
    level: ClassVar[Level] = "warning"
    signal: Signal
    """What is not accepted."""
    error: str
    """`HTTP` and the status, or why there was no answer."""


@dataclass(frozen=True, slots=True)
class ExportUp(Event):
    """The OTLP endpoint accepts metrics or traces again."""

    name: ClassVar[str] = "export_up"
    signal: Signal
    """What is accepted again."""


@dataclass(frozen=True, slots=True)
class SettingIgnored(Event):
    """At start: an environment variable has no effect, because no setting has its name or its value is unusable."""

    name: ClassVar[str] = "setting_ignored"
    level: ClassVar[Level] = "warning"
    variable: str
    """Name of the variable."""
    reason: str
    """Why it has no effect."""


@dataclass(frozen=True, slots=True)
class ConfigDoubtful(Event):
    """At start and after a reload: a value is probably a mistake, such as a `${NAME}` that nothing replaced."""

    name: ClassVar[str] = "config_doubtful"
    level: ClassVar[Level] = "warning"
    warning: str
    """Place of the value in the configuration, and the reason."""


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """A new configuration is in force."""

    name: ClassVar[str] = "reloaded"
    routes: int
    """Number of routes."""


@dataclass(frozen=True, slots=True)
class ReloadFailed(Event):
    """The new configuration is invalid or needs a restart. The old one stays in force."""

    name: ClassVar[str] = "reload_failed"
    level: ClassVar[Level] = "error"
    error: str


@dataclass(frozen=True, slots=True)
class OutOfDescriptors(Event):
    """New client connections are closed at once because no file descriptor is free. Emitted at most once a minute."""

    name: ClassVar[str] = "out_of_descriptors"
    level: ClassVar[Level] = "warning"
    limit: int
    """File descriptors that the process may have."""
    hint: str
    """What to do next."""


@dataclass(frozen=True, slots=True)
class Draining(Event):
    """The sidecar received SIGTERM. It keeps serving until no request is in flight."""

    name: ClassVar[str] = "draining"
    connections: int
    """Open client connections."""


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The sidecar stops; the last line."""

    name: ClassVar[str] = "stopped"


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """An internal error. The process continues; please report the line."""

    name: ClassVar[str] = "failed"
    level: ClassVar[Level] = "error"
    where: str
    """What the sidecar was doing."""
    error: str
    """Type and place of the exception, never its text, which may contain a secret."""

    @classmethod
    def of(cls, where: str, exception: BaseException) -> "Failed":
        """Describe what was caught while doing `where`."""
        place = exception.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2] if place else "?"
        return cls(where, f"{type(exception).__qualname__} at {file}:{place.tb_lineno if place else 0}")
