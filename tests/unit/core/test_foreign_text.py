"""Text from outside."""

import json
from collections.abc import Callable
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.foreign_text import MOST_COMPARED, decoded, document, nearest, parse_object, value

MARK = "\ufeff"


@pytest.mark.parametrize("text", ["", "hunter2", "é", '{"a": 1}', "a\nb\n", f"a{MARK}b"])
def test_t4_a_byte_order_mark_is_not_part_of_a_text(text: str) -> None:
    """Only the one before the text is dropped."""
    assert decoded(text.encode()) == decoded(text.encode("utf-8-sig")) == text


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (b"\xff", "not UTF-8 text"),
        (b"canary\xe9", "not UTF-8 text"),
        (b"\xed\xa0\x80", "not UTF-8 text"),
        ("canary".encode("utf-16"), "UTF-16, not UTF-8 text; save it as UTF-8"),
        (b"\xfe\xff" + "canary".encode("utf-16-be"), "UTF-16, not UTF-8 text; save it as UTF-8"),
    ],
)
def test_t4_what_is_not_utf_8_is_refused(found: bytes, reason: str) -> None:
    """With the reason, and without a word of the text."""
    with pytest.raises(ValueError, match=reason) as raised:
        decoded(found)
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a": 1}\n', f'{MARK}{{"a": 1}}'])
def test_t4_json_is_read_with_a_byte_order_mark_and_without(text: str) -> None:
    """As text and as bytes."""
    assert parse_object(text) == parse_object(text.encode()) == {"a": 1}


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\n\n", "\n\r\n"])
@pytest.mark.parametrize("start", ["", MARK])
@pytest.mark.parametrize("inner", ["hunter2", " hunter 2 ", "é", "日本", "\\n", '"quoted"', "=", "\u00a0x"])
def test_t7_a_value_has_no_line_break_at_its_end(start: str, inner: str, end: str) -> None:
    """Blanks may belong to it."""
    assert value(start + inner + end) == document(start + inner + end) == inner


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "\nab", "a\tb", "ab\t", "a\0b", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b", "a\n b\n"]
)  # fmt: skip
def test_t7_a_value_has_no_control_character_inside(text: str) -> None:
    """A document may."""
    with pytest.raises(
        ValueError, match=r"^it holds a control character or a line break; write only the value"
    ):
        value(text)
    assert document(text) == text.rstrip("\n")


@pytest.mark.parametrize("text", ["", "\n", "\r\n\n", " ", " \n", MARK, f"{MARK}\n"])
def test_t7_a_text_without_content_is_refused(text: str) -> None:
    """A mount that is not filled yet."""
    for read in (value, document):
        with pytest.raises(ValueError, match=r"^it is empty$"):
            read(text)


@pytest.mark.parametrize("text", ["a\udcff", json.loads('"\\ud800"')])
def test_t7_half_a_character_is_refused(text: str) -> None:
    """As bytes of the environment and escapes of JSON may be; it could not be sent."""
    for read in (value, document):
        with pytest.raises(ValueError, match=r"^it is not UTF-8 text$"):
            read(text)


@given(st.text())
def test_t7_what_a_value_reads_can_be_sent_and_read_again(text: str) -> None:
    """Reading it once more changes nothing, unless a second byte order mark follows the first."""
    try:
        found = value(text)
    except ValueError:
        return
    assert found.encode()
    assert value(found) == found or found.startswith(MARK)


MANY = frozenset(f"tenant-{number:06}" for number in range(50_000))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("tenant-031415", "tenant-031415"),
        ("TENANT-031415", "tenant-031415"),
        ("tnant-031415", "tenant-031415"),
        ("tenannt-031415", "tenant-031415"),
        ("tenamt-031415", "tenant-031415"),
        ("tenatn-031415", "tenant-031415"),
        ("enant-031415", "tenant-031415"),
        ("tenant_031415", "tenant-031415"),
        ("tenatn-00314x", "tenant-000314"),
        ("globex", ""),
        ("q", ""),
    ],
)
def test_o8_one_of_very_many_words_is_found_again(written: str, meant: str) -> None:
    """The one that differs by a typing error, wherever it is; else a similar one with that beginning."""
    assert nearest(written, MANY) == meant


def test_o8_a_proposal_costs_about_the_same_for_any_number_of_words() -> None:
    """No more than to go through them a few times, and to compare a bounded number."""

    def cost(work: Callable[[], object]) -> float:
        started = thread_time()
        work()
        return thread_time() - started

    few = sorted(MANY)[:MOST_COMPARED]
    bound = cost(lambda: nearest("tneant-031x15", few)) + cost(lambda: [each.casefold() for each in MANY])
    assert cost(lambda: nearest("tneant-031x15", MANY)) < 8 * bound
