"""Parsing challenges, and the refusal table."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.challenge import MAX_BYTES, Challenge, Verdict, bearer_error, judge, parse
from sidecar.proxy.routes import On401


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([b""], []),
        ([b" , ,"], []),
        ([b"Bearer"], [Challenge("bearer")]),
        ([b"bEaReR "], [Challenge("bearer")]),
        ([b'Bearer realm="x"'], [Challenge("bearer", {"realm": "x"})]),
        ([b"Bearer ERROR=invalid_token"], [Challenge("bearer", {"error": "invalid_token"})]),
        ([b'Bearer realm = "x" ,\terror\t=\t"y"'], [Challenge("bearer", {"realm": "x", "error": "y"})]),
        ([b'Bearer realm="a, b=\\"c\\" \\\\d"'], [Challenge("bearer", {"realm": 'a, b="c" \\d'})]),
        ([b'Bearer realm="", error="e"'], [Challenge("bearer", {"realm": "", "error": "e"})]),
        ([b'Bearer realm="\xe9"'], [Challenge("bearer", {"realm": "é"})]),
        ([b'Bearer a="1", a="2"'], [Challenge("bearer", {"a": "1"})]),
        ([b'Bearer ,, a="1",,b=2,'], [Challenge("bearer", {"a": "1", "b": "2"})]),
        ([b"Negotiate"], [Challenge("negotiate")]),
        ([b"Negotiate YII+/a-b._~=="], [Challenge("negotiate", token68="YII+/a-b._~==")]),
        ([b"Negotiate abc="], [Challenge("negotiate", token68="abc=")]),
        (
            [b'Negotiate abc==, Bearer error="invalid_token"'],
            [Challenge("negotiate", token68="abc=="), Challenge("bearer", {"error": "invalid_token"})],
        ),
        (
            [b'Basic realm="Bearer error=invalid_token", Digest qop="auth,auth-int", nonce=5, Bearer'],
            [
                Challenge("basic", {"realm": "Bearer error=invalid_token"}),
                Challenge("digest", {"qop": "auth,auth-int", "nonce": "5"}),
                Challenge("bearer"),
            ],
        ),
        (
            [b'Basic realm="x"', b'Bearer error="y"'],
            [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"error": "y"})],
        ),
        (
            [b'Newauth realm="a", type=1, title="x \\"y\\"", Basic realm="s"'],
            [
                Challenge("newauth", {"realm": "a", "type": "1", "title": 'x "y"'}),
                Challenge("basic", {"realm": "s"}),
            ],
        ),
    ],
)
def test_reads_the_grammar(values: list[bytes], expected: list[Challenge]) -> None:
    """Challenges are read as RFC 9110 section 11.6.1 writes them, in one field and in several."""
    assert parse(values) == tuple(expected)


@pytest.mark.parametrize(
    "value",
    [
        b'error="invalid_token"',
        b'Bearer error="invalid_token',
        b'Bearer error="invalid_token" realm="x"',
        b'Bearer error="invalid_token\\"',
        b"Bearer error=",
        b"Bearer error=invalid token",
        b"Bearer=x",
        b'Bearer "x"',
        b"Bearer\x00error=x",
        b'Bearer realm="x\r\n"',
        b"\xff",
        b"{}",
        b'Bearer realm="x", (',
    ],
)
def test_a_field_that_breaks_the_grammar_has_no_challenge(value: bytes) -> None:
    """Rubbish is no challenge, and takes nothing from the fields beside it."""
    # `error=` alone reads as a token68, which is what the grammar says it is
    assert all(not challenge.params for challenge in parse([value]))
    assert parse([value, b"Basic realm=x"])[-1] == Challenge("basic", {"realm": "x"})


def test_input_is_bounded() -> None:
    """Fields past the first 8 KiB in all are not looked at."""
    padding = b'Basic realm="' + b"x" * (MAX_BYTES - 20) + b'"'
    assert [c.scheme for c in parse([padding, b"Bearer"])] == ["basic", "bearer"]
    assert [c.scheme for c in parse([padding, b"Bearer a=b"])] == ["basic"]
    assert parse([b"Bearer a=" + b"x" * MAX_BYTES]) == ()


@pytest.mark.parametrize(
    "value",
    [
        b'B a="' + b"\\" * 8000,
        b'B a="' + b"\\a" * 4000,
        b"B " + b"a" * 8000 + b" " * 100,
        b"B " + b" " * 8000 + b"(",
        b"B" + b" ," * 4000 + b"(",
        b"a " * 4000,
        b"a, " * 2700 + b"(",
        b"B " + b"a=b," * 2000 + b"(",
    ],
)
def test_no_input_is_expensive(value: bytes) -> None:
    """The worst 8 KiB cost milliseconds of CPU, not seconds."""
    began = time.process_time()
    parse([value])
    assert time.process_time() - began < 0.5


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_read(values: list[bytes]) -> None:
    """Whatever an upstream sends, parsing and judging raise nothing."""
    judge(401, parse(values), on_401="lenient", refused_statuses=frozenset({401}))


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!~", min_size=1, max_size=8)
TEXTS = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f", exclude_categories=["Cc"])
)
CHALLENGES = st.lists(
    st.builds(Challenge, NAMES, st.dictionaries(NAMES, TEXTS, max_size=3)), min_size=1, max_size=4
)


def written(challenge: Challenge) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return f"{challenge.scheme} " + ", ".join(
        f"{name}={quoted(text)}" for name, text in challenge.params.items()
    )


@given(CHALLENGES)
def test_what_is_written_is_read_back(challenges: list[Challenge]) -> None:
    """One field with several challenges and several fields with one each read the same."""
    fields = [written(challenge).encode("latin-1") for challenge in challenges]
    assert parse([b", ".join(fields)]) == tuple(challenges)
    assert parse(fields) == tuple(challenges)


INVALID = b'Bearer realm="x", error="invalid_token"'
SCOPE = b'Bearer error="insufficient_scope", scope="a"'

TABLE = [
    # status, fields, lenient, strict, with 403 and 440 among the refused statuses
    (401, [INVALID], "renew", "renew"),
    (401, [b"bearer ERROR=invalid_token"], "renew", "renew"),
    (401, [b'Basic realm="x", ' + INVALID], "renew", "renew"),
    (401, [b"Negotiate", INVALID], "renew", "renew"),
    (401, [SCOPE, INVALID], "renew", "renew"),
    (401, [b"Bearer"], "renew", "relay"),
    (401, [b'Bearer realm="x"'], "renew", "relay"),
    (401, [b'Bearer error=""'], "renew", "relay"),
    (401, [b'Basic realm="x"', b"Bearer"], "renew", "relay"),
    (401, [], "renew", "relay"),
    (401, [b'"rubbish'], "renew", "relay"),
    (401, [b"Basic realm=x"], "relay", "relay"),
    (401, [b"Negotiate, Digest nonce=x"], "relay", "relay"),
    (401, [b'DPoP error="invalid_token"'], "relay", "relay"),
    (401, [SCOPE], "relay", "relay"),
    (401, [SCOPE, b"Bearer"], "relay", "relay"),
    (401, [b'Bearer error="invalid_request"'], "relay", "relay"),
    (401, [b'Bearer error="Invalid_Token"'], "relay", "relay"),
    (401, [b'Bearer error="insufficient_scope", error="invalid_token"'], "relay", "relay"),
    (403, [], "renew", "relay"),
    (403, [INVALID], "renew", "renew"),
    (403, [SCOPE], "relay", "relay"),
    (440, [], "renew", "relay"),
    (440, [b"Basic realm=x"], "renew", "relay"),
    (200, [INVALID], "relay", "relay"),
    (407, [INVALID], "relay", "relay"),
    (500, [], "relay", "relay"),
]


@pytest.mark.parametrize(("status", "fields", "lenient", "strict"), TABLE)
def test_b22_the_refusal_table(status: int, fields: list[bytes], lenient: str, strict: str) -> None:
    """Each status and challenge is judged as the table says; `ignore` relays everything."""
    expected: dict[On401, str] = {"lenient": lenient, "strict": strict, "ignore": "relay"}
    refused = frozenset({401, 403, 440})
    challenges = parse(fields)
    judged = {
        mode: judge(status, challenges, on_401=mode, refused_statuses=refused).value for mode in expected
    }
    assert judged == expected


@pytest.mark.parametrize("on_401", ["lenient", "strict"])
@pytest.mark.parametrize("fields", [[], [INVALID], [b"Bearer"]])
def test_b22_only_the_routes_statuses_count(fields: list[bytes], on_401: On401) -> None:
    """A status the route does not list is relayed, 401 too."""
    for status, refused in ((403, frozenset({401})), (401, frozenset({403}))):
        assert judge(status, parse(fields), on_401=on_401, refused_statuses=refused) is Verdict.RELAY


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ([], ""),
        ([b"Bearer"], ""),
        ([b'Basic error="x"'], ""),
        ([SCOPE], "insufficient_scope"),
        ([SCOPE, INVALID], "invalid_token"),
        ([b'Bearer error="eyJhbGciOi.canary"'], "other"),
        ([b'Bearer error="' + b"a" * 41 + b'"'], "other"),
    ],
)
def test_b82_the_error_that_decides_is_fit_for_a_log(fields: list[bytes], error: str) -> None:
    """The deciding Bearer error is told, but never an upstream's free text."""
    assert bearer_error(parse(fields)) == error
