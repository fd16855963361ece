"""What other readers find in the heads of HTTP/1.1."""

import httptools

Field = tuple[bytes, bytes]


class Heard:
    """The fields as llhttp reports them."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        self.fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Note the end of the head."""
        self.complete = True


def read_by_llhttp(parser: type, head: bytes) -> list[Field] | None:
    """Return the fields of a head, None where llhttp refuses it."""
    listener = Heard()
    try:
        parser(listener).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    return listener.fields if listener.complete else None


def lines(block: bytes) -> list[Field]:
    """Return the fields of a block of lines, each with the CRLF before it."""
    pairs = [line.partition(b":") for line in block.split(b"\r\n")[1:]]
    return [(name, value.strip(b" \t")) for name, _, value in pairs]
