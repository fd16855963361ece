"""WWW-Authenticate fields, one a line of the input.

Oracles:

1. A field that the grammar can read has the meaning of the grammar (rule 1 of `proxy.challenge`), by another reader.
2. What was read, written by the grammar, is read back.
3. A later field that follows the grammar changes nothing that was read before, and is read whole.
4. The error that is logged is of a known form, or `other`, or `too_long`.
5. `strict` renews only where `lenient` does, and `ignore` never. `insufficient_scope` renews only together with
   `invalid_token`.
"""

from sidecar.proxy.challenge import Challenge, Verdict, bearer_error, judge, parse
from sidecar.proxy.routes import On401
from tests.fuzz.target import Target
from tests.support.challenge_grammar import by_the_grammar, excepted, written

REFUSED = frozenset((401, 403))
MOST_FIELDS = 4
LATER = b'Basic realm="later"'
SCOPE = b'Bearer error="insufficient_scope"'


def check(data: bytes) -> None:
    """Judge the lines of these bytes as fields."""
    fields = data.split(b"\n")[:MOST_FIELDS]
    for field in fields:
        check_grammar(field)
    found = parse(fields)
    too_long = Challenge("bearer", {"error": "too_long"})
    if too_long not in found:
        assert parse([*fields, LATER]) == (*found, Challenge("basic", {"realm": "later"}))
    error = bearer_error(found)
    assert error in ("", "other") or (
        error.isascii() and error.replace("_", "a").isalpha() and len(error) <= 40
    )
    check_verdicts(found)
    for_scope = parse([SCOPE, *fields])
    if verdict(for_scope, "lenient") is Verdict.RENEW:
        assert bearer_error(for_scope) == "invalid_token"


def check_grammar(field: bytes) -> None:
    """Oracles 1 and 2."""
    expected = by_the_grammar(field)
    if expected is None or any(map(excepted, expected)):
        return
    found = parse([field])
    assert found == expected
    if not any(challenge.token68 for challenge in found):
        fields = [written(challenge).encode("latin-1") for challenge in found]
        assert parse(fields) == found == parse([b", ".join(fields)])


def verdict(found: tuple[Challenge, ...], on_401: On401, status: int = 401) -> Verdict:
    """Return the verdict."""
    return judge(status, found, on_401=on_401, refused_statuses=REFUSED)


def check_verdicts(found: tuple[Challenge, ...]) -> None:
    """Oracle 5."""
    for status in (401, 403):
        assert verdict(found, "ignore", status) is Verdict.RELAY
        if verdict(found, "strict", status) is Verdict.RENEW:
            assert verdict(found, "lenient", status) is Verdict.RENEW
    assert verdict(found, "lenient", 500) is Verdict.RELAY


TARGET = Target(
    check,
    seeds=(
        b'Bearer realm="x", error="invalid_token", error_description="a \\"b\\" c"',
        b"Negotiate YII+/a-b._~==, Basic realm=x\nBearer",
        b'Basic realm="x\nerror="insufficient_scope"',
        b"Bearer realm='x, y' error='invalid_token'; scope=a",
        b"Bearer error*=UTF-8''invalid_token, resource_metadata=https://x/y?z=1",
        b'Digest qop="auth,auth-int", nonce=5, Bearer=insufficient_scope',
        b'Bearer realm="My Basic API", error="invalid_request"',
        b'a="", a=b, , Bearer ,',
    ),
    words=(
        *(
            b"Bearer",
            b"Basic ",
            b"Digest ",
            b"Negotiate ",
            b"error",
            b"error=",
            b'error="',
            b"realm=",
            b"invalid_token",
        ),
        *(
            b"insufficient_scope",
            b"invalid_request",
            b'"',
            b"'",
            b'\\"',
            b"\\",
            b"=",
            b", ",
            b",",
            b";",
            b" ",
            b"\t",
        ),
        *(b"\n", b"==", b"UTF-8''", b"error*=", b"(", b"|", b"&", b"\xe9"),
    ),
)
