"""The sidecar's decoder of header blocks and the library `hpack`, on one connection."""

from hpack import Decoder as LibraryDecoder
from hpack.exceptions import HPACKDecodingError
from hpack.struct import NeverIndexedHeaderTuple

from sidecar.http2.fields import Field
from sidecar.http2.frames import FrameFault
from sidecar.http2.hpack import Decoder

MAX_LIST = 1 << 20
Read = list[tuple[bytes, bytes, bool]]


class Both:
    """One connection's decoder, and the library's."""

    def __init__(self, size: int) -> None:
        self.ours = Decoder(size, max_list=MAX_LIST)
        self.library = LibraryDecoder(max_header_list_size=MAX_LIST)
        self.library.header_table_size = size
        self.library.max_allowed_table_size = size
        self.read: list[Field] = []
        """The fields of the last block that the sidecar accepted."""

    def allow(self, size: int) -> None:
        """Allow another size of the table."""
        self.ours.allow(size)
        self.library.max_allowed_table_size = size

    def same(self, block: bytes) -> bool:
        """Assert that both read the same; return False if both refuse the block, after which neither can go on."""
        ours, library = self.by_sidecar(block), self.by_library(block)
        assert ours == library
        return ours is not None

    def by_sidecar(self, block: bytes) -> Read | None:
        """Return what the sidecar reads, None if it refuses the block."""
        try:
            decoded = self.ours.decode(block)
        except FrameFault:
            return None
        self.read = decoded.fields
        return [(found.name, found.value, found.never_indexed) for found in decoded.fields]

    def by_library(self, block: bytes) -> Read | None:
        """Return what the library reads, None if it refuses the block."""
        try:
            decoded = list(self.library.decode(block, raw=True))
        except HPACKDecodingError:
            return None
        return [
            (bytes(entry[0]), bytes(entry[1]), isinstance(entry, NeverIndexedHeaderTuple))
            for entry in decoded
        ]
