"""A refusal as programs and proxies report it."""

import json

import pytest

from sidecar.core.errors import RequestRefused
from sidecar.core.secret import fingerprint
from sidecar.http1.message import parse_request
from sidecar.token_api.reports import Report, read_proxy_report, read_report

KEY = bytes(32)
CHALLENGE = 'Bearer error="invalid_token"'


def test_b91_a_report_is_read() -> None:
    """One challenge, several, or none."""
    assert read_report(b'{"fp": "ab", "status": 401}') == Report("ab", 401, ())
    one = json.dumps({"fp": "ab", "status": 440, "www_authenticate": CHALLENGE}).encode()
    assert read_report(one) == Report("ab", 440, (CHALLENGE.encode(),))
    two = json.dumps({"fp": "ab", "status": 401, "www_authenticate": ["Basic", CHALLENGE]}).encode()
    assert read_report(two) == Report("ab", 401, (b"Basic", CHALLENGE.encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"[]", b"null", b'"ab"', b"{}", b'{"fp": "ab"}', b'{"status": 401}', b'{"fp": 1, "status": 401}',
        b'{"fp": "", "status": 401}', b'{"fp": "ab", "status": "401"}', b'{"fp": "ab", "status": 200}',
        b'{"fp": "ab", "status": true}', b'{"fp": "ab", "status": 401.0}', b'{"fp": "ab", "status": 600}',
        b'{"fp": "ab", "status": 401, "www_authenticate": 1}', b'{"fp": "ab", "status": 401, "www_authenticate": [1]}',
        b'{"fp": "ab", "status": 401, "www_authenticate": null}', b'{"fp": "ab", "status": 401, "error": "x"}',
        b'{"fp": ["ab"], "status": 401}', b"[" * 5000, b'{"fp": "\xff", "status": 401}', b"\xff\xfe{",
    ],
)  # fmt: skip
def test_b91_a_malformed_report_is_refused(body: bytes) -> None:
    """With the form to send."""
    with pytest.raises(RequestRefused, match=r"cannot read the report: .*; send") as refusal:
        read_report(body)
    assert refusal.value.status == 400


def proxied(*fields: str) -> Report:
    lines = ("GET /refused/ledger HTTP/1.1", "Host: shop.example", *fields, "", "")
    return read_proxy_report(parse_request("\r\n".join(lines).encode()), KEY)


def test_b91_a_proxys_report_is_read_from_its_fields() -> None:
    """The token is recognised by its fingerprint."""
    fp = fingerprint(KEY, "secret")
    assert proxied("Authorization: Bearer secret", "Sidecar-Refused-Status: 401") == Report(fp, 401, ())
    both = ("WWW-Authenticate: Basic", f"WWW-Authenticate: {CHALLENGE}")
    found = proxied("Authorization: bearer secret", "Sidecar-Refused-Status: 440", *both)
    assert found == Report(fp, 440, (b"Basic", CHALLENGE.encode()))


@pytest.mark.parametrize(
    "fields",
    [
        (), ("Authorization: Bearer secret",), ("Sidecar-Refused-Status: 401",),
        ("Authorization: Basic secret", "Sidecar-Refused-Status: 401"),
        ("Authorization: Bearer", "Sidecar-Refused-Status: 401"),
        ("Authorization: Bearer a b", "Sidecar-Refused-Status: 401"),
        ("Authorization: Bearer secret", "Sidecar-Refused-Status: 200"),
        ("Authorization: Bearer secret", "Sidecar-Refused-Status:"),
        ("Authorization: Bearer secret", "Sidecar-Refused-Status: 401, 401"),
        ("Authorization: Bearer secret", "Authorization: Bearer other", "Sidecar-Refused-Status: 401"),
    ],
)  # fmt: skip
def test_b91_a_malformed_proxys_report_is_refused(fields: tuple[str, ...]) -> None:
    """With the field that is at fault."""
    with pytest.raises(RequestRefused) as refusal:
        proxied(*fields)
    assert refusal.value.status == 400
