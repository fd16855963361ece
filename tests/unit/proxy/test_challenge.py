"""Parsing challenges, and the refusal table."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.proxy.challenge import MAX_BYTES, MAX_SEPARATORS, Challenge, Verdict, bearer_error, judge, parse
from sidecar.proxy.routes import On401
from tests.support.challenge_grammar import by_the_grammar, excepted, written
from tests.support.examples import examples


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
        b"Bearer error=",
        b'="',
        b"\xff",
        b"{}",
        b'"rubbish',
        b"' ' '",
        b"Bearer=x",
        b"realm=x",
        b"<html>",
        b"a b c",
    ],
)
def test_rubbish_has_no_parameters(value: bytes) -> None:
    """Nothing in it has a meaning, and it takes nothing from the fields beside it."""
    # `error=` without more reads as a token68, which is correct by the grammar
    assert all(not challenge.params for challenge in parse([value]))
    assert parse([value, b"Basic realm=x"])[-1] == Challenge("basic", {"realm": "x"})
    assert [c.scheme for c in parse([value])] == (["bearer"] if b"Bearer " in value else [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b'Bearer realm="x" error="e"'], [Challenge("bearer", {"realm": "x", "error": "e"})]),
        ([b'Bearer realm="x"; error="e";'], [Challenge("bearer", {"realm": "x", "error": "e"})]),
        ([b'Bearer: realm="x" error="e"'], [Challenge("bearer", {"realm": "x", "error": "e"})]),
        ([b"Bearer realm='a, b' error='e'"], [Challenge("bearer", {"realm": "a, b", "error": "e"})]),
        ([b"Bearer r=http://x/?a=b error=e"], [Challenge("bearer", {"r": "http://x/?a=b", "error": "e"})]),
        ([b"Bearer r=http://x/a,b,error=e"], [Challenge("bearer", {"r": "http://x/a", "error": "e"})]),
        ([b"Bearer realm= error=e"], [Challenge("bearer", {"realm": "", "error": "e"})]),
        ([b"Bearer d=it is old, error=e"], [Challenge("bearer", {"d": "it", "error": "e"})]),
        ([b'Bearer error="e'], [Challenge("bearer", {"error": "e"})]),
        ([b'Bearer realm="x, error="e"'], [Challenge("bearer", {"realm": "x", "error": "e"})]),
        ([b'Bearer realm="x error="e"'], [Challenge("bearer", {"realm": "x", "error": "e"})]),
        ([b'Bearer d="the "x" y", error="e"'], [Challenge("bearer", {"d": "the ", "error": "e"})]),
        ([b'Bearer realm=\\"x y\\", error=\\"e\\"'], [Challenge("bearer", {"realm": "x y", "error": "e"})]),
        (
            [b'Basic realm="x" Bearer error="e"'],
            [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"error": "e"})],
        ),
        (
            [b"Negotiate YWJj= Bearer error=e"],
            [Challenge("negotiate", {"ywjj": ""}), Challenge("bearer", {"error": "e"})],
        ),
        (
            [b'Bearer realm="x" Negotiate, NTLM'],
            [Challenge("bearer", {"realm": "x"}), Challenge("negotiate"), Challenge("ntlm")],
        ),
        ([b'Bearer realm="x"', b'error="e"'], [Challenge("bearer", {"realm": "x", "error": "e"})]),
        ([b'error="e"'], [Challenge("bearer", {"error": "e"})]),
        ([b'Api realm="x" error="e"'], [Challenge("api", {"realm": "x", "error": "e"})]),
    ],
)
def test_t6_what_breaks_the_grammar_is_read_as_far_as_it_can_be(
    values: list[bytes], expected: list[Challenge]
) -> None:
    """By the rules at the head of the module."""
    assert parse(values) == tuple(expected)


def test_input_is_bounded() -> None:
    """What is too long to be read might be Bearer's, so it is neither absent nor a reason to renew."""
    padding = b'Basic realm="' + b"x" * (MAX_BYTES - 20) + b'"'
    assert [c.scheme for c in parse([padding, b"Bearer"])] == ["basic", "bearer"]
    assert bearer_error(parse([padding, b"Bearer a=b"])) == "too_long"
    assert bearer_error(parse([b"Bearer a=" + b"x" * MAX_BYTES])) == "too_long"
    assert bearer_error(parse([b"Basic, " * MAX_SEPARATORS, INVALID])) == "too_long"
    assert bearer_error(parse([b"Negotiate " + b"x" * 50_000, INVALID])) == "invalid_token"


@pytest.mark.parametrize(
    "unit",
    [
        b"\\",
        b"\\a",
        b" ",
        b" ,",
        b"a ",
        b"a, ",
        b"a=b,",
        b'a="b',
        b'a="b, c="d ',
        b"a= ",
        b"a='b ",
        b"basic ",
        b"'",
    ],
)
@pytest.mark.parametrize("head", [b"", b"B ", b'B a="', b"B x y ", b"B x y a='"])
def test_no_input_is_expensive(head: bytes, unit: bytes) -> None:
    """The worst field costs milliseconds of CPU, not seconds."""
    for size in (MAX_SEPARATORS, MAX_BYTES):
        value = head + unit * ((size - len(head)) // len(unit))
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


@given(CHALLENGES)
def test_what_is_written_is_read_back(challenges: list[Challenge]) -> None:
    """One field with several challenges and several fields with one each read the same."""
    fields = [written(challenge).encode("latin-1") for challenge in challenges]
    assert parse([b", ".join(fields)]) == tuple(challenges)
    assert parse(fields) == tuple(challenges)


PIECES = st.sampled_from(
    [
        *(
            b"Bearer",
            b"Basic",
            b"Negotiate",
            b"error",
            b"realm",
            b"invalid_token",
            b"insufficient_scope",
            b"a",
        ),
        *(b"=", b"=", b'"', b'"', b"'", b" ", b" ", b",", b", ", b"\\", b"==", b"/", b"\xe9", b"\t", b";"),
        *(b'realm="x"', b'error="invalid_token"', b', error="e"', b"YWJj=="),
    ]
)


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_t6_what_the_grammar_reads_means_what_it_says(value: bytes) -> None:
    """Leniency changes nothing for the servers that keep to the grammar."""
    expected = by_the_grammar(value)
    if expected is not None and not any(map(excepted, expected)):
        assert parse([value]) == expected


@settings(deadline=None)
@given(CHALLENGES)
def test_t6_the_reference_reads_what_is_written(challenges: list[Challenge]) -> None:
    """So the comparison above compares something."""
    value = b", ".join(written(challenge).encode("latin-1") for challenge in challenges)
    assert by_the_grammar(value) == parse([value]) == tuple(challenges)


QUOTES = st.sampled_from(['"{}"', "{}", "'{}'", '"{}', '\\"{}\\"'])
BETWEEN = st.sampled_from([", ", ",", " ", "; ", ";", " , ,", "\t"])
EQUALS = st.sampled_from(["=", " = ", "= ", " ="])
OTHERS = st.sampled_from(
    [
        *(
            'realm="a b, c"',
            "realm='x'",
            "realm='x, y'",
            'realm="x',
            "realm=",
            'scope="a b"',
            "x=y",
            "algs=a/b",
        ),
        *(
            "resource_metadata=https://x/y?z=1",
            "error_description=it is bad",
            "error_description='it is bad'",
        ),
        'error_description="The token, error=\\"none\\", is bad"',
    ]
)
NEIGHBOURS = st.sampled_from(
    ['Basic realm="x"', "Negotiate", "Negotiate YWJj==", 'Digest qop="auth, b"', "NTLM"]
)


@st.composite
def broken_fields(draw: st.DrawFn, error: str) -> list[bytes]:
    """A Bearer challenge with this error, as careless servers write it, as the only one or beside others."""
    said = draw(st.sampled_from(["error", "Error", "ERROR"])) + draw(EQUALS) + draw(QUOTES).format(error)
    params = draw(st.lists(OTHERS, max_size=2))
    params.insert(draw(st.integers(0, len(params))), said)
    text = draw(st.sampled_from(["Bearer ", "bearer  ", "BEARER,", "Bearer: "]))
    text += "".join(param + draw(BETWEEN) for param in params)
    before = draw(st.lists(NEIGHBOURS, max_size=2))
    if draw(st.booleans()):
        return [*map(str.encode, before), text.encode()]
    return [
        "".join(f"{each}{draw(st.sampled_from([', ', ' ']))}" for each in before).encode() + text.encode()
    ]


@settings(max_examples=examples(500), deadline=None)
@given(
    st.sampled_from(
        ["insufficient_scope", "Insufficient_Scope", "INSUFFICIENT_SCOPE", "insufficient%5Fscope"]
    ).flatmap(broken_fields)
)
def test_t6_insufficient_scope_never_renews(fields: list[bytes]) -> None:
    """However it is spelled: another token would have the same scope."""
    for on_401 in ("lenient", "strict"):
        assert judge(401, parse(fields), on_401=on_401, refused_statuses=frozenset({401})) is Verdict.RELAY


@settings(max_examples=examples(500), deadline=None)
@given(broken_fields("invalid_token"))
def test_t6_invalid_token_always_renews(fields: list[bytes]) -> None:
    """Whatever is broken around it."""
    for on_401 in ("lenient", "strict"):
        assert judge(401, parse(fields), on_401=on_401, refused_statuses=frozenset({401})) is Verdict.RENEW


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
    (401, [b"Access token expired"], "renew", "relay"),
    (401, [b'Bearer realm="x" error="invalid_token"'], "renew", "renew"),
    (401, [b"Bearer realm='x', error='invalid_token'"], "renew", "renew"),
    (401, [b"Bearer resource_metadata=https://x/y, error=invalid_token"], "renew", "renew"),
    (401, [b'Basic realm="x" Bearer error="invalid_token"'], "renew", "renew"),
    (401, [b"Negotiate a/b+c== Bearer error=invalid_token"], "renew", "renew"),
    (401, [b'Negotiate a/b+c==, Bearer error="invalid_token'], "renew", "renew"),
    (401, [b'Basic realm="x', b'Bearer error="invalid_token'], "renew", "renew"),
    (401, [b'Basic realm="x, Bearer error="invalid_token"'], "renew", "renew"),
    (401, [b'"Bearer" error="invalid_token"'], "renew", "renew"),
    (401, [b'Basic realm="x" Bearer realm="y"'], "renew", "relay"),
    (401, [b"Bearer realm=x y"], "renew", "relay"),
    (401, [b"Negotiate Bearer"], "renew", "relay"),
    (401, [b'Bearer realm="x" error=" invalid_token "'], "renew", "renew"),
    (401, [b"Bearer realm='a, b' error='insufficient_scope'"], "relay", "relay"),
    (401, [b'Bearer realm="x" error="insufficient_scope"'], "relay", "relay"),
    (401, [b"Bearer realm=x y error=insufficient_scope"], "relay", "relay"),
    (401, [b'Bearer realm="x, error="insufficient_scope", scope="a"'], "relay", "relay"),
    (401, [b"Bearer realm=\"x\" error='Insufficient_Scope'"], "relay", "relay"),
    (401, [b"Bearer insufficient_scope"], "relay", "relay"),
    (401, [b"Bearer error: insufficient_scope"], "relay", "relay"),
    (401, [b"Bearer error*=UTF-8''insufficient%5Fscope"], "relay", "relay"),
    (401, [b'Bearer realm="x"', b'error="insufficient_scope"'], "relay", "relay"),
    (401, [b'error="insufficient_scope", scope="a"'], "relay", "relay"),
    (401, [b'Bearer error_description="the "a" scope", error="insufficient_scope"'], "relay", "relay"),
    (401, [b'Bearer uri=https://x/a,b, error="insufficient_scope"'], "relay", "relay"),
    (401, [b"Bearer error=&quot;insufficient_scope&quot;"], "relay", "relay"),
    (401, [b"Basic realm=a b"], "relay", "relay"),
    (401, [b'Basic realm="Bearer error=\\"invalid_token\\"" charset="UTF-8"'], "relay", "relay"),
    (401, [b'Basic realm="Bearer error="invalid_token""'], "relay", "relay"),
    (401, [b'Basic realm="a, Bearer error="invalid_token""'], "relay", "relay"),
    (401, [b"Basic realm='Bearer error=\"invalid_token\"' charset=x"], "relay", "relay"),
    (401, [b'Negotiate YWJj/Bearer+error= Basic realm="x"'], "relay", "relay"),
    (403, [b'Bearer realm="x" error="insufficient_scope"'], "relay", "relay"),
    (401, [b'Bearer realm="x", insufficient_scope'], "relay", "relay"),
    (401, [b'Bearer realm="x", insufficient_scope, scope="a"'], "relay", "relay"),
    (401, [b'Bearer, "insufficient_scope"'], "relay", "relay"),
    (401, [b'Bearer realm="x" insufficient-scope'], "relay", "relay"),
    (401, [b'Bearer realm="x", insufficient_scope="true"'], "relay", "relay"),
    (401, [b'Bearer realm="x", error_code="insufficient_scope"'], "relay", "relay"),
    (401, [b'Bearer realm="x", error_description="insufficient_scope"'], "relay", "relay"),
    (401, [b"Bearer 'error'='insufficient_scope'"], "relay", "relay"),
    (401, [b'Bearer realm="x"|error="insufficient_scope"'], "relay", "relay"),
    (401, [b'Bearer(error="insufficient_scope")'], "relay", "relay"),
    (401, [b'[Bearer error="insufficient_scope"]'], "relay", "relay"),
    (401, [b'{"error":"insufficient_scope"}'], "relay", "relay"),
    (401, [b'Bearer realm=My Basic API, error="insufficient_scope"'], "relay", "relay"),
    (401, [b'Bearer error_description=Use OAuth, error="insufficient_scope"'], "relay", "relay"),
    (401, [b'Bearer realm="x" Basic realm="y" error="insufficient_scope"'], "relay", "relay"),
    (401, [b"Bearer error_description=no basic, insufficient_scope"], "relay", "relay"),
    (401, [b'[Bearer realm="x"]'], "renew", "relay"),
    (401, [b'[Basic realm="x" Bearer error="invalid_token"]'], "renew", "renew"),
    (401, [b'(Bearer error="invalid_token")'], "renew", "renew"),
    (401, [b'Basic realm="x"|Bearer realm="y"'], "renew", "relay"),
    (401, [b'Bearer error="invalid_token."'], "renew", "renew"),
    (401, [b"Bearer error=`invalid_token`"], "renew", "renew"),
    (401, ["Bearer error=“invalid_token”".encode()], "renew", "renew"),
    (401, [b'Bearer realm=My Basic API, error="invalid_token"'], "renew", "renew"),
    (401, [b'Bearer realm=x y, DPoP error="use_dpop_nonce"'], "renew", "relay"),
    (401, [b"Basic realm=insufficient_scope"], "relay", "relay"),
    (401, [b"Basic realm=x"], "relay", "relay"),
    (401, [b"Negotiate, Digest nonce=x"], "relay", "relay"),
    (401, [b'DPoP error="invalid_token"'], "relay", "relay"),
    (401, [SCOPE], "relay", "relay"),
    (401, [SCOPE, b"Bearer"], "relay", "relay"),
    (401, [b'Bearer error="invalid_request"'], "relay", "relay"),
    (401, [b'Bearer error="Invalid_Token"'], "relay", "relay"),
    (401, [b'Bearer error="insufficient_scope", error="invalid_token"'], "relay", "relay"),
    (401, [b'Bearer error="", error="insufficient_scope"'], "relay", "relay"),
    (401, [b"Bearer=insufficient_scope"], "relay", "relay"),
    (401, [b"Basic realm=x y, Bearer='insufficient_scope'"], "relay", "relay"),
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
def test_b22_t6_the_refusal_table(status: int, fields: list[bytes], lenient: str, strict: str) -> None:
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
        ([b"Bearer realm=x y error='insufficient_scope'"], "insufficient_scope"),
        ([b"Bearer error*=UTF-8''invalid_request"], "invalid_request"),
        ([b"Bearer x y INSUFFICIENT_SCOPE"], "insufficient_scope"),
        ([b"Bearer error=canary-token expired"], "other"),
    ],
)
def test_b82_the_error_that_decides_is_fit_for_a_log(fields: list[bytes], error: str) -> None:
    """The deciding Bearer error is logged, but never an upstream's free text."""
    assert bearer_error(parse(fields)) == error
