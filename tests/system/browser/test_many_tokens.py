"""The live page of a large pod: many tokens, one cause of several findings, the admin token checked at once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from playwright.async_api import expect

from sidecar.admin.live_finding import Needs, Seen
from sidecar.admin.route_traffic import Reading
from sidecar.admin.wrong_now import wrong_now
from sidecar.cache.token_status import TokenStatus
from sidecar.core.health import Health
from sidecar.core.secret import Secret
from tests.support.admin_server import TOKEN, State
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.browser import Browser, Pages, Scheme, browsing, chromium_running
from tests.support.npm import installed
from tests.support.sidecar import Start
from tests.support.status_sample import Shown, sample, showing

SIZES = ((390, 844), (768, 1024), (1024, 768), (1400, 990))
SCHEMES: Sequence[Scheme] = ("light", "dark")
LONG = "tenant-of-a-group-with-a-long-name-" * 4
_HEIGHT = "document.documentElement.scrollHeight"
_WIDTH = "document.documentElement.scrollWidth"
_AXE = """
async () => (await axe.run()).violations.map(
  (each) => `${each.id}: ${each.nodes.map((node) => node.target.join(" ")).join(", ")}`
)
"""


def held(name: str, **changes: object) -> Shown:
    tokens = sample()["tokens"]
    assert isinstance(tokens, list)
    return {**tokens[0], "tenant": name, "fp": f"{hash(name) & 0xFFFFFF:012x}", **changes}


def lacking(name: str) -> Shown:
    tokens = sample()["tokens"]
    assert isinstance(tokens, list)
    return {**tokens[2], "tenant": name}


def pod(healthy: int, missing: int = 0, prefix: str = "t") -> Shown:
    """A status with so many tokens."""
    names = [f"{prefix}{index}" for index in range(healthy + missing)]
    return {
        **sample(),
        "tokens": [*map(lacking, names[:missing]), *(held(name) for name in names[missing:])],
    }


def outage() -> Sequence[Shown]:
    """The findings of a server that is down, a token that is missing, and a route that lacks it."""
    down = "no answer from token endpoint auth.test:8443: it did not answer in time"
    token = TokenStatus(
        *("ledger", "app", "acme", "missing", "", "", 0.0, 0.0, 0.0, 0.0, down, 41.0, 90.0),
        reason="unavailable",
    )
    seen = Seen(
        100.0,
        neighbours=[
            ("authorization_server", "auth.test:8443", Health("down", 40.0, down, last_failure=90.0))
        ],
        tokens=[token],
        routes=[("orders", Reading(2.0, 1.0, {"token_unavailable": 9}, None, None, (), 45.0))],
        needs={"orders": Needs("ledger", "https://orders.test")},
    )
    plain = ("kind", "gravity", "what", "cause", "effect", "action", "since", "last_tried", "caused_by")
    scope = ("neighbour", "name", "route", "token", "service", "tenants")
    return [
        {
            **{name: getattr(each, name) for name in plain},
            **{name: getattr(each.scope, name) for name in scope},
        }
        for each in wrong_now(seen)
    ]


@pytest.fixture
async def opened() -> AsyncIterator[Pages]:
    async with chromium_running() as pages:
        yield pages


@pytest.mark.parametrize(("healthy", "missing", "prefix"), [(200, 0, "t"), (190, 10, LONG), (0, 200, "t")])
async def test_o16_two_hundred_tokens_make_no_long_page(
    opened: Pages, healthy: int, missing: int, prefix: str
) -> None:
    """At no width and in no state of theirs; also with the healthy ones shown, and with buttons to bust them."""
    async with showing({**pod(healthy, missing, prefix), "findings": []}) as server:
        for size in SIZES:
            async with opened(size=size) as browser:
                await browser.open(server.address)
                heights = [await browser.page.evaluate(_HEIGHT)]
                await browser.unlock(TOKEN)
                if healthy:
                    await browser.page.locator("#fold-button").click()
                    await expect(browser.page.locator("#healthy tr")).to_have_count(healthy)
                heights.append(await browser.page.evaluate(_HEIGHT))
                assert max(heights) <= 3500, size
                assert await browser.page.evaluate(_WIDTH) <= size[0], size
                await browser.kept_to_itself()


async def test_o16_healthy_tokens_are_one_line_that_a_click_and_a_key_open() -> None:
    """With their number; those in trouble are always shown, and it stays open while values change."""
    async with showing(pod(30, 2)) as server, browsing() as browser:
        page = browser.page
        await browser.open(server.address)
        await browser.says("#fold", "30 healthy tokens")
        fold = page.get_by_role("button", name="30 healthy tokens")
        for keys, shown in ((None, 30), ("Enter", 0), ("Space", 30)):
            if keys is None:
                await fold.click()
            else:
                await fold.press(keys)
            await expect(fold).to_have_attribute("aria-expanded", "true" if shown else "false")
            await expect(page.locator("#healthy tr")).to_have_count(shown)
            await expect(page.locator("#tokens tr")).to_have_count(2)
            await browser.event()
        await expect(page.locator("#healthy tr")).to_have_count(30)
        assert await page.evaluate("document.activeElement.id") == "fold-button"
        await browser.kept_to_itself()


@pytest.mark.parametrize("size", [SIZES[0], SIZES[3]], ids=str)
async def test_o16_opening_the_line_brings_its_tokens_into_view(opened: Pages, size: tuple[int, int]) -> None:
    """Also where many tokens in trouble stand above it."""
    async with showing(pod(60, 40)) as server, opened(size=size) as browser:
        await browser.open(server.address)
        await browser.page.locator("#fold-button").click()
        await expect(browser.page.locator("#fold-button")).to_be_in_viewport()
        await expect(browser.page.locator("#healthy tr").first).to_be_in_viewport()


async def test_o16_a_name_finds_tokens_that_are_folded() -> None:
    """Without a click; when the filter is empty again, they are folded again."""
    async with showing(pod(30, 2)) as server, browsing() as browser:
        page = browser.page
        await browser.open(server.address)
        await page.get_by_label("Tenant").fill("T2")
        await expect(page.locator("#tokens tr")).to_have_count(11)
        await browser.says("#tokens-note", "11 of 32")
        await expect(page.locator("#fold")).to_be_hidden()
        await page.get_by_label("Service").fill("none")
        await browser.says("#no-tokens", "No token matches.")
        await page.get_by_label("Service").fill("")
        await page.get_by_label("Tenant").fill("")
        await expect(page.locator("#fold")).to_be_visible()
        await expect(page.locator("#tokens tr")).to_have_count(2)


async def test_o16_few_healthy_tokens_are_not_folded() -> None:
    """A line in their place would save nothing."""
    async with showing(pod(5, 1)) as server, browsing() as browser:
        await browser.open(server.address)
        await expect(browser.page.locator("#tokens tr")).to_have_count(6)
        await expect(browser.page.locator("#fold")).to_be_hidden()


async def test_o16_one_cause_is_shown_once_and_what_follows_from_it_below() -> None:
    """In the words of `/status`, with what to do about each."""
    findings = outage()
    server, token, route = (str(each["what"]) for each in findings)
    async with showing({**sample(), "findings": findings}) as shown, browsing() as browser:
        await browser.open(shown.address)
        troubles = browser.page.locator("#troubles")
        await expect(troubles.locator("> li")).to_have_count(1)
        assert await troubles.locator("> li > .what").all_inner_texts() == [server]
        assert await troubles.locator(".follows .what").all_inner_texts() == [token, route]
        text = await troubles.inner_text()
        assert text.count(str(findings[0]["cause"])) == 1
        for each in findings:
            action = str(each["action"])
            assert action[1:].replace("`", "") in text  # it is shown as code
        await browser.kept_to_itself()


async def test_o16_a_real_outage_is_one_cause(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """The page of a sidecar whose authorization server answers 503 says so once, and so when it is over."""
    authorization_server.script(*[json_answer(503, {})] * 20)
    async with sidecar(tenant={"header": "X-Tenant-Id"}) as running, browsing() as browser:
        await browser.open(running.app.admin_address)
        await running.get(b"/", b"X-Tenant-Id: globex")
        await browser.says("#troubles > li > .what", "Authorization server")
        await browser.says("#troubles .follows .what", "No token for tenant globex")
        await browser.says("#troubles .follows .what", "Route api: 100 % of its requests fail")
        await expect(browser.page.locator("#troubles > li")).to_have_count(1)
        assert (await browser.text("#troubles")).count("answered 503") == 1
        authorization_server.scripts.clear()
        await running.clock.advance(30)
        await running.get(b"/", b"X-Tenant-Id: globex")
        await running.clock.advance(60)
        await browser.says("#calm", "Nothing")


# The admin token


@pytest.fixture
def admin_settings(tmp_path: Path) -> Mapping[str, object]:
    (tmp_path / "operator").write_text("an-operators-canary")
    return {"listen": "127.0.0.1:0", "token": {"file": str(tmp_path / "operator")}}


@pytest.mark.parametrize(
    "wrong", ["x", "an-operators-canary2", "an-operators", "ünïcode", "two words", "<b>"]
)
async def test_o16_a_wrong_admin_token_is_refused_when_it_is_entered(
    sidecar: Start, admin_settings: Mapping[str, object], wrong: str
) -> None:
    """The dialog stays, says so, and takes another one; nothing is bust meanwhile."""
    async with sidecar(admin=admin_settings) as running, browsing() as browser:
        page = browser.page
        await running.get()
        await browser.open(running.app.admin_address)
        await browser.enter(wrong)
        await browser.says("#unlock-outcome", "Wrong admin token")
        await expect(page.get_by_label("Admin token")).to_be_focused()
        await expect(page.locator("button.bust")).to_have_count(0)
        await page.keyboard.type("an-operators-canary")  # over what is selected
        await page.keyboard.press("Enter")
        await expect(page.locator("button.bust")).to_have_count(1)
        assert len(await running.tokens()) == 1


async def test_o16_a_token_that_cannot_be_checked_unlocks_nothing() -> None:
    """Neither if busts are disabled meanwhile, nor without an answer."""
    state = State()
    async with browsing() as browser:
        async with showing(sample(), state) as server:
            await browser.open(server.address)
            state.token = None
            await browser.enter(TOKEN)
            await browser.says("#unlock-outcome", "Busting is disabled: no readable admin.token")
            await browser.page.keyboard.press("Escape")
            state.token = Secret(TOKEN)
        await browser.enter(TOKEN)
        await browser.says("#unlock-outcome", "No answer: the admin token was not checked.")
        await expect(browser.page.locator("button.bust")).to_have_count(0)


async def test_o16_a_dialog_that_is_closed_unlocks_nothing() -> None:
    """An answer that comes after that is not heard."""
    async with showing(sample()) as server, browsing() as browser:
        page = browser.page
        await browser.open(server.address)
        await page.evaluate(
            "() => { const send = window.fetch; window.fetch = async (...all) => { const answer = await send(...all);"
            " document.getElementById('unlock-dialog').close(); return answer; }; }"
        )
        await browser.enter(TOKEN)
        await page.locator("#unlock-dialog").wait_for(state="hidden")
        await browser.event()
        await expect(page.locator("button.bust")).to_have_count(0)


# Accessibility


async def violations(browser: Browser) -> Sequence[str]:
    """What axe-core finds in the page as it is."""
    folder = installed("axe", Path(__file__).parent / "axe", ("package.json",))
    await browser.page.evaluate((folder / "node_modules/axe-core/axe.min.js").read_text())
    found = await browser.page.evaluate(_AXE)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [SIZES[0], SIZES[2], SIZES[3]], ids=str)
async def test_o16_axe_finds_no_violation(opened: Pages, size: tuple[int, int], scheme: Scheme) -> None:
    """With findings below their cause, folded and shown tokens, long names, and each dialog."""
    state = State()
    shown = {**pod(194, 6, LONG), "findings": [*outage(), *wide()]}
    async with showing(shown, state) as server, opened(size=size, scheme=scheme, calm=True) as browser:
        page = browser.page
        await browser.open(server.address)
        found = {"folded": await violations(browser)}
        await browser.enter("wrong")
        await browser.says("#unlock-outcome", "Wrong admin token")
        found["unlocking"] = await violations(browser)
        await page.keyboard.press("Escape")
        await browser.unlock(TOKEN)
        await page.locator("#fold-button").click()
        found["shown"] = await violations(browser)
        await page.locator("button.bust").first.click()
        found["busting"] = await violations(browser)
        assert {place: each for place, each in found.items() if each} == {}
        assert await page.evaluate(_WIDTH) <= size[0]


def wide() -> Sequence[Shown]:
    """Findings about long names."""
    findings = sample(LONG)["findings"]
    assert isinstance(findings, list)
    return findings
