"""What the sidecar tells its operators: one flat class per event, one field per log field.

Never in any field: a token, a secret, a query string, a body.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from sidecar.telemetry.words import Build, FetchFault, Level, Outcome, SecretFault, Signal


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
    """The listeners are up."""

    name: ClassVar[str] = "started"
    version: str
    listen: str
    admin: str
    routes: int
    mode: str
    build: Build
    """Whether the request path is `pure` Python or `compiled`."""


@dataclass(frozen=True, slots=True)
class TokenFetched(Event):
    """The authorization server gave a token."""

    name: ClassVar[str] = "token_fetched"
    token: str
    """The token's name in the configuration."""
    service: str
    tenant: str
    fp: str
    expires_in: float
    duration_ms: float
    reason: str
    """Why it was fetched: `cold`, `aging`, `refused` or `warm_up`."""


@dataclass(frozen=True, slots=True)
class TokenFetchFailed(Event):
    """The authorization server refused, or is out; `error` says which and what to do."""

    name: ClassVar[str] = "token_fetch_failed"
    level: ClassVar[Level] = "warning"
    token: str
    service: str
    tenant: str
    outcome: FetchFault
    error: str
    duration_ms: float
    retry_after: float
    error_description: str = ""
    """The authorization server's own text, without secrets; "" where it gave none."""
    hint: str = ""
    """What to do, "" where that is not known."""


@dataclass(frozen=True, slots=True)
class SecretRead(Event):
    """A secret store gave credentials."""

    name: ClassVar[str] = "secret_read"
    service: str
    tenant: str
    secret: str
    """Its name there."""
    stage: str
    """Which version it was: `AWSCURRENT`; another one where that was not accepted."""
    duration_ms: float


@dataclass(frozen=True, slots=True)
class SecretUnread(Event):
    """A secret store gave no credentials; `error` says what to do."""

    name: ClassVar[str] = "secret_unread"
    level: ClassVar[Level] = "warning"
    service: str
    tenant: str
    secret: str
    reason: SecretFault
    error: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CredentialsRejected(Event):
    """An authorization server refused credentials and their source has others: the old ones are dropped."""

    name: ClassVar[str] = "credentials_rejected"
    level: ClassVar[Level] = "warning"
    service: str
    tenant: str
    fp: str


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """An upstream answered 401 (or another of the route's refused statuses) to a request with our token."""

    name: ClassVar[str] = "refused"
    level: ClassVar[Level] = "warning"
    request_id: str
    route: str
    tenant: str
    fp: str
    status: int
    error: str
    """The challenge's `error`, `other_scheme` when it had other schemes only, "" when it had none."""
    decision: Literal["renew", "cooling", "relay"]
    scope: str = ""
    """What the challenge says is needed."""


@dataclass(frozen=True, slots=True)
class Resent(Event):
    """What became of the second send of a refused request."""

    name: ClassVar[str] = "resent"
    request_id: str
    route: str
    fp: str
    """The second token; the refused one where there was no second."""
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CoolingDown(Event):
    """A fresh token was refused too: for `seconds` this key's refusals pass straight through."""

    name: ClassVar[str] = "cooling_down"
    level: ClassVar[Level] = "warning"
    token: str
    service: str
    tenant: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ExportDown(Event):
    """The OTLP endpoint does not take what is sent; requests go on, and what is lost is counted."""

    name: ClassVar[str] = "export_down"
    level: ClassVar[Level] = "warning"
    signal: Signal
    error: str
    """`HTTP` and the status, or the kind of failure."""


@dataclass(frozen=True, slots=True)
class ExportUp(Event):
    """The OTLP endpoint takes what is sent again."""

    name: ClassVar[str] = "export_up"
    signal: Signal


@dataclass(frozen=True, slots=True)
class SettingIgnored(Event):
    """A variable that has no effect: one of OpenTelemetry's that cannot be used, or a name that no setting has."""

    name: ClassVar[str] = "setting_ignored"
    level: ClassVar[Level] = "warning"
    variable: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigDoubtful(Event):
    """A value of the configuration in force is probably a mistake."""

    name: ClassVar[str] = "config_doubtful"
    level: ClassVar[Level] = "warning"
    warning: str
    """Where it is written, and why."""


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """A new configuration is in force."""

    name: ClassVar[str] = "reloaded"
    routes: int


@dataclass(frozen=True, slots=True)
class ReloadFailed(Event):
    """The new configuration is unusable; the old one stays in force."""

    name: ClassVar[str] = "reload_failed"
    level: ClassVar[Level] = "error"
    error: str


@dataclass(frozen=True, slots=True)
class OutOfDescriptors(Event):
    """No file descriptor was left for new clients: they are closed at once. Emitted at most once a minute."""

    name: ClassVar[str] = "out_of_descriptors"
    level: ClassVar[Level] = "warning"
    limit: int
    """How many the process may have."""
    hint: str
    """What to do."""


@dataclass(frozen=True, slots=True)
class Draining(Event):
    """Asked to stop: everything is answered until nothing is in flight."""

    name: ClassVar[str] = "draining"
    connections: int


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The last line."""

    name: ClassVar[str] = "stopped"


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """A bug: something raised that nobody expected. The process lives on."""

    name: ClassVar[str] = "failed"
    level: ClassVar[Level] = "error"
    where: str
    error: str
    """The exception's type and place; never its text, which may hold anything."""

    @classmethod
    def of(cls, where: str, exception: BaseException) -> "Failed":
        """Describe what was caught while doing `where`."""
        place = exception.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2] if place else "?"
        return cls(where, f"{type(exception).__qualname__} at {file}:{place.tb_lineno if place else 0}")
