"""Token replies as judged."""

import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.oauth.ports import Reply
from sidecar.oauth.token_response import DEFAULT_LIFE, MAX_LIFE, host_of, judge

NOW = 1_800_000_000.0
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def answer(body: object, status: int = 200, content_type: str = JSON, retry_after: str = "") -> Reply:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, content_type, encoded, retry_after)


def jwt(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{middle}.c2ln"


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        (3600, 3600),
        (59.5, 59.5),
        ("3600", 3600),
        ("3600.5", 3600.5),
        (" 60 ", 60),
        ("1e3", 1000),
        (10**9, MAX_LIFE),
        (10**400, MAX_LIFE),
        (float("inf"), MAX_LIFE),
        ("99999999999999999999", MAX_LIFE),
        (0, DEFAULT_LIFE),
        ("0", DEFAULT_LIFE),
        (-5, DEFAULT_LIFE),
        (None, DEFAULT_LIFE),
        ("", DEFAULT_LIFE),
        ("soon", DEFAULT_LIFE),
        ("1_000", DEFAULT_LIFE),
        ("inf", DEFAULT_LIFE),
        (True, DEFAULT_LIFE),
        (float("nan"), DEFAULT_LIFE),
        ([60], DEFAULT_LIFE),
        ({}, DEFAULT_LIFE),
    ],
)
def test_b08_odd_expires_in_has_a_documented_result(expires_in: object, life: float) -> None:
    """The table at the head of the module, row by row; a JWT's `exp` stands in for whatever is no number."""
    body: dict[str, object] = {"access_token": "opaque", "token_type": "Bearer", "expires_in": expires_in}
    assert judge(answer(body), host="auth.test", now=NOW).life == life
    expected = 77 if life == DEFAULT_LIFE else life
    assert (
        judge(answer({**body, "access_token": jwt({"exp": NOW + 77})}), host="auth.test", now=NOW).life
        == expected
    )


@pytest.mark.parametrize(
    ("token", "life"),
    [
        (jwt({"exp": NOW + 120}), 120),
        (jwt({"exp": str(int(NOW) + 120)}), 120),
        (jwt({"exp": NOW - 1}), -1),
        (jwt({"sub": "me"}), DEFAULT_LIFE),
        (jwt([1]), DEFAULT_LIFE),
        ("a.b.c", DEFAULT_LIFE),
        ("a.!!!.c", DEFAULT_LIFE),
        ("a." + base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("=") + ".c", DEFAULT_LIFE),
        ("opaque", DEFAULT_LIFE),
    ],
)
def test_b08_without_expires_in_the_jwt_tells(token: str, life: float) -> None:
    """Decoded without verification: it is a hint about the life and nothing else."""
    assert judge(answer({"access_token": token}), host="auth.test", now=NOW).life == life


NO_LIFE: list[object] = [
    "0",
    "-1",
    -1,
    0.0,
    -0.0,
    -0.5,
    "0.0",
    "-0",
    " 0 ",
    "-1e9",
    -(10**400),
    float("-inf"),
    "1e-400",
]
AT_ODDS: list[object] = [None, True, False, float("nan"), "", "never", [], {"seconds": 60}]


@pytest.mark.parametrize(
    ("claims", "life"),
    [
        ({"exp": NOW + 77}, 77),
        ({"exp": f"{NOW + 77:.0f}"}, 77),
        ({"exp": NOW + 0.5}, 0.5),
        ({"exp": NOW * 1000}, MAX_LIFE),
        ({"exp": 10**400}, MAX_LIFE),
        ({"exp": NOW}, 0),
        ({"exp": NOW - 1}, -1),
        ({"exp": 0}, -NOW),
        ({"exp": None}, DEFAULT_LIFE),
        ({"exp": True}, DEFAULT_LIFE),
        ({"exp": float("nan")}, DEFAULT_LIFE),
        ({"exp": "tomorrow"}, DEFAULT_LIFE),
        ({"exp": [NOW + 77]}, DEFAULT_LIFE),
        ({"iat": NOW}, DEFAULT_LIFE),
    ],
)
def test_t3_without_a_positive_expires_in_the_jwt_decides(claims: dict[str, object], life: float) -> None:
    """A server that returns its own cached token may say 0; only the token itself can then be expired."""
    lives = []
    for expires_in in (*NO_LIFE, *AT_ODDS):
        body = {"access_token": jwt(claims), "token_type": "Bearer", "expires_in": expires_in}
        lives.append((expires_in, judge(answer(body), host="auth.test", now=NOW).life))
    assert [(expires_in, found) for expires_in, found in lives if found != life] == []


@pytest.mark.parametrize("expires_in", NO_LIFE)
def test_t3_an_opaque_token_then_lives_five_minutes(expires_in: object) -> None:
    """In either spelling; the other spelling counts where one says nothing."""
    for members in ({"expires_in": expires_in}, {"expiresIn": expires_in}):
        assert judge(answer({"access_token": "opaque", **members}), host="auth.test", now=NOW).life == 300
    both = {"access_token": "opaque", "expires_in": expires_in, "expiresIn": 60}
    assert judge(answer(both), host="auth.test", now=NOW).life == 60


@pytest.mark.parametrize("expires_in", [b"0", b"-1", b"0.0", b"+0", b""])
def test_t3_a_form_says_the_same(expires_in: bytes) -> None:
    """Its values are strings."""
    reply = answer(b"access_token=abc&expires_in=" + expires_in, content_type=FORM)
    assert judge(reply, host="auth.test", now=NOW).life == DEFAULT_LIFE


@pytest.mark.parametrize("expires_in", [1, "1", 0.5, "0.5", 1e-3])
def test_t3_a_life_above_zero_is_taken_at_its_word(expires_in: float | str) -> None:
    """However short, and whatever the JWT says."""
    body = {"access_token": jwt({"exp": NOW + 77}), "expires_in": expires_in}
    assert judge(answer(body), host="auth.test", now=NOW).life == float(expires_in)


@pytest.mark.parametrize(
    "reply",
    [
        answer({"access_token": "abc", "token_type": "Bearer", "expires_in": 60}),
        answer({"access_token": "abc", "token_type": "bearer", "expires_in": "60"}),
        answer({"accessToken": "abc", "tokenType": "BEARER", "expiresIn": 60}),
        answer({"access_token": "abc", "expires_in": 60}),
        answer({"access_token": "abc", "expires_in": 60}, status=201),
        answer({"access_token": "abc", "expires_in": 60}, content_type="text/html"),
        answer({"access_token": "abc", "expires_in": 60}, content_type="Application/JSON; charset=utf-8"),
        answer(b"access_token=abc&token_type=bearer&expires_in=60", content_type=FORM),
        answer(b"access_token=abc&expires_in=60\n", content_type=f"{FORM}; charset=utf-8"),
        answer(b"access_token=abc&expires_in=60&scope=", content_type="text/plain"),
    ],
)
def test_spellings_seen_in_the_wild_are_understood(reply: Reply) -> None:
    """Snake and camel case, JSON and forms, with and without a type."""
    grant = judge(reply, host="auth.test", now=NOW)
    assert (grant.access_token, grant.life) == ("abc", 60)


@pytest.mark.parametrize(
    "kind",
    [
        *["BearerToken", " Bearer ", "Bearer\n", "BEARER", "bearer_token", "bearer-token", "Bearer Token"],
        *["Bearer:", '"Bearer"', "Bearer access token", "OAuthBearer", "OAuth2.0 Bearer", "bearer_auth"],
        *["BearerTokenType", "Bearer JWT", "jwt-bearer", "Authorization: Bearer", "HTTP Bearer"],
        *["urn:ietf:params:oauth:token-type:bearer", ["Bearer"], ["bearer_token"], [None]],
        *["", "  ", "\t", "null", None, False],
    ],
)
def test_t1_what_can_only_mean_bearer_is_bearer(kind: object) -> None:
    """In either spelling of the name, in JSON and in a form; a type without content counts as absent."""
    for name in ("token_type", "tokenType"):
        body = {"access_token": "abc", name: kind, "expires_in": 60}
        assert judge(answer(body), host="auth.test", now=NOW).access_token == "abc"
    if isinstance(kind, str):
        form = urlencode({"access_token": "abc", "token_type": kind}).encode()
        assert judge(answer(form, content_type=FORM), host="auth.test", now=NOW).access_token == "abc"


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        *[(kind, f"type {kind.strip()}") for kind in ("MAC", "DPoP", " dpop ", "N_A", "pop", "JWT", "Basic")],
        *[(kind, f"type {kind}") for kind in ("SAML2", "NotBearer", "access_token", "bearer-dpop")],
        *[(kind, "an unknown type") for kind in ("Bearer, DPoP", "Bearer abc123", "-", "\x1b[31mBearer", 7)],
        *[
            (kind, "an unknown type")
            for kind in (["Bearer", "DPoP"], {"a": 1}, True, "canary-" * 9, "mac\r\nX: y")
        ],
        ("urn:ietf:params:oauth:token-type:jwt", "type urn:ietf:params:oauth:token-type:jwt"),
    ],
)
def test_t1_tokens_of_another_type_are_refused_by_name(kind: object, named: str) -> None:
    """The sidecar cannot use them (RFC 6749 section 7.1); what may be a misplaced token is not named."""
    with pytest.raises(TokenRefused, match="not Bearer") as raised:
        judge(answer({"access_token": "abc", "token_type": kind}), host="auth.test", now=NOW)
    assert f"a token of {named}, which" in str(raised.value)


@pytest.mark.parametrize("kind", ["N_A", "n_a", "N/A", " N_A ", "Bearer", "BearerToken", ""])
def test_a_token_that_is_no_access_token_will_do_where_one_was_requested(kind: str) -> None:
    """RFC 8693 section 2.2.1: `N_A` is then what the server says."""
    body = {"access_token": "abc", "token_type": kind, "expires_in": 60}
    grant = judge(answer(body), host="auth.test", now=NOW, types=frozenset({"bearer", "n_a"}))
    assert (grant.access_token, grant.life) == ("abc", 60)


@pytest.mark.parametrize(
    "value", ["", "a b", "a\r\nX: y", "a\nb", "a\0b", "café", "a\x7f", None, 7, ["a"], {}]
)
def test_an_access_token_no_field_can_hold_is_refused(value: object) -> None:
    """Nothing a token endpoint says can break out of the Authorization field."""
    with pytest.raises(TokenRefused, match="access_token"):
        judge(answer({"access_token": value, "token_type": "Bearer"}), host="auth.test", now=NOW)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer({"error": "invalid_client"}, 401), "invalid_client"),
        (answer({"error": "invalid_client"}, 400), "invalid_client"),
        (answer({"error": "access_denied"}, 401), "invalid_client"),
        (answer(b"<html>", 401, "text/html"), "invalid_client"),
        (answer({"error": "invalid_scope", "error_description": "canary"}, 400), "invalid_scope"),
        (answer(b"error=unauthorized_client", 400, FORM), "unauthorized_client"),
        (answer({"error": "bad_verification_code"}, 200), "bad_verification_code"),
        (answer({"error": "canary SECRET", "access_token": "abc"}, 200), ""),
        (answer({"error": 7}, 400), ""),
        (answer(b"", 404, ""), ""),
        (answer(b"", 302, ""), ""),
        (answer(b"", 100, ""), ""),
    ],
)
def test_b70_refusals(reply: Reply, code: str) -> None:
    """They name host and code, never anything else of the answer."""
    with pytest.raises(TokenRefused, match=r"auth\.test") as raised:
        judge(reply, host="auth.test", now=NOW)
    assert raised.value.code == code
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "retry_after"),
    [
        (answer(b"", 500, ""), 0),
        (answer(b"", 503, "", "7"), 7),
        (answer(b"", 429, "", "86400"), 60),
        (answer(b"", 503, "", "Fri, 15 Jan 2027 08:00:30 GMT"), 30),
        (answer(b"", 503, "", "Fri, 15 Jan 2021 08:00:30 GMT"), 0),
        (answer(b"", 503, "", "-3"), 0),
        (answer(b"", 503, "", "soon"), 0),
        (answer({"error": "temporarily_unavailable"}, 400), 0),
        (answer({"error": "invalid_client"}, 503), 0),
        (answer(b"", 408, ""), 0),
        (answer(b"<html>canary</html>", 200, "text/html"), 0),
        (answer(b"{", 200), 0),
        (answer(b"[" * 60_000, 200), 0),
        (answer(b'["canary"]', 200), 0),
        (answer(b"\xff\xfe", 200), 0),
        (answer(b'{"access_token":"a","access_token":"b"}', 200), 0),
        (answer(b"access_token=a&access_token=b", 200, FORM), 0),
        (answer(b"", 200, ""), 0),
        (answer(b"9" * 5000, 200), 0),
    ],
)
def test_b70_outages(reply: Reply, retry_after: float) -> None:
    """Whatever may be better next time; Retry-After is understood and bounded."""
    with pytest.raises(TokenUnavailable, match=r"auth\.test") as raised:
        judge(reply, host="auth.test", now=NOW)
    assert raised.value.retry_after == retry_after
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[("0", 0), ("7", 7), ("007", 7), ("60", 60), ("61", 60), (" 7\t", 7)],
        *[("9999999999", 60), ("1" + "0" * 400, 60), ("9" * 5000, 60), ("0" * 400 + "7", 7)],
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30),
        ("Fri Jan 15 08:00:30 2027", 30),
        ("Fri, 15 Jan 2027 08:00:00 GMT", 0),
        ("Friday, 15-Jan-27 07:59:59 GMT", 0),
        ("Fri Jan 15 09:00:00 2027", 60),
        ("Friday, 15-Jan-28 08:00:30 GMT", 60),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
        *[
            (garbage, 0)
            for garbage in ("", "-3", "+3", "3.5", "1e3", "7 s", "7, 8", "\u0667", "NaN", "inf", "0x10")
        ],
        *[(garbage, 0) for garbage in ("soon", "Fri, 31 Feb 2027 08:00:30 GMT", "2027-01-15T08:00:30Z")],
    ],
)
def test_t9_retry_after_is_understood_in_each_form(value: str, seconds: float) -> None:
    """At most 60 s; what is neither a number nor a date counts as absent."""
    with pytest.raises(TokenUnavailable) as raised:
        judge(answer(b"", 503, "", value), host="auth.test", now=NOW)
    assert raised.value.retry_after == seconds


EMPTY: list[object] = [None, "", " ", False, 0, 0.0, [], {}, "null", "None", "false", "0", "undefined"]
EMPTY += [[""], [None], {"code": 0}, {"code": None, "message": " "}]
"""What a server writes where it has nothing to say."""


@pytest.mark.parametrize("empty", EMPTY)
def test_t2_a_falsy_error_beside_a_good_token_is_no_error(empty: object) -> None:
    """In JSON and in a form, on any status of success; beside no token, and on other statuses, it refuses nothing."""
    body = {"access_token": "abc", "token_type": "Bearer", "expires_in": 60, "error": empty}
    for status in (200, 201):
        assert judge(answer(body, status), host="auth.test", now=NOW).access_token == "abc"
    if isinstance(empty, str):
        form = urlencode({"access_token": "abc", "error": empty}).encode()
        assert judge(answer(form, content_type=FORM), host="auth.test", now=NOW).access_token == "abc"
    with pytest.raises(TokenRefused, match="without an access_token"):
        judge(answer({"error": empty}), host="auth.test", now=NOW)
    with pytest.raises(TokenRefused, match="refused: 400 without error"):
        judge(answer(body, 400), host="auth.test", now=NOW)


@pytest.mark.parametrize(
    "error",
    [
        "invalid_scope",
        "canary SECRET",
        True,
        1,
        -1,
        0.5,
        ["x"],
        ["", "x"],
        {"code": 7, "message": ""},
        "no",
        "-",
        "00",
    ],
)
def test_t2_any_other_error_refuses_the_token_beside_it(error: object) -> None:
    """An error of an unknown form is one too."""
    body = {"access_token": "abc", "token_type": "Bearer", "error": error}
    with pytest.raises(TokenRefused, match="refused: 200"):
        judge(answer(body), host="auth.test", now=NOW)


@pytest.mark.parametrize("empty", EMPTY)
def test_t2_a_member_without_content_leaves_its_place_to_the_other_spelling(empty: object) -> None:
    """A serializer writes each field of its class, filled in or not."""
    one = {"access_token": empty, "token_type": empty, "accessToken": "abc", "tokenType": "Bearer"}
    other = {"accessToken": empty, "tokenType": empty, "access_token": "abc", "token_type": "Bearer"}
    for body in (one, other):
        assert judge(answer(body), host="auth.test", now=NOW).access_token == "abc"
    with pytest.raises(TokenRefused, match="of type MAC"):
        judge(answer({**one, "tokenType": "MAC"}), host="auth.test", now=NOW)


TYPES = [JSON, FORM, f"{FORM}; charset=utf-8", "text/html", "text/plain", "application/octet-stream", "", "x"]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token": "abc", "token_type": "Bearer", "expires_in": 60}',
        b' \r\n\t{"access_token": "abc", "expires_in": "60"}\n',
        b'{"access_token": "abc", "expires_in": 60, "note": "a=b&c=d"}',
        b"access_token=abc&token_type=bearer&expires_in=60",
        b"\naccess_token=abc&expires_in=60&scope=\r\n",
        b"expires_in=60&access_token=abc&x-vendor.note=%7B%22a%22%3A1%7D",
    ],
)
def test_t5_the_body_decides_whether_it_is_json_or_a_form(body: bytes, content_type: str) -> None:
    """Whatever the media type says."""
    grant = judge(answer(body, content_type=content_type), host="auth.test", now=NOW)
    assert (grant.access_token, grant.life) == ("abc", 60)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "body", [b'{"access_token": "abc", "expires_in": 60}', b"\naccess_token=abc&expires_in=60\n"]
)
def test_t4_a_byte_order_mark_is_not_part_of_an_answer(body: bytes, content_type: str) -> None:
    """Before JSON and before a form."""
    grant = judge(answer(b"\xef\xbb\xbf" + body, content_type=content_type), host="auth.test", now=NOW)
    assert (grant.access_token, grant.life) == ("abc", 60)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "invalid_scope"}',
        b"error=invalid_scope&error_description=canary",
    ],
)
def test_t5_so_it_does_for_errors(body: bytes, content_type: str) -> None:
    """The code is found under each media type."""
    with pytest.raises(TokenRefused) as raised:
        judge(answer(body, 400, content_type), host="auth.test", now=NOW)
    assert raised.value.code == "invalid_scope"


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=ISO-8859-1", FORM, "text/plain"])
@pytest.mark.parametrize(
    "body",
    [
        '{"error": "invalid_client", "error_description": "Accès refusé"}',
        '\n{"error_description": "Accès refusé", "error": "invalid_client"}\r\n',
        "error=invalid_client&error_description=Accès refusé",
    ],
)
def test_t11_a_refusal_in_a_legacy_encoding_keeps_its_code(body: str, content_type: str) -> None:
    """Old servers write their language in Latin-1, whatever they declare; the code is ASCII."""
    with pytest.raises(TokenRefused) as raised:
        judge(answer(body.encode("latin-1"), 400, content_type), host="auth.test", now=NOW)
    assert (raised.value.code, raised.value.description) == ("invalid_client", "Accès refusé")


def test_t13_a_legacy_encoding_beside_a_token_is_named() -> None:
    """A token counts only where all of its answer can be read."""
    body = '{"access_token": "canary", "scope": "clé"}'.encode("latin-1")
    with pytest.raises(TokenUnavailable, match="its body is not UTF-8"):
        judge(answer(body), host="auth.test", now=NOW)


@pytest.mark.parametrize("content_type", [JSON, FORM, "text/html; charset=utf-8", ""])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"canary",
        b'<html lang="en"><a href="/?access_token=canary&x=y">',
        b'["access_token", "canary"]',
        b'"access_token=canary"',
        b"{access_token=canary}",
        b'{"access_token": "canary"',
        b'{"access_token": "a", "access_token": "canary"}',
        b"access_token=a&access_token=canary",
        b"access_token=canary&",
        b"access token=canary",
        b"%zz=canary",
        b"\x1f\x8b\x08\x00=canary",
        b"\xff\xfea\x00=\x00",
    ],
)
def test_t5_a_body_that_is_neither_is_reported_as_such(body: bytes, content_type: str) -> None:
    """The message names the media type and, where it is known, the cause, and nothing of the body."""
    with pytest.raises(TokenUnavailable, match="neither JSON nor a form") as raised:
        judge(answer(body, content_type=content_type), host="auth.test", now=NOW)
    assert "canary" not in str(raised.value)
    named = content_type.partition(";")[0]
    assert str(raised.value).partition(": ")[0].endswith(f"form ({named})" if named else "form")


@given(
    st.integers(100, 599), st.sampled_from([JSON, FORM, "text/html", ""]), st.binary(max_size=300), st.text()
)
def test_no_answer_breaks_the_judge(status: int, content_type: str, body: bytes, retry_after: str) -> None:
    """Any bytes are a grant, a refusal or an outage."""
    try:
        grant = judge(Reply(status, content_type, body, retry_after), host="auth.test", now=NOW)
    except (TokenRefused, TokenUnavailable):
        return
    assert grant.access_token.isascii()
    assert grant.access_token.isprintable()


@given(
    st.dictionaries(
        st.sampled_from(["access_token", "token_type", "expires_in", "error", "accessToken"]),
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.just("Bearer"),
    )
)
def test_no_members_break_the_judge(members: dict[str, object]) -> None:
    """The same for well-formed JSON with senseless values."""
    try:
        grant = judge(answer(members), host="auth.test", now=NOW)
    except (TokenRefused, TokenUnavailable):
        return
    assert grant.life <= MAX_LIFE


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://auth.test/token", "auth.test"),
        ("https://user:canary@auth.test:8443/token?key=canary", "auth.test:8443"),
        ("http://[::1]:80/x", "[::1]:80"),
    ],
)
def test_messages_name_the_host_only(url: str, host: str) -> None:
    """User information, path and query may be secrets."""
    assert host_of(url) == host
