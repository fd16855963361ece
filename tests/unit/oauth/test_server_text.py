"""An authorization server's own text: kept, bounded, and without secrets."""

import base64
import html
import json
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import NoToken
from sidecar.oauth.ports import Reply
from sidecar.oauth.refusals.server_text import MAX_TEXT, REMOVED, clean, description
from sidecar.oauth.token_response import judge

AZURE = (
    "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
    "value, not the client secret ID, for a secret added to app '11111111-2222-3333-4444-555555555555'."
)
SECRET = "canary/+: ü%secret"
BASIC = base64.b64encode(f"app:{quote_plus(SECRET)}".encode()).decode()
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"


def of_reply(status: int, body: bytes, content_type: str = "application/json") -> str:
    with pytest.raises(NoToken) as raised:
        judge(Reply(status, content_type, body), host="auth.test", now=0.0)
    assert not raised.value.description or raised.value.description not in str(raised.value)
    return raised.value.description


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"error": "invalid_client", "error_description": AZURE}, AZURE[: MAX_TEXT - 1] + "…"),
        ({"error": "invalid_client", "error_description": AZURE[:60]}, AZURE[:60]),
        ({"error": "Invalid client"}, "Invalid client"),
        ({"error": "Invalid client", "error_description": "app is gone"}, "Invalid client: app is gone"),
        ({"errorCode": "invalid_client", "errorSummary": "no such app"}, "invalid_client: no such app"),
        (
            {"ErrorCode": "invalid_client", "Error": "ClientId is Invalid"},
            "ClientId is Invalid: invalid_client",
        ),
        ({"error": {"code": 401, "message": "API key not valid"}}, "API key not valid"),
        ({"fault": {"faultstring": "Invalid ApiKey"}}, "Invalid ApiKey"),
        ({"errors": [{"message": "the realm is unknown"}]}, "the realm is unknown"),
        ({"title": "Forbidden", "detail": "the app is suspended"}, "the app is suspended"),
        ({"message": "Forbidden"}, "Forbidden"),
        ({"error": "invalid_grant", "error_codes": [50034, 7]}, "50034, 7"),
        (
            {"error": "invalid_grant", "error_description": "MFA", "suberror": "basic_action"},
            "MFA: basic_action",
        ),
        (
            {"error": "invalid_grant", "error_description": "a\r\nb\x1b[31m\tc\u2028d\u200be\x00f"},
            "a b[31m c def",
        ),
        ({"error": "invalid_grant", "error_description": "Ungültiger Schlüssel"}, "Ungültiger Schlüssel"),
        ({"error": "invalid_grant", "error_uri": "https://auth.test/why"}, ""),
        ({"error": "invalid_grant", "error_description": 7, "message": [], "fault": {"x": "y"}}, ""),
        ({"error": "invalid_grant", "error_description": ["expired", "twice"]}, "expired"),
        ({"error": ["Invalid client"], "error_description": "no such app"}, "Invalid client: no such app"),
        ({"errors": ["the realm is unknown"]}, "the realm is unknown"),
        ({"errors": "the realm is unknown"}, "the realm is unknown"),
        ({"fault": "Invalid ApiKey"}, "Invalid ApiKey"),
        ({"code": "unauthorized", "reason": "the app is suspended"}, "the app is suspended"),
        ({"status": 403, "cause": "the app is suspended"}, "the app is suspended"),
        ({"error": "invalid_grant", "error_description": "invalid_grant"}, ""),
    ],
)
def test_t11_the_servers_reason_is_kept(members: Mapping[str, object], text: str) -> None:
    """Under any of the names in use, on one line, never in the text that applications may see."""
    assert of_reply(400, json.dumps(members).encode()) == text
    assert of_reply(503, json.dumps(members).encode()) == text


@pytest.mark.parametrize(
    ("status", "body", "content_type", "text"),
    [
        (403, b"the client is suspended\n", "text/plain; charset=utf-8", "the client is suspended"),
        (403, b"<html>Forbidden</html>", "text/html", ""),
        (
            400,
            b"error=invalid_client&error_description=no+such+app",
            "application/x-www-form-urlencoded",
            "no such app",
        ),
        (200, b'{"success": false, "message": "bad client"}', "application/json", "bad client"),
        (401, b'{"error_description": "bad client"}', "application/json", "bad client"),
        (302, b'{"error_description": "moved"}', "application/json", ""),
    ],
)
def test_t11_in_any_failed_answer(status: int, body: bytes, content_type: str, text: str) -> None:
    """A form, plain text, an error with status 200; a page for people is no reason."""
    assert of_reply(status, body, content_type) == text


@pytest.mark.parametrize(
    "quoted",
    [
        SECRET,
        SECRET.upper(),
        quote_plus(SECRET),
        f"Basic {BASIC}",
        f"client_id=app&client_secret={quote_plus(SECRET)}",
        SECRET.replace(" ", "\n"),
        SECRET.replace("s", "s\u200b"),
        JWT,
        JWT[:40],
        f"'{JWT}'",
        f"{quote_plus(SECRET)} {SECRET}{JWT}",
        "x" * (MAX_TEXT - 15) + " " + SECRET,
        "x " * 995 + SECRET,
    ],
)
def test_t11_what_was_sent_is_not_shown(quoted: str) -> None:
    """Whole, cut, in capitals, encoded, or broken up by what is not printed."""
    text = description({"error_description": f"bad: {quoted}"}, "", (SECRET, quote_plus(SECRET), BASIC, JWT))
    assert text.startswith("bad: ")
    assert "ü" not in text
    for secret in (SECRET, quote_plus(SECRET), BASIC, JWT):
        for start in range(len(secret) - 7):
            assert secret[start : start + 8].lower() not in text.lower()


AWKWARD = 'a&b"c/d<e\'f&g/h"i j&k/l'
"""A generated password; each escape breaks it into pieces that are not recognised one by one."""


@pytest.mark.parametrize(
    "quoted",
    [
        html.escape(AWKWARD),
        html.escape(AWKWARD).lower(),
        json.dumps(AWKWARD),
        json.dumps(AWKWARD).replace("/", "\\/"),
        quote(AWKWARD),
        quote(AWKWARD, safe="").lower(),
        " ".join(AWKWARD),
        "\r\n".join(AWKWARD[at : at + 4] for at in range(0, len(AWKWARD), 4)),
        "\t".join(AWKWARD.replace(" ", "")),
    ],
)
def test_t11_a_secret_is_recognised_by_what_it_says(quoted: str) -> None:
    """Escaped for a URL, HTML or JSON, or spread over lines."""
    shown = clean(f"bad: {quoted} ends", (AWKWARD,))
    assert shown.startswith("bad: ")
    assert shown.endswith(" ends")
    assert re.fullmatch(r"""bad: "?\[removed\]"? ends""", shown)


@pytest.mark.parametrize("secret", ["s3cret", "s3cret ", "a"])
def test_t11_a_short_secret_is_one_too(secret: str) -> None:
    """It is looked for as a whole."""
    assert secret.strip() not in clean(f"bad: {secret}", (secret,))


@pytest.mark.parametrize(
    "key",
    [
        JWT,
        "8f14e45fceea167a5a36dedd4bea2543",
        "sk_live_51H8xYzAbCdEfGh12345",
        "7Fjfp0ZBr1KtDRbnfVdmIw",
        "gho_16C7e42F292c6912E7710c838347Ae178B4a",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE1KEY",
        "0a1b2c3d-0a1b2c3d4e5f6a7b8c9d",
    ],
)
def test_t11_what_looks_like_a_token_is_not_shown(key: str) -> None:
    """Another's, or one that was sent another time."""
    shown = clean(f"token {key} is bad")
    assert shown.startswith("token ")
    assert shown.endswith(" is bad")
    assert key[-12:] not in shown
    assert REMOVED in shown


@pytest.mark.parametrize(
    "text",
    [
        AZURE,
        "Trace ID: 1f6c8a9e-0b1d-4a52-9a3e-3f2b6c7d8e90 Timestamp: 2026-11-30 07:00:00Z",
        "unsupported grant urn:ietf:params:oauth:grant-type:token-exchange",
        "https://login.example.com/72f988bf-86f1-41af-91ab-2d7cd011db47/oauth2/v2.0/token",
        "Client 'orders-gateway-service-account-2' is not within the token audience",
        "com.example.oauth.InvalidAuthenticationTokenTenantException",
        "assertion expired at 1764486000, now is 1764486600",
    ],
)
def test_t11_what_helps_to_find_the_cause_is_shown(text: str) -> None:
    """Codes, ids of requests, names, addresses, moments."""
    assert clean(text, (SECRET, JWT)) == text


@given(st.dictionaries(st.sampled_from(["error", "error_description", "message"]), st.text()), st.text())
def test_t11_any_text_is_bounded_and_printable(members: dict[str, object], secret: str) -> None:
    """Whatever is sent."""
    text = description(members, "", (secret,))
    assert len(text) <= MAX_TEXT
    assert text.isprintable()
