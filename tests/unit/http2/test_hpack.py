"""The decoder of header blocks: the examples of RFC 7541, and each rule."""

import sys
from types import FrameType

import pytest

from sidecar.http2.fields import STATIC
from sidecar.http2.frames import ErrorCode, FrameFault
from sidecar.http2.hpack import MEMO_BYTES, RESET, Decoder, HeadersTooLarge
from sidecar.http2.hpack_tables import STATIC_TABLE
from tests.unit.http2.blocks import Pair, indexed, integer, literal, resized

MAX_LIST = 64 * 1024


def pairs(decoder: Decoder, block: bytes) -> list[Pair]:
    """The names and values of a block."""
    return [(field.name, field.value) for field in decoder.decode(block).fields]


def table(decoder: Decoder) -> list[Pair]:
    """The dynamic table, the newest entry first."""
    entries: list[Pair] = []
    while True:
        try:
            entries += pairs(decoder, indexed(62 + len(entries)))
        except FrameFault:
            return entries


def refused(decoder: Decoder, block: bytes) -> str:
    """Why a block ends the connection."""
    with pytest.raises(FrameFault) as caught:
        decoder.decode(block)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.COMPRESSION_ERROR, 0)
    return caught.value.text


GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
REQUESTS = [
    GET,
    [*GET, (b"cache-control", b"no-cache")],
    [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ],
]
REQUEST_TABLES = [
    [(b":authority", b"www.example.com")],
    [(b"cache-control", b"no-cache"), (b":authority", b"www.example.com")],
    [(b"custom-key", b"custom-value"), (b"cache-control", b"no-cache"), (b":authority", b"www.example.com")],
]
DATE = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")
LATER = (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT")
LOCATION = (b"location", b"https://www.example.com")
PRIVATE = (b"cache-control", b"private")
GZIP = (b"content-encoding", b"gzip")
COOKIE = (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
RESPONSES = [
    [(b":status", b"302"), PRIVATE, DATE, LOCATION],
    [(b":status", b"307"), PRIVATE, DATE, LOCATION],
    [(b":status", b"200"), PRIVATE, LATER, LOCATION, GZIP, COOKIE],
]
RESPONSE_TABLES = [
    [LOCATION, DATE, PRIVATE, (b":status", b"302")],
    [(b":status", b"307"), LOCATION, DATE, PRIVATE],
    [COOKIE, GZIP, LATER],
]
EXAMPLES = {
    "C.3": (
        4096,
        REQUESTS,
        REQUEST_TABLES,
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ),
    "C.4": (
        4096,
        REQUESTS,
        REQUEST_TABLES,
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ),
    "C.5": (
        256,
        RESPONSES,
        RESPONSE_TABLES,
        (
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17"
            "68747470733a2f2f7777772e6578616d706c652e636f6d"
        ),
        "4803333037c1c0bf",
        (
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d41"
            "53444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b207665727369"
            "6f6e3d31"
        ),
    ),
    "C.6": (
        256,
        RESPONSES,
        RESPONSE_TABLES,
        (
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97"
            "c8e9ae82ae43d3"
        ),
        "4883640effc1c0bf",
        (
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd"
            "5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
        ),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_rfc_7541(name: str) -> None:
    """Three messages of one connection each: their fields, and the table after each."""
    size, messages, tables, *blocks = EXAMPLES[name]
    decoder = Decoder(size, max_list=MAX_LIST)
    for message, entries, block in zip(messages, tables, blocks, strict=True):
        assert pairs(decoder, bytes.fromhex(block)) == message
        assert table(decoder) == entries


@pytest.mark.parametrize(
    ("block", "pair", "never", "entries"),
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", (b"custom-key", b"custom-header"), False, 1),
        ("040c2f73616d706c652f70617468", (b":path", b"/sample/path"), False, 0),
        ("100870617373776f726406736563726574", (b"password", b"secret"), True, 0),
        ("82", (b":method", b"GET"), False, 0),
    ],
)
def test_each_representation_of_rfc_7541_c_2(block: str, pair: Pair, never: bool, entries: int) -> None:
    """Literal with indexing, without, never; indexed."""
    decoder = Decoder(max_list=MAX_LIST)
    (found,) = decoder.decode(bytes.fromhex(block)).fields
    assert (found.name, found.value, found.never_indexed) == (*pair, never)
    assert len(table(decoder)) == entries


@pytest.mark.parametrize("index", range(1, 62))
def test_rule_2_every_static_entry_is_found(index: int) -> None:
    """By its index, as a field made once; its name by the index in each form of literal."""
    decoder = Decoder(max_list=MAX_LIST)
    (found,) = decoder.decode(indexed(index)).fields
    assert found is STATIC[index]
    assert (found.name, found.value) == STATIC_TABLE[index - 1]
    for form in ("indexing", "without", "never"):
        assert pairs(decoder, literal(form, index, b"unlikely")) == [(found.name, b"unlikely")]


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        (indexed(0), "no table has an entry 0"),
        (indexed(62), "no table has an entry 62"),
        (indexed(70), "no table has an entry 70"),
        (indexed(127), "no table has an entry 127"),
        (indexed(2**31), f"no table has an entry {2**31}"),
        (literal("without", 62, b"v"), "no table has an entry 62"),
        (literal("indexing", 9999, b"v"), "no table has an entry 9999"),
        (literal("never", 62, b"v"), "no table has an entry 62"),
        (indexed(2) + resized(100), "a table size update follows a field"),
        (literal("without", b"a", b"v") + resized(0), "a table size update follows a field"),
        (resized(4097), "a table of 4097 bytes is larger than 4096"),
        (resized(0) + resized(4097), "a table of 4097 bytes is larger than 4096"),
        (resized(2**30), f"a table of {2**30} bytes is larger than 4096"),
        (b"\xff", "the block ends in an integer"),
        (b"\xff\x80", "the block ends in an integer"),
        (b"\xff" + b"\x80" * 5 + b"\x00", "an integer is longer than five octets"),
        (b"\xff" + b"\xff" * 100_000, "an integer is longer than five octets"),
        (b"\x3f" + b"\xff" * 100_000, "an integer is longer than five octets"),
        (b"\x00", "the block ends in a field"),
        (b"\x40", "the block ends in a field"),
        (b"\x10", "the block ends in a field"),
        (b"\x00\x01", "the block ends in a string"),
        (b"\x00\x01a", "the block ends in a field"),
        (b"\x00\x01a\x02v", "the block ends in a string"),
        (b"\x00\x01a\x7f", "the block ends in an integer"),
        (b"\x00\x01a\x81\x00", "a string is not in Huffman's code"),
        (b"\x00\x81\x00\x01v", "a string is not in Huffman's code"),
        (b"\x00\x01a\x84\xff\xff\xff\xff", "a string is not in Huffman's code"),
        (
            b"\x00\x01a" + integer(0, 7, 2 * MAX_LIST + 1),
            f"a string of {2 * MAX_LIST + 1} bytes is longer than {2 * MAX_LIST}",
        ),
        (b"\x00\x01a" + integer(0x80, 7, 2**34), f"a string of {2**34} bytes is longer than {2 * MAX_LIST}"),
    ],
)
def test_rule_6_what_cannot_be_decoded_ends_the_connection(block: bytes, fault: str) -> None:
    """With COMPRESSION_ERROR, alone and after other fields."""
    assert refused(Decoder(max_list=MAX_LIST), block) == fault
    if block[0] & 0xE0 != 0x20:
        assert refused(Decoder(max_list=MAX_LIST), indexed(2) + block) == fault


def test_rule_5_integers_have_five_octets() -> None:
    """Zeros at their end included."""
    decoder = Decoder(max_list=MAX_LIST)
    assert pairs(decoder, b"\x0f\x80\x80\x80\x80\x00\x01v") == [(b"accept-charset", b"v")]
    assert refused(decoder, b"\x0f\x80\x80\x80\x80\x80\x00\x01v") == "an integer is longer than five octets"


@pytest.mark.parametrize(
    ("value", "prefix", "octets"),
    [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")],
)
def test_integers_of_the_tests_are_those_of_rfc_7541_c_1(value: int, prefix: int, octets: str) -> None:
    """With the three prefixes of the examples."""
    assert integer(0, prefix, value) == bytes.fromhex(octets)


@pytest.mark.parametrize("name", EXAMPLES)
def test_blocks_cut_anywhere_raise_or_are_the_fields_before(name: str) -> None:
    """At each octet; a cut between two fields leaves a whole block."""
    size, messages, _, *blocks = EXAMPLES[name]
    before = Decoder(size, max_list=MAX_LIST)
    for message, coded in zip(messages, map(bytes.fromhex, blocks), strict=True):
        whole = 0
        for at in range(len(coded)):
            decoder = Decoder(size, max_list=MAX_LIST)
            for earlier in blocks[: messages.index(message)]:
                decoder.decode(bytes.fromhex(earlier))
            try:
                assert pairs(decoder, coded[:at]) == message[:whole]
            except FrameFault as fault:
                assert fault.code == ErrorCode.COMPRESSION_ERROR  # noqa: PT017 - most cuts raise, not all
            else:
                whole += 1
        assert whole == len(message)
        before.decode(coded)


@pytest.mark.parametrize(
    ("size", "kept"),
    [(0, 0), (33, 0), (34, 1), (67, 1), (68, 2), (102, 3), (4096, 3)],
)
def test_rule_3_the_oldest_entries_make_room(size: int, kept: int) -> None:
    """Entries of 34 bytes, at sizes just below and at what they take."""
    decoder = Decoder(size, max_list=MAX_LIST)
    decoder.decode(b"".join(literal("indexing", name, b"v") for name in (b"a", b"b", b"c")))
    assert table(decoder) == [(b"c", b"v"), (b"b", b"v"), (b"a", b"v")][:kept]


def test_rule_3_an_entry_larger_than_the_table_empties_it() -> None:
    """It is a field of its block all the same."""
    decoder = Decoder(100, max_list=MAX_LIST)
    decoder.decode(literal("indexing", b"a", b"v"))
    assert pairs(decoder, literal("indexing", b"b", b"v" * 68)) == [(b"b", b"v" * 68)]
    assert table(decoder) == []


def test_rule_3_an_entry_may_take_its_name_from_one_that_it_evicts() -> None:
    """RFC 7541 section 4.4."""
    decoder = Decoder(80, max_list=MAX_LIST)
    decoder.decode(literal("indexing", b"name", b"v" * 40))
    assert pairs(decoder, literal("indexing", 62, b"w" * 44)) == [(b"name", b"w" * 44)]
    assert table(decoder) == [(b"name", b"w" * 44)]


def test_entries_are_found_after_thousands_of_evictions() -> None:
    """The list of entries is compacted meanwhile."""
    decoder = Decoder(max_list=MAX_LIST)
    for number in range(5000):
        decoder.decode(literal("indexing", b"n", b"%04d" % number))
    assert table(decoder) == [(b"n", b"%04d" % number) for number in range(4999, 4999 - 4096 // 37, -1)]


def test_rule_4_an_update_changes_the_size() -> None:
    """Down and up again, twice in a block too; what was evicted does not come back."""
    decoder = Decoder(max_list=MAX_LIST)
    add = literal("indexing", b"a", b"v")
    decoder.decode(add * 3)
    decoder.decode(resized(70))
    assert len(table(decoder)) == 2
    decoder.decode(resized(0) + resized(4096))
    assert table(decoder) == []
    decoder.decode(add * 3)
    assert len(table(decoder)) == 3


def test_rule_4_the_peer_reduces_its_table_when_less_is_allowed() -> None:
    """In its next block, at the beginning."""
    reduced = Decoder(max_list=MAX_LIST)
    reduced.allow(100)
    assert pairs(reduced, resized(100) + indexed(2)) == [(b":method", b"GET")]
    assert pairs(reduced, indexed(2)) == [(b":method", b"GET")]
    for block in (indexed(2), resized(101) + indexed(2), b""):
        unchanged = Decoder(max_list=MAX_LIST)
        unchanged.allow(100)
        assert refused(unchanged, block)


def test_rule_4_no_update_is_required_where_the_table_is_small_enough() -> None:
    """The peer chose a smaller table before; and when more is allowed."""
    decoder = Decoder(max_list=MAX_LIST)
    decoder.decode(resized(50))
    decoder.allow(100)
    assert pairs(decoder, indexed(2)) == [(b":method", b"GET")]
    decoder.allow(8192)
    assert pairs(decoder, resized(8192) + indexed(2)) == [(b":method", b"GET")]


def test_rule_7_a_list_too_large_leaves_the_table_in_step() -> None:
    """What it added is there, and the next block is decoded."""
    decoder = Decoder(max_list=100)
    with pytest.raises(HeadersTooLarge, match="the fields have 135 bytes, more than 100"):
        decoder.decode(literal("without", b"x", b"v" * 68) + literal("indexing", b"a", b"v"))
    assert pairs(decoder, indexed(62)) == [(b"a", b"v")]
    assert pairs(Decoder(max_list=101), literal("without", b"x", b"v" * 68)) == [(b"x", b"v" * 68)]


def test_rule_7_bombs_hold_no_memory() -> None:
    """A reference of an octet to an entry of 4,000 bytes, a hundred thousand times: refused, again and again."""
    decoder = Decoder(max_list=MAX_LIST)
    decoder.decode(literal("indexing", b"a", b"v" * 4000))
    for _ in range(2):
        with pytest.raises(HeadersTooLarge):
            decoder.decode(indexed(62) * 100_000)
    assert pairs(decoder, indexed(62)) == [(b"a", b"v" * 4000)]


LARGE = literal("without", b"x", b"v" * 100)
GRPC = (b"content-type", b"application/grpc")


@pytest.mark.parametrize(
    ("block", "kept"),
    [
        (literal("without", *GRPC) + LARGE, [GRPC]),
        (LARGE + literal("without", *GRPC), [GRPC]),
        (LARGE + literal("never", *GRPC), [GRPC]),
        (LARGE + literal("indexing", *GRPC), [GRPC]),
        (LARGE + literal("without", 31, GRPC[1]), [GRPC]),
        (LARGE + indexed(62), [(b"content-type", b"in the table")]),
        (LARGE + literal("without", *GRPC) + literal("without", b"content-type", b"second"), [GRPC]),
        (LARGE + indexed(62) * 1000 + literal("without", *GRPC), [(b"content-type", b"in the table")]),
        (LARGE + literal("without", b"te", b"trailers"), []),
    ],
)
def test_rule_7_the_first_content_type_over_the_list_is_kept(block: bytes, kept: list[Pair]) -> None:
    """Wherever it stands, and in each of its representations."""
    decoder = Decoder(max_list=100)
    decoder.decode(literal("indexing", b"content-type", b"in the table"))
    with pytest.raises(HeadersTooLarge) as caught:
        decoder.decode(block)
    assert [(field.name, field.value) for field in caught.value.fields] == kept


@pytest.mark.parametrize("form", ["without", "never"])
@pytest.mark.parametrize("name", [62, b"x", 4])
def test_rule_7_no_field_is_made_over_the_list_without_a_table(form: str, name: int | bytes) -> None:
    """Ten thousand literals over the list, under a name of 4,000 bytes in the table and under others."""
    decoder = Decoder(max_list=MAX_LIST)
    decoder.decode(literal("indexing", b"n" * 4000, b""))
    one = literal(form, name, b"v")
    size = decoder.decode(one).size
    made = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal made
        made += event == "call" and frame.f_code.co_name == "literal"

    sys.setprofile(count)
    try:
        with pytest.raises(HeadersTooLarge, match=f"the fields have {size * 10_000} bytes"):
            decoder.decode(one * 10_000)
    finally:
        sys.setprofile(None)
    assert made <= MAX_LIST // size + 1
    assert pairs(decoder, indexed(62)) == [(b"n" * 4000, b"")]


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        (b"\x00", "the block ends in a field"),
        (b"\x00\x01a", "the block ends in a field"),
        (b"\x00\x01a\x05v", "the block ends in a string"),
        (b"\x1f\xff", "the block ends in an integer"),
        (literal("never", 62, b"v"), "no table has an entry 62"),
        (b"\x00\x01a\x81\x00", "a string is not in Huffman's code"),
        (indexed(2) + resized(0), "a table size update follows a field"),
    ],
)
def test_rule_6_faults_after_a_list_too_large_end_the_connection(block: bytes, fault: str) -> None:
    """What is not kept is checked all the same."""
    with pytest.raises(FrameFault, match=fault):
        Decoder(max_list=100).decode(literal("without", b"x", b"v" * 68) + block)
    with pytest.raises(FrameFault, match=fault):
        Decoder(max_list=100).decode(literal("without", b"x", b"v" * 69) + block)


def test_rule_8_a_block_that_comes_again_is_not_decoded_again() -> None:
    """Every time but the first after the table changed: the hit rate of a client that repeats three calls."""
    decoder = Decoder(max_list=MAX_LIST)
    blocks = [indexed(2) + literal("without", b"path", b"/%d" % number) + indexed(62) for number in range(3)]
    decoder.decode(literal("indexing", b"a", b"v"))
    first = [decoder.decode(block) for block in blocks]
    assert decoder.memo_hits == 0
    for _ in range(99):
        assert all(decoder.decode(block) is known for block, known in zip(blocks, first, strict=True))
    assert decoder.memo_hits == 297


@pytest.mark.parametrize(
    "change",
    [
        literal("indexing", b"b", b"w"),
        resized(40),
        resized(0) + resized(4096),
        resized(0),
        literal("indexing", b"b", b"w" * 5000),
    ],
)
def test_rule_8_a_changed_table_changes_what_a_block_means(change: bytes) -> None:
    """By a new entry, a size, or an entry larger than the table."""
    decoder = Decoder(max_list=MAX_LIST)
    decoder.decode(literal("indexing", b"a", b"v") + literal("indexing", b"a2", b"v"))
    before = decoder.decode(indexed(62))
    assert decoder.decode(indexed(62)) is before
    decoder.decode(change)
    try:
        after = decoder.decode(indexed(62))
    except FrameFault:
        return
    assert after is not before


def test_rule_8_a_block_that_changes_the_table_it_refers_to_is_never_remembered() -> None:
    """It means something else the next time."""
    decoder = Decoder(max_list=MAX_LIST)
    decoder.decode(literal("indexing", b"a", b"1"))
    block = indexed(62) + literal("indexing", b"b", b"2")
    assert pairs(decoder, block) == [(b"a", b"1"), (b"b", b"2")]
    assert pairs(decoder, block) == [(b"b", b"2"), (b"b", b"2")]
    assert decoder.memo_hits == 0


def test_rule_8_a_block_that_refers_to_no_entry_is_remembered_for_good() -> None:
    """An encoder without a table of its own may index all the same: each time the entries are added again."""
    decoder = Decoder(100, max_list=MAX_LIST)
    block = indexed(8) + literal("indexing", b"server", b"nginx") + literal("without", b"c", b"d")
    first = decoder.decode(block)
    for number in range(1, 100):
        decoder.decode(literal("indexing", b"x", b"%d" % number) + indexed(62))
        assert decoder.decode(block) is first
        assert table(decoder)[0] == (b"server", b"nginx")
        assert table(decoder)[1] == (b"x", b"%d" % number)
        assert decoder.memo_hits >= number


def test_rule_8_a_block_that_begins_with_an_update_is_no_such_block() -> None:
    """The update has its effect each time."""
    decoder = Decoder(max_list=MAX_LIST)
    block = resized(0) + resized(4096) + literal("indexing", b"a", b"v")
    for _ in range(3):
        decoder.decode(literal("indexing", b"b", b"w"))
        decoder.decode(block)
        assert table(decoder) == [(b"a", b"v")]


def test_rule_8_a_peer_without_a_table_is_remembered_all_the_same() -> None:
    """Where the size is 0, incremental indexing and a repeated reset change nothing."""
    decoder = Decoder(max_list=MAX_LIST)
    decoder.decode(RESET)
    for _ in range(3):
        decoder.decode(RESET + literal("indexing", b"a", b"v"))
    assert decoder.memo_hits == 2


def test_rule_8_what_is_remembered_is_bounded() -> None:
    """More than MEMO_BYTES in all, or at once, is not."""
    decoder = Decoder(max_list=MAX_LIST)
    values = [b"%04d" % number * 100 for number in range(2 * MEMO_BYTES // 800)]
    decoder.decode(literal("indexing", b"b", b"w"))
    for more in (b"", indexed(62)):
        before = decoder.memo_hits
        for value in values * 2:
            decoder.decode(literal("without", b"a", value) + more)
        assert decoder.memo_hits - before < len(values) / 2
    large = literal("without", b"a", b"v" * (MEMO_BYTES - 60))
    assert decoder.decode(large) is not decoder.decode(large)


@pytest.mark.parametrize("allowed", [0, 100, 4096, 8192])
def test_rule_8_nothing_is_remembered_past_another_limit(allowed: int) -> None:
    """The block must reduce the table first, where less is allowed."""
    decoder = Decoder(max_list=MAX_LIST)
    before = decoder.decode(indexed(2))
    decoder.allow(allowed)
    try:
        assert decoder.decode(indexed(2)) is not before
    except FrameFault:
        assert allowed < 4096
