"""The rules at the head of core/target.py."""

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused
from sidecar.proxy.target import Target, split


def refusal(target: bytes) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        split(target)
    return caught.value


def unrefused(targets: Iterable[bytes]) -> list[bytes]:
    """Those that are not refused for a dot segment."""
    found = []
    for target in targets:
        try:
            split(target)
        except RequestRefused as refused:
            if refused.status == 400 and "dot segment" in str(refused):
                continue
        found.append(target)
    return found


@pytest.mark.parametrize(
    ("target", "path", "query", "authority"),
    [
        (b"/", b"/", b"", b""),
        (b"/a/b?x=1&y=/../", b"/a/b", b"?x=1&y=/../", b""),
        (b"/a?", b"/a", b"?", b""),
        (b"/a?b?c", b"/a", b"?b?c", b""),
        (b"http://h.example:81/a?b", b"/a", b"?b", b"h.example:81"),
        (b"HTTP://H/a", b"/a", b"", b"H"),
        (b"http://[::1]:9180/", b"/", b"", b"[::1]:9180"),
        (b"http://h", b"/", b"", b"h"),
        (b"http://h?q=1", b"/", b"?q=1", b"h"),
        (b"/http://other/a", b"/http://other/a", b"", b""),
    ],
)
def test_splits_both_forms(target: bytes, path: bytes, query: bytes, authority: bytes) -> None:
    """Path, query with its mark, and the absolute-form's authority come apart; an empty path is a slash."""
    assert split(target) == Target(path, query, authority)


@pytest.mark.parametrize(
    "path",
    [
        b"//",
        b"//a//b/",
        b"/a;params=1/b;c",
        b"/;..",
        b"/%252e%252e/a",
        b"/%252f..%252f",
        b"/...",
        b"/.../a",
        b"/..a/b../.c/d.",
        b"/.well-known/openid-configuration",
        b"/%2e%2e%2e",
        b"/a%2Fb%5C%2f",
        b"/a\\b",
        b"/%zz%",
        b"/%E2%82%AC/%c0%ae%c0%aea/",
        b"/%u20ac/a%u002e%u002e/",
        b"/a:b@c!$&'()*+,=\"<>[]^`{|}~",
    ],
)
def test_everything_else_keeps_its_bytes(path: bytes) -> None:
    """Empty segments, parameters, case, and odd or double encodings are relayed as they came."""
    assert split(path + b"?" + path.replace(b"#", b"")) == Target(path, b"?" + path, b"")


DOTS = [b".", b"..", b"%2e", b"%2E", b".%2e", b"%2E.", b"%2e%2E"]
BOUNDS = [b"/", b"\\", b"%2f", b"%2F", b"%5c", b"%5C"]


@pytest.mark.parametrize("dots", DOTS)
def test_dot_segments_are_refused(dots: bytes) -> None:
    """A dot segment is refused however its dots and bounds are written, with parameters or at the end."""
    starts = [start + bound for start in (b"/a", b"http://localhost/a") for bound in BOUNDS]
    ends = [b"", b"?x", b";x", b";x/b", *(bound + b"b" for bound in BOUNDS)]
    assert unrefused(start + dots + end for start in starts for end in ends) == []


ENCODED_ENDS = [b"%%%02x" % byte for byte in (*range(0x21), 0x7F, *b":/?#[]@!$&'()*+,;=\\")]


@pytest.mark.parametrize("dots", DOTS)
def test_s10_dots_before_an_encoded_delimiter_or_control_are_refused(dots: bytes) -> None:
    """Some server cuts the segment there once it has decoded it, with more behind it or without."""
    ends = [
        written + after
        for end in ENCODED_ENDS
        for after in (b"", b"/", b"/admin", b"x/admin", end + b"/admin")
        for written in (end, end.upper())
    ]
    assert unrefused(b"/api/" + dots + end for end in ends) == []


INVALID_DOTS = [
    b"%c0%ae",
    b"%C0%AE",
    b"%e0%80%ae",
    b"%u002e",
    b"%U002E",
    b".%c0%ae",
    b"%2e%u002e",
    b"%c0%ae.",
]
INVALID_SLASHES = [b"%c0%af", b"%C0%AF", b"%e0%80%af", b"%c1%9c", b"%e0%81%9c", b"%u002f", b"%u005C"]


@pytest.mark.parametrize(
    ("dots", "slash"),
    [
        *[(dots, slash) for dots in INVALID_DOTS for slash in (b"/", b"\\", b"%2f")],
        *[(dots, slash) for dots in (b"..", b"%2e%2E", b".") for slash in INVALID_SLASHES],
    ],
)
def test_s10_dots_and_slashes_in_invalid_encodings_are_refused(dots: bytes, slash: bytes) -> None:
    """Overlong UTF-8 and `%u` are no URL's, and some decoders take them."""
    for path in (b"/api/" + dots + slash + b"admin", b"/api" + slash + dots + b"/admin"):
        assert "dot segment" in str(refusal(path))


@pytest.mark.parametrize(
    "path",
    [
        b"/api/..%00.json",
        b"/api/%2e%2e%3bx=1/admin",
        b"/api/..;%2fadmin",
        b"/api/%20../admin",
        b"/api/%09%0d%2e%2e/admin",
        b"/api/.%09./admin",
        b"/api%2f..%23/admin",
        b"/api\\..%3f\\admin",
        b"/..%3B",
        b"http://localhost/api/..%20/admin",
    ],
)
def test_s10_such_dots_are_refused_wherever_they_stand(path: bytes) -> None:
    """At the end, behind any bound, in the absolute-form, and behind encoded blanks."""
    assert "dot segment" in str(refusal(path))


@pytest.mark.parametrize(
    "path",
    [
        b"/..%61/",
        b"/a..%3b/b",
        b"/..%2e/",
        b"/...%00/",
        b"/%252e%252e%253b/",
        b"/..%253b/",
        b"/..%41",
        b"/..%-",
    ],
)
def test_s10_what_is_no_dot_segment_passes(path: bytes) -> None:
    """An encoded letter or a third dot continues the name; a double encoding is not decoded here."""
    assert split(path + b"?" + path) == Target(path, b"?" + path, b"")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (b"/../", "dot segment"),
        (b"/./", "dot segment"),
        (b"/%2e%2e/", "dot segment"),
        (b"/.%2E/", "dot segment"),
        (b"/a%2f..%2fb", "dot segment"),
        (b"/a\\..\\b", "dot segment"),
        (b"/a%5c..%5cb", "dot segment"),
        (b"/a/..", "dot segment"),
        (b"/a/..?x", "dot segment"),
        (b"http://h/a/..", "dot segment"),
        (b"/a/..;x=1/b", "dot segment"),
        (b"*", "no upstream"),
        (b"h.example:443", "start with a slash"),
        (b"a/b", "start with a slash"),
        (b"?x", "start with a slash"),
        (b"/a#b", "fragment"),
        (b"/a?b#c", "fragment"),
        (b"", "empty"),
        (b"/a b", "percent-encode"),
        (b"/a\tb", "percent-encode"),
        (b"/a\r\n", "percent-encode"),
        (b"/a\n", "percent-encode"),
        (b"/a\0", "percent-encode"),
        (b"/a\x7f", "percent-encode"),
        (b"/\xc3\xa9", "percent-encode"),
        (b"https://h/", "http URL"),
        (b"ftp://h/", "http URL"),
        (b"http:///a", "http URL"),
        (b"http://?a", "http URL"),
        (b"http://user@h/", "http URL"),
        (b"http://user:pass@h/", "http URL"),
    ],
)
def test_refusals_say_why(target: bytes, reason: str) -> None:
    """What is in neither form, or unsafe, is refused with 400 and a reason."""
    error = refusal(target)
    assert error.status == 400
    assert reason in str(error)


PIECES = st.lists(
    st.sampled_from(
        [
            b"/",
            b"\\",
            b"%2f",
            b"%5C",
            b".",
            b"%2e",
            b"%2E",
            b"a",
            b";",
            b"%",
            b"%25",
            b"?",
            b"2e",
            b"%3b",
            b"%00",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(PIECES)
@example(b"..%2f")
def test_no_reading_of_an_accepted_path_has_dot_segments(tail: bytes) -> None:
    """Decoded, and with parameters dropped, an accepted path still has no dot segment."""
    try:
        path, query, _ = split(b"/" + tail)
    except RequestRefused:
        return
    assert path + query == b"/" + tail
    decoded = unquote_to_bytes(path)
    for reading in (
        decoded,
        re.sub(rb"[;\0][^/\\]*", b"", decoded),
        unquote_to_bytes(re.sub(rb";[^/\\]*", b"", path)),
    ):
        segments = re.split(rb"[/\\]", reading)
        assert b"." not in segments
        assert b".." not in segments


@given(st.binary(max_size=40))
def test_any_bytes_are_split_or_refused(target: bytes) -> None:
    """Whatever comes, it is relayed whole or refused with 400; nothing else is raised."""
    for candidate in (target, b"/" + target, b"http://h/" + target):
        try:
            path, query, authority = split(candidate)
        except RequestRefused:
            continue
        assert path.startswith(b"/")
        assert candidate.endswith(query if path == b"/" else path + query)
        assert not authority or candidate[7:].startswith(authority)
