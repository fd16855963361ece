"""An authorization server's metadata: where it is, and what of it counts."""

import json

import pytest

from sidecar.core.errors import TokenRefused
from sidecar.oauth.issuer_metadata import Metadata, places, read
from sidecar.oauth.ports import Reply

ISSUER = "https://auth.test/realm"


def answer(document: object, status: int = 200) -> Reply:
    return Reply(status, "application/json", json.dumps(document).encode())


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        (
            "https://a.test",
            "https://a.test/.well-known/openid-configuration",
            "https://a.test/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.test/",
            "https://a.test/.well-known/openid-configuration",
            "https://a.test/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.test:8443/x/y/",
            "https://a.test:8443/x/y/.well-known/openid-configuration",
            "https://a.test:8443/.well-known/oauth-authorization-server/x/y",
        ),
    ],
)
def test_b65_metadata_is_in_two_places(issuer: str, openid: str, oauth: str) -> None:
    """Behind the path as OpenID Connect has it, before it as RFC 8414 section 3.1 does."""
    assert places(issuer) == (openid, oauth)


def test_b65_metadata_names_the_token_endpoint() -> None:
    """Of its own for clients that come with a certificate, if it says so."""
    document = {"issuer": ISSUER, "token_endpoint": "https://auth.test/t"}
    assert read(answer(document), ISSUER) == Metadata(
        ISSUER, "https://auth.test/t", "https://auth.test/t", ""
    )
    document |= {"mtls_endpoint_aliases": {"token_endpoint": "https://mtls.auth.test/t"}}  # type: ignore[dict-item]
    assert read(answer(document), ISSUER) == Metadata(
        ISSUER, "https://auth.test/t", "https://mtls.auth.test/t", ""
    )


@pytest.mark.parametrize(
    "issuer", ["https://auth.test/realm/", "https://evil.test", "HTTPS://auth.test/realm", None]
)
def test_b65_metadata_of_another_issuer_is_refused(issuer: object) -> None:
    """Compared to the letter (RFC 8414 section 3.3)."""
    with pytest.raises(TokenRefused, match="another issuer's"):
        read(answer({"issuer": issuer, "token_endpoint": "https://auth.test/t"}), ISSUER)


@pytest.mark.parametrize(
    "url", [None, 7, "http://auth.test/t", "http://127.0.0.1/t", "https://me:canary@auth.test/t", "/t"]
)
def test_b65_places_that_we_may_not_use_are_as_good_as_absent(url: object) -> None:
    """No secret goes out in the clear, and no key comes in that way."""
    document = {
        "issuer": ISSUER,
        "token_endpoint": url,
        "jwks_uri": url,
        "mtls_endpoint_aliases": {"token_endpoint": url},
    }
    assert read(answer(document), ISSUER) == Metadata(ISSUER, "", "", "")


@pytest.mark.parametrize(
    "reply",
    [
        answer({"issuer": ISSUER, "token_endpoint": "https://auth.test/t"}, 404),
        answer([]),
        answer({}),
        Reply(200, "text/html", b"<html>"),
        Reply(200, "application/json", b"[" * 60_000),
        Reply(200, "application/json", b"\xff"),
    ],
)
def test_whatever_else_is_answered_is_no_metadata(reply: Reply) -> None:
    """There may be some in the other place."""
    assert read(reply, ISSUER) is None
