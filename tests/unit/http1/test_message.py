"""Which heads are accepted, and what the next hop gets to see of them."""

import httptools
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecar.core.errors import MessageMalformed, RequestRefused
from sidecar.core.header_names import hiding
from sidecar.core.origin import Origin
from sidecar.http1.headers import CHUNKED, UNTIL_CLOSE
from sidecar.http1.limits import MAX_FIELDS, MAX_HEAD, MAX_LINE
from sidecar.http1.message import (
    early_fault,
    parse_request,
    parse_response,
)
from sidecar.http1.next_hop import relayed_interim, relayed_request, relayed_response, relayed_trailers
from tests.support.http1_readers import Field, lines, read_by_llhttp

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te transfer-encoding"
    b" upgrade".split()
)


def request(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: h") -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *fields, b"", b""])


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


NAMES = st.sampled_from(
    b"A a-b X-Custom Content-Type Cookie Keep-Alive Connection connection TE te Upgrade Proxy-Authorization"
    b" Authorization Host content-length Content-Length Transfer-Encoding transfer-encoding Trailer".split()
)
VALUES = st.one_of(
    st.sampled_from(
        [b"", b"1", b"5", b"chunked", b"close", b"keep-alive", b"a, close", b"X-Custom", b"trailers", b"h"]
    ),
    st.binary(max_size=6),
)
GAPS = st.sampled_from([b":", b": ", b":\t ", b" : ", b""])
LINES = st.builds(lambda *parts: b"".join(parts), NAMES, GAPS, VALUES, st.sampled_from([b"", b" ", b"\t"]))
BLOCKS = st.lists(LINES, max_size=5)


def named(fields: list[Field]) -> set[bytes]:
    options = {
        option.strip(b" \t").lower()
        for name, value in fields
        if name.lower() == b"connection"
        for option in value.split(b",")
    }
    return options - {b"host", b"content-length", b"authorization"}


@given(BLOCKS)
def test_requests_are_read_as_llhttp_reads_them(block: list[bytes]) -> None:
    """Nothing it refuses is accepted; of the rest, the same fields in the same order but the connection's own."""
    head = request(*block)
    assume(ends_once(head))
    fields = read_by_llhttp(httptools.HttpRequestParser, head)
    try:
        parsed = parse_request(head)
    except RequestRefused:
        return
    assert fields is not None
    cut = HOP_BY_HOP | {b"host"} | named(fields)
    assert lines(parsed.fields) == [field for field in fields if field[0].lower() not in cut]
    assert parsed.host == b"h"


@given(BLOCKS, st.sampled_from([b"GET", b"HEAD"]), st.sampled_from([200, 204, 304, 101, 401]))
def test_answers_are_read_as_llhttp_reads_them(block: list[bytes], method: bytes, status: int) -> None:
    """As requests are; only an answer without a body may lose its length."""
    head = answer(*block, line=b"HTTP/1.1 %d R" % status)
    assume(ends_once(head))
    fields = read_by_llhttp(httptools.HttpResponseParser, head)
    try:
        parsed = parse_response(head, method)
    except MessageMalformed:
        return
    assert fields is not None
    cut = HOP_BY_HOP | named(fields) | ({b"content-length"} if status in (101, 204) else set())
    assert lines(parsed.fields) == [field for field in fields if field[0].lower() not in cut]


def ends_once(head: bytes) -> bool:
    """A head is cut at its first empty line before it is read."""
    return head.find(b"\r\n\r\n") == len(head) - 4


@given(BLOCKS)
def test_what_was_read_once_is_read_alike_again(block: list[bytes]) -> None:
    """A request with the fields of the one before it has the same meaning as without one before it."""
    head = request(*block, line=b"GET /a HTTP/1.1")
    try:
        first = parse_request(head)
    except RequestRefused:
        return
    for line in (b"GET /b HTTP/1.1", b"POST /a HTTP/1.1", b"GET /a HTTP/1.0"):
        again = request(*block, line=line)
        try:
            alone = parse_request(again)
        except RequestRefused:
            with pytest.raises(RequestRefused):
                parse_request(again, first)
            continue
        after = parse_request(again, first)
        for part in ("method", "target", "host", "http10", "keep_alive", "length", "fields", "notes"):
            assert getattr(after, part) == getattr(alone, part)


@given(BLOCKS, st.sampled_from([None, b"Bearer new"]))
def test_a_relayed_request_is_the_same_request(block: list[bytes], authorization: bytes | None) -> None:
    """Read again it has the same body and fields, one Host, and our Authorization if there is one."""
    try:
        parsed = parse_request(request(*block))
    except RequestRefused:
        return
    assume(
        authorization is not None
        or sum(name.lower() == b"authorization" for name, _ in lines(parsed.fields)) < 2
    )
    again = parse_request(relayed_request(parsed, b"/up", b"u:1", authorization))
    assert (again.method, again.target, again.host) == (b"GET", b"/up", b"u:1")
    assert again.length == parsed.length
    kept = lines(parsed.fields)
    if authorization is not None:
        kept = [field for field in kept if field[0].lower() != b"authorization"]
        kept.append((b"Authorization", authorization))
    assert lines(again.fields) == kept


@given(BLOCKS, st.sampled_from([b"GET", b"HEAD"]), st.booleans(), st.booleans())
def test_a_relayed_answer_is_the_same_answer(
    block: list[bytes], method: bytes, old: bool, close: bool
) -> None:
    """Read again it has the same status, fields and kind of body, as far as the client's version has them."""
    asked = parse_request(request(line=b"GET / HTTP/1.0" if old else b"GET / HTTP/1.1"))
    try:
        parsed = parse_response(answer(*block), method)
    except MessageMalformed:
        return
    head, length = relayed_response(parsed, asked, close)
    again = parse_response(head, method)
    assert (again.status, lines(again.fields)) == (200, lines(parsed.fields))
    assert again.length == (length if method == b"GET" else 0)
    if parsed.length >= 0:
        assert length == parsed.length
    else:
        assert length == (UNTIL_CLOSE if old else CHUNKED)
    if close:
        assert not again.keep_alive


REFUSED = {
    "no Host": (request(host=b""), 400),
    "two Hosts": (request(b"host: h"), 400),
    "two lengths": (request(b"Content-Length: 1", b"Content-Length: 1"), 400),
    "a list of lengths": (request(b"Content-Length: 1, 1"), 400),
    "a signed length": (request(b"Content-Length: +1"), 400),
    "an empty length": (request(b"Content-Length:"), 400),
    "a length near 2**63": (request(b"Content-Length: 9223372036854775807"), 400),
    "length and chunks": (request(b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
    "chunks and length": (request(b"Transfer-Encoding: chunked", b"Content-Length: 1"), 400),
    "another coding": (request(b"Transfer-Encoding: gzip"), 400),
    "two codings": (request(b"Transfer-Encoding: gzip, chunked"), 400),
    "chunked twice": (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "identity": (request(b"Transfer-Encoding: identity"), 400),
    "chunks in HTTP/1.0": (request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"), 400),
    "two spaces": (request(line=b"GET  / HTTP/1.1"), 400),
    "a space in the target": (request(line=b"GET /a b HTTP/1.1"), 400),
    "HTTP/2.0": (request(line=b"GET / HTTP/2.0"), 400),
    "HTTP/1.2": (request(line=b"GET / HTTP/1.2"), 400),
    "HTTP/0.9": (request(line=b"GET /"), 400),
    "another protocol": (request(line=b"GET / RTSP/1.0"), 400),
    "CONNECT": (request(line=b"CONNECT h:1 HTTP/1.1"), 400),
    "TRACE": (request(line=b"TRACE / HTTP/1.1"), 400),
    "a folded field": (request(b"A: 1", b" 2"), 400),
    "a space before the colon": (request(b"A : 1"), 400),
    "no colon": (request(b"A"), 400),
    "no name": (request(b": 1"), 400),
    "NUL in a value": (request(b"A: \x00"), 400),
    "CR in a value": (request(b"A: 1\r2"), 400),
    "LF in a value": (request(b"A: 1\nB: 2"), 400),
    "an unknown expectation": (request(b"Expect: a-miracle"), 417),
    "a long target": (request(line=b"GET /%b HTTP/1.1" % (b"a" * MAX_LINE)), 414),
    "many fields": (request(*[b"A: %d" % number for number in range(MAX_FIELDS)]), 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_requests(name: str) -> None:
    """Each with the status that says why."""
    head, status = REFUSED[name]
    with pytest.raises(RequestRefused) as refusal:
        parse_request(head)
    assert refusal.value.status == status


METHODS = (
    b"LIST", b"QUERY", b"PROPFIND", b"M-SEARCH", b"VERSION-CONTROL", b"RPC_IN_DATA", b"get", b"Get", b"X", b"1",
    b"DESCRIBE", b"SOURCE", b"PRI", b"TRACER", b"CONNECTX", b"!#$%&'*+-.^_`|~", b"A" * 64,
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_h3_any_token_is_a_method(method: bytes) -> None:
    """It is relayed as it came, and the head is judged as strictly as any other."""
    parsed = parse_request(request(b"Content-Length: 3", line=method + b" /x?y HTTP/1.1"))
    assert (parsed.method, parsed.target, parsed.length, parsed.keep_alive) == (method, b"/x?y", 3, True)
    assert relayed_request(parsed, b"/up", b"u", None).startswith(method + b" /up HTTP/1.1\r\nHost: u\r\n")
    again = parse_request(request(b"Content-Length: 3", line=method + b" /z HTTP/1.1"), parsed)
    assert (again.method, again.target) == (method, b"/z")
    chunked = parse_request(request(b"Transfer-Encoding: chunked", line=method + b" / HTTP/1.1"))
    assert chunked.length == CHUNKED
    for field in (b"A : 1", b"A: 1\r2", b"A: \x00", b" folded", b"Content-Length: 1, 1", b"Host: other"):
        with pytest.raises(RequestRefused):
            parse_request(request(field, line=method + b" / HTTP/1.1"))


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b"CONNECT h:1 HTTP/1.1", "opens no tunnels"),
        (b"CONNECT / HTTP/1.0", "opens no tunnels"),
        (b"connect / HTTP/1.1", "opens no tunnels"),
        (b"TRACE / HTTP/1.1", "would show the token"),
        (b"Trace / HTTP/1.1", "would show the token"),
        (b"GE(T / HTTP/1.1", "must be a token"),
        (b"G\x00T / HTTP/1.1", "must be a token"),
        (b"G\xc3\x89T / HTTP/1.1", "must be a token"),
        (b"GET\t/ HTTP/1.1", "must be a token"),
        (b" GET / HTTP/1.1", "must be a token"),
        (b"A" * 65 + b" / HTTP/1.1", "at most 64 bytes"),
        (b"GET / HTTP/2.0", "version must be"),
        (b"GET / HTTP/1.2", "version must be"),
        (b"GET /", "METHOD target HTTP/1.1"),
        (b"GET  / HTTP/1.1", "METHOD target HTTP/1.1"),
        (b"GET /a b HTTP/1.1", "METHOD target HTTP/1.1"),
    ],
)
def test_h3_a_refused_request_line_is_told_its_cause(line: bytes, cause: str) -> None:
    """Also when the head has not ended, for what can be known by then."""
    with pytest.raises(RequestRefused, match=cause) as caught:
        parse_request(request(line=line))
    assert caught.value.status == 400
    early = early_fault(line + b"\r\n")
    assert early is None if b"CONNECT" in line.upper() or b"TRACE" in line.upper() else cause in str(early)


@pytest.mark.parametrize(
    ("head", "length", "keep_alive"),
    [
        (request(), 0, True),
        (request(b"Content-Length: 0"), 0, True),
        (request(b"Content-Length: 007"), 7, True),
        (request(b"Content-Length: 999999999999999999"), 10**18 - 1, True),
        (request(b"Transfer-Encoding: Chunked"), CHUNKED, True),
        (request(b"Connection: close"), 0, False),
        (request(b"Connection: Close"), 0, False),
        (request(b"Connection: a", b"Connection: b, close"), 0, False),
        (request(b"Connection: keep-alive, close"), 0, False),
        (request(line=b"GET / HTTP/1.0"), 0, False),
        (request(b"Connection: Keep-Alive", line=b"GET / HTTP/1.0"), 0, True),
        (request(b"Expect: wonders", line=b"GET / HTTP/1.0"), 0, False),
        (request(*[b"A: %d" % number for number in range(MAX_FIELDS - 1)]), 0, True),
    ],
)
def test_framing_and_persistence_of_requests(head: bytes, length: int, *, keep_alive: bool) -> None:
    """One source of the length; `close` outweighs everything."""
    parsed = parse_request(head)
    assert (parsed.length, parsed.keep_alive) == (length, keep_alive)


@pytest.mark.parametrize(
    ("head", "method", "length", "keep_alive"),
    [
        (answer(b"Content-Length: 5"), b"GET", 5, True),
        (answer(b"Transfer-Encoding: chunked"), b"GET", CHUNKED, True),
        (answer(), b"GET", UNTIL_CLOSE, False),
        (answer(b"Connection: keep-alive"), b"GET", UNTIL_CLOSE, False),
        (answer(b"Content-Length: 5", b"Connection: close"), b"GET", 5, False),
        (answer(b"Content-Length: 5", line=b"HTTP/1.0 200 OK"), b"GET", 5, False),
        (answer(b"Content-Length: 5", b"Connection: keep-alive", line=b"HTTP/1.0 200 OK"), b"GET", 5, True),
        (answer(b"Content-Length: 5"), b"HEAD", 0, True),
        (answer(b"Transfer-Encoding: chunked"), b"HEAD", 0, True),
        (answer(), b"HEAD", 0, True),
        (answer(b"Content-Length: 5", line=b"HTTP/1.1 304 N"), b"GET", 0, True),
        (answer(line=b"HTTP/1.1 204 N"), b"GET", 0, True),
        (answer(line=b"HTTP/1.1 100 C"), b"POST", 0, True),
    ],
)
def test_framing_and_persistence_of_answers(
    head: bytes, method: bytes, length: int, *, keep_alive: bool
) -> None:
    """RFC 9112 section 6.3."""
    parsed = parse_response(head, method)
    assert (parsed.length, parsed.keep_alive) == (length, keep_alive)


@pytest.mark.parametrize(
    "head",
    [
        answer(b"Content-Length: 1", b"Content-Length: 1"),
        answer(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        answer(b"Content-Length: -1"),
        answer(b"Transfer-Encoding: gzip, chunked"),
        answer(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK"),
        answer(b"A: 1", b" 2"),
        answer(b"A : 1"),
        answer(b"A: \x00"),
        answer(line=b"HTTP/2.0 200 OK"),
        answer(line=b"HTTP/1.1 20 OK"),
        answer(line=b"HTTP/1.1 2000 OK"),
        answer(line=b"HTTP/1.1 099 OK"),
        answer(line=b"HTTP/1.1 200 \x01"),
        answer(line=b"HTTP/1.1  200 OK"),
        answer(line=b"ICY 200 OK"),
        answer(*[b"A: %d" % number for number in range(MAX_FIELDS + 1)]),
    ],
)
def test_malformed_answers(head: bytes) -> None:
    """Nothing of them can be trusted."""
    with pytest.raises(MessageMalformed):
        parse_response(head, b"GET")


def test_connection_names_fields_away_but_none_that_matter() -> None:
    """RFC 9110 section 7.6.1, and what a client could do with it."""
    options = b"Connection: X-a, content-length, Host, authorization, TE"
    head = request(options, b"x-A: 1", b"X-B: 2", b"Content-Length: 3", b"Authorization: x", b"TE: gzip")
    parsed = parse_request(head)
    assert lines(parsed.fields) == [(b"X-B", b"2"), (b"Content-Length", b"3"), (b"Authorization", b"x")]
    assert parsed.length == 3


@pytest.mark.parametrize(
    ("connection", "left"),
    [
        (b"X-Tenant-Id", [b"X-Tenant-Id", b"X-Hop"]),
        (b"close, x-TENANT-id , X-Hop", [b"X-Tenant-Id"]),
        (b"X-Subject, X_Tenant_Id, X.Subject", [b"X-Tenant-Id", b"X-Hop"]),
        (b"X-Hop", [b"X-Tenant-Id"]),
        (b"close", [b"X-Tenant-Id", b"X-Hop"]),
        (b"Expect, X-Tenant-Id,X-Subject,X-Hop", [b"X-Tenant-Id"]),
    ],
)
def test_s9_connection_cannot_name_away_what_the_sidecar_answers_for(
    connection: bytes, left: list[bytes]
) -> None:
    """The field that chose the token travels on in its place; the one that is read here does not, named or not."""
    fields = (b"X-Tenant-Id: acme", b"X-Subject: canary", b"X-Hop: 1", b"Expect: 100-continue")
    parsed = parse_request(request(b"Connection: " + connection, *fields))
    for before in (None, parsed):
        parsed = parse_request(request(b"Connection: " + connection, *fields), before)
        head = relayed_request(parsed, b"/", b"u", b"Bearer new", hiding([b"x-subject"], [b"x-tenant-id"]))
        names = [name for name, _ in lines(head.split(b"Host: u")[1][:-4])]
        assert names == [*left, b"Expect", b"Authorization"]


@pytest.mark.parametrize(
    ("host", "origin", "sent"),
    [
        (b"127.0.0.1:9180", b"http://127.0.0.1:9180", b"https://up.internal:8443"),
        (b"LocalHost:9180", b"HTTP://localhost:9180", b"https://up.internal:8443"),
        (b"orders.internal", b"http://orders.internal:80", b"https://up.internal:8443"),
        (b"[::1]:9180", b"http://[::1]:9180", b"https://up.internal:8443"),
        (b"127.0.0.1:9180", b"http://127.0.0.1:3000", b"http://127.0.0.1:3000"),
        (b"127.0.0.1:9180", b"http://localhost:9180", b"http://localhost:9180"),
        (b"127.0.0.1:9180", b"https://127.0.0.1:9180", b"https://127.0.0.1:9180"),
        (b"127.0.0.1:9180", b"https://up.internal:8443", b"https://up.internal:8443"),
        (b"127.0.0.1:9180", b"null", b"null"),
        (b"127.0.0.1:9180", b"", b""),
    ],
)
def test_h5_the_sidecars_own_origin_becomes_the_upstreams(host: bytes, origin: bytes, sent: bytes) -> None:
    """In its place among the fields; any other stays as it came."""
    head = request(b"A: 1", b"ORIGIN:" + origin, b"B: 2", host=b"Host: " + host)
    for authorization in (None, b"Bearer new"):
        up = Origin("https", "up.internal", 8443)
        onward = relayed_request(parse_request(head), b"/", up.authority, authorization, origin=up.serialized)
        fields = lines(onward.split(b" HTTP/1.1")[1][:-4])[:4]
        assert [value for _, value in fields] == [b"up.internal:8443", b"1", sent, b"2"]


LATER = {
    "the one expectation": (b"Expect: 100-continue",),
    "an expectation in other letters": (b"eXPECT:\t100-Continue",),
    "an unknown expectation": (b"Expect: wonders",),
    "two expectations": (b"Expect: 100-continue", b"X-Kept: 2", b"Expect: 100-continue"),
    "an empty expectation": (b"Expect:",),
    "trailers accepted": (b"TE: trailers", b"Connection: TE"),
    "codings accepted": (b"TE: gzip;q=1.0, trailers", b"Connection: TE, keep-alive"),
    "trailers announced": (b"Trailer: X-Sum",),
    "a WebSocket": (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"),
    "HTTP/2": (b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAM"),
    "a connection that stays": (b"Connection: Keep-Alive", b"Keep-Alive: timeout=5"),
    "a connection that stays, by proxies": (b"Proxy-Connection: keep-alive",),
}


@pytest.mark.parametrize("name", LATER)
def test_s8_an_http_1_0_request_goes_up_without_the_fields_of_http_1_1(name: str) -> None:
    """The upstream gets HTTP/1.1, where they would count; what else there is stays, and so does the length."""
    block = [b"X-Kept: 1", *LATER[name], b"Content-Length: 5"]
    parsed = parse_request(request(*block, line=b"GET / HTTP/1.0"))
    assert parsed.length == 5
    sent = parse_request(relayed_request(parsed, b"/", b"u", b"Bearer t"))
    kept = [(b"X-Kept", b"1"), (b"X-Kept", b"2"), (b"Sec-WebSocket-Version", b"13")]
    ours = [(b"Content-Length", b"5"), (b"Authorization", b"Bearer t")]
    assert [field for field in lines(sent.fields) if field not in kept] == ours
    assert lines(sent.fields)[0] == kept[0]
    assert not {b"expect", b"te", b"upgrade", b"connection"} & set(sent.notes)
    assert not {b"expect", b"te", b"upgrade"} & set(parsed.notes)


def test_s8_a_tenant_field_that_connection_names_brings_none_of_them_back() -> None:
    """The block is read once more for it."""
    fields = (b"Connection: X-Tenant-Id, TE", b"X-Tenant-Id: acme", b"Expect: 100-continue", b"TE: trailers")
    parsed = parse_request(request(*fields, line=b"GET / HTTP/1.0"))
    head = relayed_request(parsed, b"/", b"u", None, hiding([], [b"x-tenant-id"]))
    assert lines(head.split(b"Host: u")[1][:-4]) == [(b"X-Tenant-Id", b"acme")]


@pytest.mark.parametrize("name", LATER)
def test_s8_they_do_not_come_back_with_the_next_request(name: str) -> None:
    """The second of two requests with the same fields is not read again, and means the same."""
    head = request(*LATER[name], line=b"GET / HTTP/1.0")
    first = parse_request(head)
    again = parse_request(head, first)
    assert (again.fields, again.notes) == (first.fields, first.notes)
    newer = parse_request(request(b"Expect: 100-continue"), first)
    assert lines(newer.fields) == [(b"Expect", b"100-continue")]


def test_te_is_passed_on_only_for_trailers() -> None:
    """As a field of our own connection."""
    head = relayed_request(parse_request(request(b"TE: gzip, trailers")), b"/", b"u", None)
    assert head.endswith(b"\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
    assert b"TE" not in relayed_request(parse_request(request(b"TE: gzip")), b"/", b"u", None)


def test_an_interim_answer_keeps_its_fields() -> None:
    """But for those of the connection."""
    head = answer(b"Link: </a>", b"Connection: x", b"X: 1", line=b"HTTP/1.1 103 Early Hints")
    assert relayed_interim(parse_response(head, b"GET")) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def test_trailers_that_matter_are_left_out() -> None:
    """They came after everything had been decided."""
    kept = [b"X-Sum: 1", b"server-timing: a"]
    dropped = [b"Host: x", b"content-LENGTH: 1", b"Transfer-Encoding: chunked", b"Authorization: x", b"TE: x"]
    assert relayed_trailers([*dropped, *kept, b"Set-Cookie: a", b"Connection: x"]) == kept


def test_s9_lookalikes_of_trailers_that_matter_are_left_out() -> None:
    """Some servers cannot distinguish them."""
    dropped = [
        b"Content_Length: 1",
        b"content.length: 1",
        b"Set_Cookie: a",
        b"WWW~Authenticate: x",
        b"Retry_After: 1",
    ]
    assert relayed_trailers([*dropped, b"X_Sum: 1"]) == [b"X_Sum: 1"]


@pytest.mark.parametrize(
    ("partial", "status"),
    [
        (b"G", None),
        (b"GET / HTTP/1.1", None),
        (b"GET / HTTP/1.1\r", None),
        (b"GET / HTTP/1.1\r\n", None),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r", None),
        (b"GET /" + b"a" * (MAX_LINE - 10), None),
        (b"get / HTTP/1.1", None),
        (b"a.b*c", None),
        (b"A" * 64, None),
        (b"A" * 64 + b" /" + b"a" * (MAX_LINE - 1) + b" HTTP/1.1\r\n", None),
        (b"A" * 65, 400),
        (b"GE(T /", 400),
        (b"GET\t/", 400),
        (b"\x16\x03\x01", 400),
        (b" GET", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\n", 400),
        (b"GET /\r\n", 400),
        (b"GET / HTTP/2.0\r\n", 400),
        (b"GET /" + b"a" * (MAX_LINE + 100), 414),
        (b"GET /" + b"a" * (MAX_LINE + 100) + b" HTTP/1.1\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD, 431),
    ],
)
def test_heads_that_cannot_become_good_are_known_early(partial: bytes, status: int | None) -> None:
    """And those that can are waited for."""
    fault = early_fault(partial)
    assert (fault.status if fault else None) == status


@given(BLOCKS)
def test_no_beginning_of_a_good_head_is_a_fault(block: list[bytes]) -> None:
    """Wherever it is cut."""
    head = request(*block)
    try:
        parse_request(head)
    except RequestRefused:
        return
    for end in range(1, len(head)):
        assert early_fault(head[:end]) is None


def test_an_answers_head_that_repeats_means_the_same() -> None:
    """Unless it answers another method, or differs in a single byte."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"
    first = parse_response(head, b"GET")
    assert parse_response(head, b"GET", first) is first
    assert parse_response(head, b"HEAD", first).length == 0
    assert parse_response(head.replace(b"5", b"6"), b"GET", first).length == 6
    assert parse_response(head.replace(b"keep-alive", b"close"), b"GET", first).keep_alive is False
