"""The live page as it is served: what a browser may do with it, and what it costs."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import pytest

from sidecar.telemetry.events import Event
from tests import ROOT
from tests.support.admin_server import TOKEN, Rig, State, bust, running


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running(State()) as rig:
        yield rig


async def test_the_page_is_one_file_that_asks_nobody_else(rig: Rig) -> None:
    """No script, style, font or picture comes from elsewhere, or from another file."""
    status, headers, body = await rig.ask("GET", "/")
    html = body.decode()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert re.findall(r"(?:src|href|action)=[\"'](?!data:image/svg\+xml,|status)[^\"']*", html) == []
    assert "@import" not in html
    assert re.findall(r"url\(", html) == []
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Storage|cookie", html
    )


def test_the_pages_words_are_about_events_and_fields_there_are() -> None:
    """An event without words of its own is shown by its name and fields."""
    script = (ROOT / "sidecar/admin/page.html").read_text().split("const SAYS = {")[1].split("\n};")[0]
    told = dict(re.findall(r"^  (\w+): (.*?)(?=^  \w+: |\Z)", script, re.DOTALL | re.MULTILINE))
    events = {event.name: event for event in Event.__subclasses__()}
    assert len(told) > 15
    assert set(told) <= set(events)
    for name, words in told.items():
        assert set(re.findall(r"\bf\.(\w+)", words)) <= {field.name for field in fields(events[name])}, name


async def test_the_policy_lets_run_what_is_in_the_page_and_nothing_else(rig: Rig) -> None:
    """By hash: neither inline handlers nor injected code; no site may frame it."""
    _, headers, body = await rig.ask("GET", "/")
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    hashes = {}
    for kind in ("script", "style"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[f"{kind}-src"] = f"'sha256-{digest}'"
    assert policy == {
        "default-src": "'none'",
        **hashes,
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((), 200),
        (("Origin: http://a",), 200),
        (("Origin: https://A", "Sec-Fetch-Site: same-origin"), 200),
        (("Sec-Fetch-Site: none",), 200),
        (("Origin: http://b",), 403),
        (("Origin: http://a:8080",), 403),
        (("Origin: null",), 403),
        (("Origin: ",), 403),
        (("Origin: http://a.evil.example",), 403),
        (("Sec-Fetch-Site: cross-site",), 403),
        (("Sec-Fetch-Site: same-site", "Origin: http://a"), 403),
    ],
)
async def test_b83_a_page_of_another_site_cannot_bust(rig: Rig, fields: tuple[str, ...], status: int) -> None:
    """Not even with the token; our own page is known by whatever name it was reached."""
    rig.state.names = {"a"}
    head, told = await bust(rig, b'{"tenant": "acme"}', *fields, host="a")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (rig.state.busted == []) is (status == 403)
    assert TOKEN not in str(told)


@pytest.mark.parametrize(
    ("authorization", "fields", "status"),
    [
        (f"Bearer {TOKEN}", (), 200),
        (f"bearer  {TOKEN} ", ("Origin: http://a",), 200),
        ("", (), 401),
        ("Bearer", (), 401),
        ("Bearer wrong", (), 401),
        (f"Bearer {TOKEN}2", (), 401),
        (f"Bearer {TOKEN[:-1]}", (), 401),
        (f"Basic {TOKEN}", (), 401),
        (f"Bearer {TOKEN}", (f"Authorization: Bearer {TOKEN}",), 401),
        (f"Bearer {TOKEN}", ("Origin: http://b",), 403),
        (f"Bearer {TOKEN}", ("Sec-Fetch-Site: cross-site",), 403),
    ],
)
async def test_o16_an_admin_token_is_checked_without_a_bust(
    rig: Rig, authorization: str, fields: tuple[str, ...], status: int
) -> None:
    """By the rules of a bust, so that a page can refuse a wrong one at once; no answer has the token."""
    rig.state.names = {"a"}
    head, told = await bust(rig, b"{}", *fields, authorization=authorization, host="a", path="/allowed")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (told == {"accepted": True}) is (status == 200)
    assert TOKEN not in str(told)
    assert rig.state.busted == []


async def test_o16_no_admin_token_is_accepted_where_none_is_configured(rig: Rig) -> None:
    """The answer says what is missing; `GET` is not allowed."""
    rig.state.token = None
    head, told = await bust(rig, b"{}", path="/allowed")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert "admin.token" in str(told["detail"])
    assert (await rig.ask("GET", "/allowed"))[0] == 405


def test_the_page_is_in_the_wheel(tmp_path: Path) -> None:
    """Users who install the package have it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert "sidecar/admin/page.html" in zipfile.ZipFile(wheel).namelist()
