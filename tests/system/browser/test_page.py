"""The live page in a real browser."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.async_api import expect

from sidecar.admin.events_stream import MAX_SUBSCRIBERS
from tests.support.admin_server import TOKEN
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.browser import DESK, PHONE, Browser, Scheme, browsing, chromium_running
from tests.support.json_fields import names
from tests.support.sidecar import CANARY, Start
from tests.support.status_sample import sample, showing
from tests.support.upstream import FaultProxy, Upstream, refusal

TENANT = {"header": "X-Tenant-Id", "default": "acme"}
OPERATOR = "canary-operator-token"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"


@pytest.fixture
def admin_settings(tmp_path: Path) -> Mapping[str, object]:
    """With a token for busts."""
    (tmp_path / "operator").write_text(OPERATOR)
    return {"listen": "127.0.0.1:0", "token": {"file": str(tmp_path / "operator")}}


async def given_away(browser: Browser) -> bool:
    """Whether a canary got into the document, its storage, its address or what it asked for."""
    seen = await browser.page.evaluate(
        "document.documentElement.outerHTML + document.title + location.href + JSON.stringify({...localStorage})"
        " + JSON.stringify({...sessionStorage}) + document.cookie"
        " + [...document.querySelectorAll('input')].map((each) => each.value).join()"
    )
    return CANARY.decode() in seen + "".join(browser.asked)


async def test_values_change_with_traffic(sidecar: Start, authorization_server: AuthorizationServer) -> None:
    """Requests, errors, tokens, a refusal and its cure appear without a reload."""
    async with sidecar(tenant=TENANT) as running, browsing() as browser:
        await browser.open(running.app.admin_address)
        await browser.says("#calm", "Nothing found in this pod.")
        await browser.says("#routes", "0 in all")
        for _ in range(3):
            await running.get(b"/?canary", b"X-Tenant-Id: acme")
        await browser.says("#routes", "3 in all")
        await browser.says("#tokens tr", "acme")
        await browser.says("#health", "Authorization server")
        authorization_server.revoke("canary-token-1")
        assert (await running.get(b"/", b"X-Tenant-Id: acme")).status == 200
        await browser.says("#events li", "healed")
        await browser.says("#events li", "the upstream refused token")
        await browser.says("#routes", "4 in all")
        assert not await given_away(browser)
        await browser.kept_to_itself()


async def test_o2_a_refusal_that_is_relayed_is_wrong_now_with_its_scope(
    sidecar: Start, upstream: Upstream
) -> None:
    """The on-call engineer sees which scope the upstream requires; two minutes after the last one it is over."""
    challenge = b'Bearer error="insufficient_scope", scope="orders:write"'
    async with sidecar(tenant={"header": "X-Tenant-Id"}) as running, browsing() as browser:
        await browser.open(running.app.admin_address)
        await browser.says("#calm", "Nothing")
        upstream.script(refusal(challenge, 403))
        assert (await running.get(b"/", b"X-Tenant-Id: globex")).status == 403
        await browser.says("#troubles .what", "Route api: the upstream refused the token of tenant globex")
        await browser.says("#troubles .why", "403 insufficient_scope; requires scope orders:write")
        await running.clock.advance(121)
        await browser.says("#calm", "Nothing")
        await browser.kept_to_itself()


async def test_what_is_wrong_is_told_with_tenant_service_token_since_and_why(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """The first lines answer the on-call engineer's first questions; they disappear when it is over."""
    authorization_server.script(*[json_answer(400, {"error": "invalid_scope"})] * 2)
    async with sidecar(tenant={"header": "X-Tenant-Id"}) as running, browsing() as browser:
        await browser.open(running.app.admin_address)
        await running.get(b"/", b"X-Tenant-Id: globex")
        await running.clock.advance(7)
        await browser.says("#troubles .what", "No token for tenant globex, service app, token api")
        await browser.says("#troubles .why", "invalid_scope")
        await browser.says("#troubles .since", ", 7 s")
        await browser.says("#troubles .what", "Route api: 100 % of its requests fail")
        await browser.says("#troubles .why", "token_refused (1)")
        assert "(2)" in await browser.page.title()
        authorization_server.scripts.clear()
        await running.get(b"/", b"X-Tenant-Id: globex")
        await running.clock.advance(60)
        await browser.says("#calm", "Nothing")
        assert not await given_away(browser)
        await browser.kept_to_itself()


async def test_b52_busts_take_the_admin_token_which_stays_in_the_pages_memory(
    sidecar: Start, admin_settings: Mapping[str, object]
) -> None:
    """No button without it; a wrong one is refused at once; the right one drops the tokens."""
    async with sidecar(tenant=TENANT, admin=admin_settings) as running, browsing() as browser:
        page = browser.page
        await running.get(b"/", b"X-Tenant-Id: acme")
        await browser.open(running.app.admin_address)
        await browser.says("#tokens", "acme")
        assert await page.locator("button.bust").count() == 0
        await browser.enter("canary-not-the-token")
        await browser.says("#unlock-outcome", "Wrong admin token")
        await expect(page.locator("button.bust")).to_have_count(0)
        assert len(await running.tokens()) == 1
        assert browser.complaints == [
            "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
        ]
        browser.complaints.clear()
        await page.keyboard.press("Escape")
        await browser.unlock(OPERATOR)
        await page.get_by_role("button", name="Bust tenant acme, service app").click()
        await page.get_by_label("Tenant acme, every service").check()
        await page.locator("#bust-now").click()
        await browser.says("#outcome", "tenant=acme: 1 pod answered: ")
        await browser.says("#outcome", " dropped 1.")
        assert await running.tokens() == []
        await page.get_by_role("button", name="Close").click()
        await browser.says("#no-tokens", "No token")
        await browser.says("#events li", "Bust by an operator: tenant=acme")
        assert not await given_away(browser)
        await page.get_by_role("button", name="Lock busts").click()
        await expect(page.locator("#unlock")).to_be_visible()
        await page.reload()
        await expect(page.locator("#unlock")).to_be_visible()
        await browser.kept_to_itself()


async def test_without_a_configured_token_the_page_says_that_busts_are_off(sidecar: Start) -> None:
    """There is nothing to unlock."""
    async with sidecar() as running, browsing() as browser:
        await running.get()
        await browser.open(running.app.admin_address)
        await browser.says("#busts-off", "Busts are disabled: no admin.token is configured")
        assert not await browser.page.locator("#unlock").is_visible()
        assert await browser.page.locator("button.bust").count() == 0


async def test_lost_contact_is_shown_and_ends_by_itself(sidecar: Start) -> None:
    """Also where the connection is there and silent; what is shown is then as it is now."""
    async with sidecar() as running, FaultProxy(running.app.admin_address) as between, browsing() as browser:
        address = between.url.removeprefix("http://")
        await browser.open(address)
        await browser.says("#live", "live")
        between.flowing.clear()
        await browser.says("#lost", "Connection lost at ")
        between.flowing.set()
        await expect(browser.page.locator("#lost")).to_be_hidden()
        await between.stop()
        await browser.says("#live", "connection lost")
        await running.get()
        await between.start(int(address.rpartition(":")[2]))
        await browser.says("#live", "live")
        await browser.says("#routes", "1 in all")
        await expect(browser.page.locator("#lost")).to_be_hidden()


async def test_one_page_too_many_asks_for_itself(sidecar: Start) -> None:
    """It has no live events and stays up to date all the same."""
    async with sidecar() as running, browsing() as browser:
        host, port = running.app.admin_address.rsplit(":", 1)
        writers = []
        for _ in range(MAX_SUBSCRIBERS):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"data: ")
            writers.append(writer)
        await browser.open(running.app.admin_address)
        await running.get()
        await browser.says("#routes", "1 in all")
        await browser.says("#live", "live")
        for writer in writers:
            writer.close()


async def test_a_filter_finds_a_tenant(sidecar: Start) -> None:
    """Part of its name will do."""
    async with sidecar(tenant=TENANT) as running, browsing() as browser:
        for tenant in (b"acme", b"globex"):
            await running.get(b"/", b"X-Tenant-Id: " + tenant)
        await browser.open(running.app.admin_address)
        await expect(browser.page.locator("#tokens tr")).to_have_count(2)
        await browser.page.get_by_label("Tenant").fill("GLO")
        await expect(browser.page.locator("#tokens tr")).to_have_count(1)
        await browser.says("#tokens tr", "globex")


# Texts that clients can influence, and properties of any page: on a server whose state the test sets


async def test_the_sample_has_every_field_there_is(sidecar: Start, upstream: Upstream) -> None:
    """So that what follows is about the page as it will be."""
    upstream.script(refusal(b"", 503))
    async with sidecar() as running:
        await running.get()
        assert sorted(names(sample())) == sorted(names(await running.status()))


async def test_whatever_strangers_write_is_shown_as_text(sidecar: Start) -> None:
    """Markup in any name, path, id or reason stays what it is, in the dialogs too."""
    async with showing(sample(HOSTILE)) as server, browsing() as browser:
        page = browser.page
        await browser.open(server.address)
        await browser.unlock(TOKEN)
        for part in ("#pod", "#ready", "#facts", "#troubles", "#routes", "#tokens", "#health", "#events"):
            await browser.says(part, HOSTILE)
        await page.locator("button.bust").first.click()
        await browser.says("#choices", HOSTILE)
        assert await page.locator("img").count() == 0
        assert await page.locator("script").count() == 1
        assert "owned" not in (await page.title()).replace(HOSTILE, "")
        assert await page.evaluate("window.violations") == []
        assert browser.complaints == []


SIZES = (PHONE, (760, 900), (1024, 768), DESK)
_WIDEST = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
_ALL_FIT = "[...document.querySelectorAll('.scroll')].every((each) => each.scrollWidth <= each.clientWidth)"


async def test_nothing_is_wider_than_the_screen() -> None:
    """On a phone too, and with the longest ids there can be; tables read as such there."""
    widest, tables = {}, {}
    async with showing(sample("long-" * 25 + "id")) as server, chromium_running() as opened:
        for size in SIZES:
            async with opened(size=size) as browser:
                await browser.open(server.address)
                await browser.unlock(TOKEN)
                widest[size] = await browser.page.evaluate(_WIDEST)
                if size == PHONE:
                    assert await browser.page.evaluate(_ALL_FIT)
                for name in ("Routes", "Tokens", "Dependencies"):
                    table = browser.page.get_by_role("table", name=name)
                    rows, cells = table.get_by_role("row"), table.get_by_role("cell")
                    tables[size, name] = await rows.count() > 1 and await cells.count() > 2
                await browser.kept_to_itself()
    assert {size: width for size, width in widest.items() if width > size[0]} == {}
    assert [each for each, is_one in tables.items() if not is_one] == []


_FAINT = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((each) => {
    const part = each / 255;
    return part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  }).reduce((sum, part, index) => sum + part * [.2126, .7152, .0722][index], 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = rgba(getComputedStyle(each).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("script")) continue;
    const [one, other] = [rgba(getComputedStyle(element).color), ground(element)].map(light);
    const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
    if (ratio < 4.5) faint.push(`${element.tagName}.${element.className} ${element.textContent.trim()} ${ratio}`);
  }
  return [light(ground(document.body)), faint];
}
"""


async def test_all_text_can_be_read_in_light_and_dark() -> None:
    """Contrast of 4.5 to 1 and more (WCAG 2.2, 1.4.3), in the colours that the browser asks for."""
    schemes: Mapping[Scheme, bool] = {"light": False, "dark": True}
    async with showing(sample()) as server, chromium_running() as opened:
        for scheme, dark in schemes.items():
            async with opened(scheme=scheme) as browser:
                await browser.open(server.address)
                await browser.unlock(TOKEN)
                await browser.page.locator("button.bust").first.click()
                ground, faint = await browser.page.evaluate(_FAINT)
                assert (scheme, faint) == (scheme, [])
                assert (ground < 0.1) is dark, scheme


async def test_the_keyboard_reaches_everything_and_keeps_its_place() -> None:
    """Every control has a name, and updates take the focus from none."""
    async with showing(sample()) as server, browsing() as browser:
        page = browser.page
        await browser.open(server.address)
        await browser.unlock(TOKEN)
        reached = []
        for _ in range(12):
            await page.keyboard.press("Tab")
            reached.append(
                await page.evaluate("document.activeElement.ariaLabel || document.activeElement.id")
            )
        assert {"lock", "tenant", "service", "events"} <= set(reached)
        assert {f"Bust tenant {tenant}, service x" for tenant in ("x", "x1", "x2")} <= set(reached)
        await page.get_by_role("button", name="Bust tenant x1, service x").focus()
        elements = await page.locator("*").count()
        for _ in range(5):
            await browser.event()
        assert await page.locator("*").count() == elements
        assert await page.evaluate("document.activeElement.ariaLabel") == "Bust tenant x1, service x"
        unnamed = "[...document.querySelectorAll('input')].filter((each) => !each.labels.length).length"
        assert await page.evaluate(unnamed) == 0


async def test_nothing_moves_for_who_wants_that() -> None:
    """prefers-reduced-motion."""
    moving = {}
    async with showing(sample()) as server, chromium_running() as opened:
        for calm in (False, True):
            async with opened(calm=calm) as browser:
                await browser.open(server.address)
                moving[calm] = await browser.page.evaluate("document.getAnimations().length")
        assert moving[True] == 0
        assert moving[False] > 0


async def test_o7_the_page_shows_the_findings_of_status_and_nothing_of_its_own() -> None:
    """In their order, with gravity, since when, last tried, cause, effect and what to do; without any it is calm."""
    whole = sample()
    findings = whole["findings"]
    assert isinstance(findings, list)
    bare = {**findings[1], "what": "y", "effect": "", "since": None, "last_tried": None}
    async with showing({**whole, "findings": [*findings[:1], bare]}) as server, browsing() as browser:
        await browser.open(server.address)
        items = browser.page.locator("#troubles li")
        assert await items.all_inner_texts() == [
            "x\nsince 00:00:40, 60 s; last tried 10 s ago\nx\nX\nX",
            "y\nx\nX",
        ]
        marks = [await each.locator(".mark").get_attribute("aria-label") for each in await items.all()]
        assert marks == ["failing", "warning"]
        await browser.kept_to_itself()
    async with showing({**whole, "findings": []}) as server, browsing() as browser:
        await browser.open(server.address)
        await browser.says("#calm", "Nothing found in this pod.")
        assert await browser.page.title() == "x · sidecar"


@pytest.mark.parametrize(
    ("text", "shown", "code"),
    [
        (
            "`sidecar check` names it; see `to.do`",
            "sidecar check names it; see to.do",
            ["sidecar check", "to.do"],
        ),
        ("set `a`", "set a", ["a"]),
        ("`a``b` c", "ab c", ["a", "b"]),
        ("no code", "no code", []),
        ("`<b>x</b>` is text", "<b>x</b> is text", ["<b>x</b>"]),
        ("one ` is no code", "one ` is no code", []),
        ("`a` and one `more", "a and one `more", ["a"]),
        ("", "", []),
    ],
)
async def test_code_in_findings_is_shown_as_code(text: str, shown: str, code: list[str]) -> None:
    """The backticks of what to do are marks, not text; a backtick without another stays."""
    whole = sample()
    findings = whole["findings"]
    assert isinstance(findings, list)
    found = {**findings[0], "cause": text, "action": text}
    async with showing({**whole, "findings": [found]}) as server, browsing() as browser:
        await browser.open(server.address)
        await browser.page.locator("#troubles li").wait_for()
        why = browser.page.locator("#troubles li .why")
        for at in (0, 2):
            assert (await why.nth(at).text_content() or "").casefold() == shown.casefold()
        assert await why.nth(0).locator("code").all_text_contents() == code
        await browser.kept_to_itself()


async def test_two_hundred_tokens_are_asked_for_by_name() -> None:
    """Where more are held than shown, the whole name of a tenant goes to the server."""
    shown = sample()
    tokens = shown["tokens"]
    assert isinstance(tokens, list)
    (first, *_) = tokens
    shown["tokens"] = [{**first, "tenant": f"t{index}"} for index in range(200)]
    async with showing(shown) as server, browsing() as browser:
        await browser.open(server.address)
        await browser.says("#tokens-note", "the 200 most recently used")
        await browser.page.get_by_label("Tenant").fill("globex & co")
        async with browser.page.expect_request("**/events?tenant=globex+%26+co"):
            await browser.page.keyboard.press("Enter")
