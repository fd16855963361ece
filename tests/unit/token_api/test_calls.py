"""Calls, by their paths."""

from collections.abc import Mapping

import pytest

from sidecar.core.errors import RequestRefused
from sidecar.token_api.calls import Call, Form, read_call

CALLS: Mapping[bytes, Call] = {
    b"/token/ledger": Call(Form.TOKEN, "ledger", "/token/ledger"),
    b"/token/a.b_c-9": Call(Form.TOKEN, "a.b_c-9", "/token/a.b_c-9"),
    b"/token/refused": Call(Form.TOKEN, "refused", "/token/refused"),
    b"/token/ledger/refused": Call(Form.REPORT, "ledger", "/token/ledger/refused"),
    b"/token/ledger?x": Call(Form.TOKEN, "ledger", "/token/ledger", query=b"?x"),
    b"http://h:1/token/ledger": Call(Form.TOKEN, "ledger", "/token/ledger", authority=b"h:1"),
    b"/authorize/ledger": Call(Form.AUTHORIZE, "ledger", "/authorize/ledger"),
    b"/authorize/ledger/": Call(Form.AUTHORIZE, "ledger", "/authorize/ledger"),
    b"/authorize/ledger?secret=1": Call(Form.AUTHORIZE, "ledger", "/authorize/ledger"),
    b"/authorize/ledger/a/../b?secret=1": Call(Form.AUTHORIZE, "ledger", "/authorize/ledger"),
    b"/authorize/ledger/\xff": Call(Form.AUTHORIZE, "ledger", "/authorize/ledger"),
    b"/refused/ledger/token/other": Call(Form.PROXY_REPORT, "ledger", "/refused/ledger"),
    b"/AuthorizationHeaderUnauthenticated/ledger": Call(
        Form.AGENT, "ledger", "/AuthorizationHeaderUnauthenticated/ledger"
    ),
}


@pytest.mark.parametrize("target", CALLS)
def test_b90_a_path_names_a_call(target: bytes) -> None:
    """The log gets no more of a proxy's path than the entry."""
    assert read_call(target, tenant_in_path=False) == CALLS[target]


TENANTS: Mapping[bytes, tuple[Form, bytes | None]] = {
    b"/t/acme/token/ledger": (Form.TOKEN, b"acme"),
    b"/t/acme/token/ledger/refused": (Form.REPORT, b"acme"),
    b"/t//token/ledger": (Form.TOKEN, b""),
    b"/token/ledger": (Form.TOKEN, None),
    b"/authorize/ledger/t/acme/accounts": (Form.AUTHORIZE, b"acme"),
    b"/refused/ledger/t/acme": (Form.PROXY_REPORT, b"acme"),
    b"/authorize/ledger/accounts/t/acme": (Form.AUTHORIZE, None),
}


@pytest.mark.parametrize("target", TENANTS)
def test_b90_a_path_names_the_tenant_as_on_a_route(target: bytes) -> None:
    """A proxy's path does below the entry."""
    call = read_call(target, tenant_in_path=True)
    assert (call.form, call.tenant) == TENANTS[target]


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"/token", b"/token/", b"/token//ledger", b"/Token/ledger", b"/token/ledger/", b"/authorize",
        b"/authorize/", b"/authorize//token/ledger", b"/authorize/../token/ledger", b"/refused",
        b"/t/acme/token/ledger",
        b"/token/ledger/refused/", b"/token/-x", b"/token/" + b"a" * 65, b"*", b"ledger:443", b"/token/l\xc3\xa9dger",
    ],
)  # fmt: skip
def test_b90_other_paths_are_none(target: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(RequestRefused) as refusal:
        read_call(target, tenant_in_path=False)
    assert refusal.value.status in {400, 404}


@pytest.mark.parametrize(
    "target",
    [b"/authorize/ledger/t/b/%2e%2e/a/x", b"/refused/ledger/t/b/../a", b"/authorize/ledger/t/b/..;/a\xff"],
)
def test_b90_a_tenant_is_not_taken_from_an_ambiguous_path(target: bytes) -> None:
    """The proxy's upstream would see another tenant in it."""
    with pytest.raises(RequestRefused) as refusal:
        read_call(target, tenant_in_path=True)
    assert refusal.value.status == 400
