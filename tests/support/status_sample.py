"""An admin server whose state a test sets, and a status with an entry of every kind."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sidecar.admin import server as admin
from sidecar.admin.server import AdminServer
from sidecar.app.listen import bind
from tests.support.admin_server import State
from tests.support.journal import RecordingJournal

Shown = dict[str, object]


@asynccontextmanager
async def showing(status: Mapping[str, object], state: State | None = None) -> AsyncIterator[AdminServer]:
    state = state or State()
    state.shown = dict(status)
    server = await admin.start(state, "127.0.0.1:0", RecordingJournal(), bind, every=0.05)
    try:
        yield server
    finally:
        await server.close()


def sample(text: str = "x") -> Shown:
    """A status that is whole, with `text` wherever a name, an id or a reason stands."""
    return {
        **dict.fromkeys(("version", "pod", "mode", "listen"), text),
        "at": 100.0,
        "uptime": 99.0,
        "started": True,
        "busts": True,
        "in_flight": 3,
        "not_found": "",
        "connections": 4,
        "token_api": {"listen": text, "tokens": [text], "authorize": True},
        "ready": {"ok": True, "degraded": True, "detail": text},
        "findings": [_finding(text, gravity) for gravity in ("failing", "warning")],
        "routes": [_route(text)],
        "tokens": _tokens(text),
        "health": [
            {"kind": kind, "name": text, "state": state, "since": 5.0, "why": text, "last_failure": 7.0}
            for kind, state in (("store", "down"), ("bus", "up"), ("upstream", "unknown"))
        ],
        "events": _events(text),
    }


def _finding(text: str, gravity: str) -> Shown:
    names: Shown = dict.fromkeys(("kind", "what", "cause", "effect", "action", "neighbour", "name"), text)
    scope: Shown = {**dict.fromkeys(("route", "token", "service"), text), "tenants": [text]}
    return {**names, **scope, "gravity": gravity, "since": 40.0, "last_tried": 90.0, "caused_by": None}


def _route(text: str) -> Shown:
    names: Shown = dict.fromkeys(("name", "host", "prefix", "upstream", "token"), text)
    numbers: Shown = {
        "requests": 12345,
        "errors": 12,
        "rate": 20.5,
        "error_rate": 0.5,
        "errors_by": {text: 3},
    }
    windows = [[index, index // 9, 0.001 * (index % 7)] for index in range(60)]
    return {**names, **numbers, "latency": 0.0123, "latency_p99": 0.05, "windows": windows}


def _tokens(text: str) -> list[Shown]:
    """A fresh one, one that cools down, and one that is missing."""
    names: Shown = dict.fromkeys(("token", "service", "tenant", "fp"), text)
    times: Shown = {"age": 100.0, "expires_in": 200.0, "last_used": 3.0, "cooling": 0.0}
    well: Shown = {
        **names,
        **times,
        "state": "fresh",
        "source": "store",
        "problem": "",
        "problem_since": None,
        "cooling_since": None,
        "last_tried": None,
        "error_description": "",
        "hint": "",
        "reason": "",
    }
    why: Shown = {
        "fp": "",
        "source": "",
        "problem": text,
        "problem_since": 1.0,
        "last_tried": 4.0,
        "error_description": text,
        "hint": text,
        "reason": "refused",
    }
    return [
        well,
        {**well, "tenant": text + "1", "state": "aging", "cooling": 9.0, "cooling_since": 2.0},
        {**well, **why, "tenant": text + "2", "state": "missing"},
    ]


def _events(text: str) -> list[Shown]:
    texts: Shown = dict.fromkeys(
        (
            *("request_id", "route", "tenant", "fp", "error", "error_description", "hint"),
            *("service", "token", "origin", "reason", "channel"),
        ),
        text,
    )
    told: tuple[tuple[str, Shown], ...] = (
        ("refused", {"status": 401, "decision": "renew"}),
        ("resent", {"outcome": "healed"}),
        ("bust_failed", {"kind": "token", "select": text, "step": "record"}),
        ("upstream_down", {"upstream": text}),
        ("upstream_up", {"upstream": text, "seconds": 9.0}),
        ("select_sent", {"select": text, "pods": 3}),
        ("bust_applied", {"kind": "token", "evicted": 1}),
        ("token_fetch_failed", {"outcome": "refused", "duration_ms": 3.0, "retry_after": 0.0}),
        (text, {}),
    )
    times: Shown = {"level": "warning", "last": 61.0, "count": 3}
    return [
        {**times, "event": name, "first": float(index), "fields": {**texts, **more}}
        for index, (name, more) in enumerate(told)
    ]
