"""What commands and pages show of the token API."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.in_process import Done, typed_aside
from tests.support.sidecar import Start
from tests.support.token_api import SETTINGS, Program

ENVIRON = {"SECRET": "canary"}
TOKEN = {"token_endpoint": "https://auth.test/token", "credentials": "app", "audience": "for-{tenant}"}
DOCUMENT: dict[str, Any] = {
    "tenant": {"header": "X-Tenant-Id", "allow": ["acme"]},
    "credentials": {"app": {"client_id": "app", "client_secret": {"env": "SECRET"}}},
    "tokens": {"ledger": TOKEN, "kafka": TOKEN},
    "routes": [{"name": "ledger", "upstream": "https://ledger.test", "token": "ledger"}],
    "token_api": {"listen": "127.0.0.1:9182", "tokens": ["ledger", "kafka"], "authorize": True},
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "sidecar.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return str(path)


async def explained(config: str, url: str, *fields: str, method: str = "GET") -> Done:
    headers = [part for field in fields for part in ("-H", field)]
    return await typed_aside("explain", "-c", config, "--json", *headers, method, url, environ=ENVIRON)


async def test_explain_shows_what_a_call_gets(config: str) -> None:
    """By the URL's port: the entry, its token request for this tenant, and what follows each refusal."""
    fields = ("Sidecar-Request: true", "X-Tenant-Id: acme")
    done = await explained(config, "http://localhost:9182/token/kafka", *fields)
    shown = json.loads(done.out)
    assert shown["route"] == "token_api/kafka"
    assert (shown["token"]["name"], shown["token"]["tenant"]) == ("kafka", "acme")
    assert ["audience", "for-acme"] in shown["token"]["form"]
    assert shown["sent"] is None
    assert {"409: no other token helps", "bust; the answer is a new token"} == {
        what for _, what in shown["refusals"]
    }
    assert [(each["name"], each["verdict"]) for each in shown["routes"]] == [
        ("token_api/ledger", "handed out"),
        ("token_api/kafka", "matches"),
    ]


REFUSED: Mapping[str, tuple[str, tuple[str, ...], int, str]] = {
    "no mark": ("/token/kafka", ("X-Tenant-Id: acme",), 403, "foreign_call"),
    "wrong tenant": ("/token/kafka", ("Sidecar-Request: true", "X-Tenant-Id: x"), 400, "unknown_tenant"),
    "not listed": ("/token/other", ("Sidecar-Request: true", "X-Tenant-Id: acme"), 404, "not_listed"),
    "no path": ("/ledger", ("Sidecar-Request: true",), 404, "not_listed"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_explain_shows_why_a_call_is_refused(config: str, name: str) -> None:
    """In the words of the answer, with exit code 1."""
    path, fields, status, word = REFUSED[name]
    done = await explained(config, f"http://127.0.0.1:9182{path}", *fields)
    answer = json.loads(done.out)["answer"]
    assert (done.code, answer["status"], answer["error"]) == (1, status, word)


async def test_explain_of_another_port_is_of_the_routes(config: str) -> None:
    """And so is a path without a host."""
    for url in ("http://127.0.0.1:9180/token/kafka", "/token/kafka"):
        shown = json.loads((await explained(config, url, "X-Tenant-Id: acme")).out)
        assert shown["route"] == "ledger"


async def test_explain_prints_it(config: str) -> None:
    """For people: entries, token request, refusals."""
    fields = ("-H", "Sidecar-Request: true", "-H", "X-Tenant-Id: acme")
    done = await typed_aside(
        "explain", "-c", config, *fields, "GET", "http://127.0.0.1:9182/token/kafka", environ=ENVIRON
    )
    assert done.code == 0
    assert "token_api/kafka   /token/kafka   matches" in done.out
    assert "bust; the answer is a new token" in done.out


async def test_validate_names_it(config: str) -> None:
    """Address, entries, header mode."""
    done = await typed_aside("validate", config, environ=ENVIRON)
    assert "token API 127.0.0.1:9182: hands out ledger, kafka, header mode\n" in done.out


async def test_the_status_shows_it(sidecar: Start) -> None:
    """Also where there is none."""
    async with sidecar(token_api={**SETTINGS, "authorize": True}) as running:
        address = (await Program.of(running)).address
        shown = (await running.status())["token_api"]
    assert shown == {"listen": address, "tokens": ["api"], "authorize": True}
    async with sidecar() as running:
        assert (await running.status())["token_api"] == {"listen": "", "tokens": [], "authorize": False}
