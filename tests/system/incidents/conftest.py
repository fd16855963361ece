"""A sidecar process with a token, and the view that its operator has."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import File, Process, serving, spawn, with_token
from tests.support.upstream import Upstream
from tests.system.incidents.operators_view import OperatorsView, holds


class Watched(NamedTuple):
    """A process, and how its operator sees it."""

    process: Process
    view: OperatorsView

    async def requests(self, count: int = 10) -> list[int]:
        """Send requests one after the other; return their statuses."""
        return [(await self.process.get())[0] for _ in range(count)]

    async def shows_metric(self, condition: str) -> bool:
        """Return whether the condition holds by now."""
        return holds(condition, await self.view.metrics())


class Start(Protocol):
    """What the `watched` fixture gives."""

    def __call__(
        self, *, environ: Mapping[str, str] | None = None, **changes: object
    ) -> AbstractAsyncContextManager[Watched]:
        """Start with one route and its token; `changes` are to the document."""


@pytest.fixture
def watched(
    file: File,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    secret_file: Path,
    tmp_path: Path,
) -> Start:
    """Start a sidecar that is healthy until the test causes an incident."""

    @asynccontextmanager
    async def start(*, environ: Mapping[str, str] | None = None, **changes: object) -> AsyncIterator[Watched]:
        document = {**with_token(upstream, authorization_server, secret_file), **changes}
        async with serving(await spawn(file, document, environ=environ)) as process:
            yield Watched(process, OperatorsView(process, tmp_path))

    return start
