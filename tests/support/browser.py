"""The system's Chromium, driven by Playwright: a page, its complaints and its requests."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, Protocol
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request, async_playwright, expect

from tests.support.required import missing
from tests.support.waiting import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",  # it refuses to start as root with one
    "--disable-gpu",
    "--disable-lcd-text",  # pictures without colours that only one screen shows
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = (360, 740)
DESK = (1440, 1000)
Scheme = Literal["light", "dark"]
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


def chromium() -> str:
    """Return the path of the browser; without one the test is skipped, and fails in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        missing("no Chromium: run `make browser`")
    return found


class Browser:
    """One open page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._requested)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url)

    async def open(self, address: str) -> None:
        """Load the live page and wait for its first event."""
        await self.page.goto(f"http://{address}/")
        await self.page.wait_for_selector("#main:not([hidden])")

    async def event(self) -> None:
        """Wait until the page has shown another event."""
        await self.page.evaluate(
            "new Promise((done) => source.addEventListener('message', () => setTimeout(done), {once: true}))"
        )

    async def enter(self, token: str) -> None:
        """Type the admin token and send it, without a mouse."""
        await self.page.get_by_role("button", name="Unlock busts…").focus()
        await self.page.keyboard.press("Enter")
        await self.page.keyboard.type(token)
        await self.page.keyboard.press("Enter")

    async def unlock(self, token: str) -> None:
        """Enter the admin token, which is the right one."""
        await self.enter(token)
        await self.page.locator("#unlock-dialog").wait_for(state="hidden")

    async def says(self, selector: str, text: str) -> None:
        """Wait until one element that the selector finds has this in its text."""
        await self.page.locator(selector).filter(has_text=text).first.wait_for(state="visible")

    async def text(self, selector: str) -> str:
        return await self.page.locator(selector).first.inner_text()

    async def kept_to_itself(self) -> None:
        """Assert that no request went to another origin, no error was logged, and no policy was violated."""
        origin = urlsplit(self.page.url).netloc
        elsewhere = [
            url for url in self.asked if not url.startswith("data:") and urlsplit(url).netloc != origin
        ]
        assert elsewhere == []
        assert self.complaints == []
        assert await self.page.evaluate("window.violations") == []


class Pages(Protocol):
    """What `chromium_running` gives."""

    def __call__(
        self, *, size: tuple[int, int] = DESK, scheme: Scheme = "light", calm: bool = False
    ) -> AbstractAsyncContextManager[Browser]:
        """Open a page that shares nothing with the other ones; `calm` is who wants nothing to move."""


@asynccontextmanager
async def chromium_running() -> AsyncIterator[Pages]:
    """Start Chromium, for as many pages as the test opens."""
    async with async_playwright() as playwright:
        program = await playwright.chromium.launch(executable_path=chromium(), args=[*ARGUMENTS])

        @asynccontextmanager
        async def opened(
            *, size: tuple[int, int] = DESK, scheme: Scheme = "light", calm: bool = False
        ) -> AsyncIterator[Browser]:
            context = await program.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme=scheme,
                reduced_motion="reduce" if calm else "no-preference",
                timezone_id="UTC",
            )
            await context.add_init_script(_WATCH)
            page = await context.new_page()
            expect.set_options(timeout=PATIENCE * 1000)
            page.set_default_timeout(PATIENCE * 1000)
            try:
                yield Browser(page)
            finally:
                await context.close()

        try:
            yield opened
        finally:
            await program.close()


@asynccontextmanager
async def browsing(*, size: tuple[int, int] = DESK) -> AsyncIterator[Browser]:
    """Start Chromium for one page."""
    async with chromium_running() as opened, opened(size=size) as browser:
        yield browser
