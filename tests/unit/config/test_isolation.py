"""What `isolate` of a route requires elsewhere in the configuration."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.config_files import SECRETS, faults, read, tree, write

OWN = {"grant": "token_exchange", "subject": {"header": "X-Subject"}}
ACTOR = {
    "grant": "token_exchange",
    "subject": {"file": "FILE"},
    "actor": {"header": "X-Actor", "type": "jwt"},
}


def with_token(isolate: str, more: dict[str, Any], *, tenants: bool) -> dict[str, Any]:
    """A good tree whose route isolates in this way."""
    changed = tree(routes__0__isolate=isolate)
    changed["tokens"]["t"].update(more)
    if tenants:
        changed["tenant"] = {"header": "X-Tenant-Id"}
    return changed


@pytest.mark.parametrize(
    ("isolate", "more", "tenants"),
    [
        ("none", {}, False),
        ("none", OWN, True),
        ("tenant", {}, True),
        ("tenant", OWN, True),
        ("caller", OWN, False),
        ("caller", OWN, True),
        ("caller", ACTOR, False),
    ],
)
def test_s6_isolation_is_what_the_route_has(
    tmp_path: Path, isolate: str, more: dict[str, Any], *, tenants: bool
) -> None:
    """As written; without the key there is none."""
    subject = write(tmp_path / "subject", "a.b.c")
    document = write(tmp_path / "x", "")
    text = str(with_token(isolate, more, tenants=tenants)).replace("FILE", subject)
    (route,) = read(tmp_path, text).routes
    assert (route.isolate, route.owner, document != "") == (isolate, "", True)
    assert read(tmp_path, tree()).routes[0].isolate == "none"


@pytest.mark.parametrize(
    ("isolate", "more", "tenants", "token", "fault"),
    [
        ("tenant", {}, False, "t", "tenant requires a tenant section, and a token for the route"),
        ("tenant", {}, True, None, "tenant requires a tenant section, and a token for the route"),
        ("caller", {}, False, "t", "caller requires that t has a subject or actor with a header"),
        ("caller", {}, True, "t", "caller requires that t has a subject or actor with a header"),
        ("caller", {}, False, None, "caller requires a token for the route"),
        ("each", {}, False, "t", "none"),
        (True, {}, False, "t", ""),
    ],
)
def test_s6_isolation_that_cannot_be_is_a_fault(  # noqa: PLR0917  one row of the table
    tmp_path: Path, isolate: Any, more: dict[str, Any], tenants: bool, token: str | None, fault: str
) -> None:
    """Else it would isolate nothing, silently."""
    document = with_token(isolate, more, tenants=tenants)
    if token is None:
        del document["routes"][0]["token"]
    (found,) = faults(write(tmp_path / "config.yaml", document), SECRETS)
    assert found.path == "routes[0].isolate"
    assert fault in found.reason


def test_s6_a_token_that_is_faulty_itself_is_not_told_of_twice(tmp_path: Path) -> None:
    """What its route isolates by is not known then."""
    for more, path in (
        ({**OWN, "grant": "banana"}, "tokens.t.grant"),
        ({**OWN, "subject": {"header": "no field name"}}, "tokens.t.subject.header"),
        ({**OWN, "subject": []}, "tokens.t.subject"),
    ):
        document = with_token("caller", more, tenants=False)
        found = faults(write(tmp_path / "config.yaml", document), SECRETS)
        assert [fault.path for fault in found] == [path]
