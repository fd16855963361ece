"""The configuration in force: checked, complete, frozen; times in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sidecar.core.credentials import CredentialSpec
from sidecar.core.routes import Route
from sidecar.core.token import MAX_LEEWAY, TokenRequest


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The server for probes, metrics and status."""

    listen: str = "0.0.0.0:9181"


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long tokens are kept, and how many."""

    memory_ttl: float = 30.0
    """Longest stay in memory where a store is behind it; without one, to the token's expiry."""
    store_ttl: float = 300.0
    leeway: float = MAX_LEEWAY
    max_entries: int = 10_000


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a sidecar is told."""

    listen: str = "127.0.0.1:9180"
    admin: AdminSettings = AdminSettings()
    cache: CacheSettings = CacheSettings()
    credentials: Mapping[str, CredentialSpec] = field(default_factory=dict)
    tokens: Mapping[str, TokenRequest] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    drain_timeout: float = 25.0
    """How long requests in flight may take once we were asked to stop; 0 for as long as they like."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
