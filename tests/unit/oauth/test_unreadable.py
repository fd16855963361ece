"""What is said of a token answer whose body cannot be read."""

import gzip
import json

import pytest

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.oauth.ports import Reply
from sidecar.oauth.refusals import unreadable
from sidecar.oauth.token_response import judge

GRANT = json.dumps({"access_token": "canary", "token_type": "Bearer", "expires_in": 60})
JSON = "application/json"
UNKNOWN = "canary\u00e9"


def said(body: bytes, content_type: str = JSON, coding: str = "", status: int = 200) -> str:
    """What is said of this answer."""
    reply = Reply(status, content_type, body, content_encoding=coding)
    with pytest.raises((TokenUnavailable, TokenRefused)) as caught:
        judge(reply, host="as.test", now=0.0)
    assert "canary" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "content_type", "coding", "cause"),
    [
        (gzip.compress(GRANT.encode(), mtime=0), JSON, "gzip", "compressed (Content-Encoding: gzip)"),
        (gzip.compress(GRANT.encode(), mtime=0), JSON, "", "compressed (Content-Encoding: gzip)"),
        (gzip.compress(GRANT.encode(), mtime=0), JSON, " GZIP ", "compressed (Content-Encoding: gzip)"),
        (b"\x0b\x02canary", JSON, "br", "compressed (Content-Encoding: br)"),
        (b"x\x9ccanary", JSON, "deflate", "compressed (Content-Encoding: deflate)"),
        (b"\x28\xb5\x2f\xfdcanary", JSON, "zstd", "compressed (Content-Encoding: zstd)"),
        (b"\x00canary", JSON, "canary", "compressed (Content-Encoding: an unknown coding)"),
        (GRANT.encode("utf-16"), JSON, "", "not UTF-8 (charset utf-16)"),
        (GRANT.encode("utf-16-le"), f"{JSON}; charset=UTF-16LE", "", "not UTF-8 (charset utf-16le)"),
        (GRANT.encode("utf-16-be"), JSON, "", "not UTF-8 (charset utf-16 or utf-32, not declared)"),
        (
            GRANT.replace("canary", UNKNOWN).encode("latin-1"),
            f'{JSON};charset="ISO-8859-1"',
            "",
            "not UTF-8 (charset iso-8859-1)",
        ),
        (b'{"scope": "\xe9", "access_token": "canary"}', JSON, "", "its body is not UTF-8"),
        (b'{"access_token": "a", "access_token": "canary"}', JSON, "", "the member access_token twice"),
        (b'{"error": null, "error": "canary"}', JSON, "", "the member error twice"),
        (
            b'{"access_token": "a", "x": {"expires_in": 1, "expires_in": 2}}',
            JSON,
            "",
            "the member expires_in twice",
        ),
        (b'{"canary": 1, "canary": 2}', JSON, "", "the member (a name not shown) twice"),
        (b'{"access_token": "canary"', JSON, "", "breaks off or is invalid at character 26 of 25"),
        (b"{'access_token': 'canary'}", JSON, "", "breaks off or is invalid at character 2 of 26"),
        (b"[1]", JSON, "", "an array, not an object"),
        (b"[" * 100_000, JSON, "", "nested too deeply"),
        (b"", JSON, "", "its body is empty"),
        (b" \r\n", "text/plain", "", "its body is empty"),
        (b"<!doctype html><p>canary", "text/html", "", "HTML or XML"),
        (b"\n <Error><Code>canary</Code></Error>", "application/xml", "", "HTML or XML"),
    ],
)
def test_t13_the_cause_of_a_token_answer_that_cannot_be_read_is_named(
    body: bytes, content_type: str, coding: str, cause: str
) -> None:
    """Each by its own words, and without a byte of what may be a token."""
    assert cause in said(body, content_type, coding)


def test_t13_a_refusal_that_cannot_be_read_names_the_cause_too() -> None:
    """The status decides what it is; the reason within is lost, and that is said."""
    assert "refused: 400 without error: its body is compressed" in said(
        gzip.compress(b'{"error": "canary"}', mtime=0), coding="gzip", status=400
    )
    assert said(b"", status=400).endswith("refused: 400 without error")


@pytest.mark.parametrize(
    ("coding", "content_type"),
    [
        ("identity", JSON),
        ("", f"{JSON}; charset=utf-8"),
        ("", f"{JSON}; charset=ISO-8859-1"),
        ("", "text/plain"),
    ],
)
def test_t13_what_can_be_read_is_taken_whatever_is_declared(coding: str, content_type: str) -> None:
    """ASCII is the same in most charsets."""
    reply = Reply(200, content_type, GRANT.encode(), content_encoding=coding)
    assert judge(reply, host="as.test", now=0.0).access_token == "canary"
    assert not unreadable.why(reply)
