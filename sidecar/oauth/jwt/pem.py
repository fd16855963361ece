r"""PEM in the form that every reader accepts (RFC 7468), from the forms in which users paste it.

| found                                            | such as                                         |
| ------------------------------------------------ | ----------------------------------------------- |
| text before, between and after the blocks        | `Bag Attributes` of `openssl pkcs12`            |
| other blocks before the one that is needed       | `EC PARAMETERS`, the certificate before its key |
| line breaks as the two characters `\n` or `\r\n` | a key copied from JSON, `kubectl create secret` |
| line breaks as blanks, or indented lines         | a variable of a shell or of CI, YAML            |
| quotes around all of it                          | `docker --env-file`                             |
"""

import re
from collections.abc import Iterator
from itertools import pairwise

_MARK = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]{1,64})-----")
_WRITTEN_BREAK = re.compile(r"\\{1,4}r\\{1,4}n|\\{1,4}[nr]")
_WIDTH = 64


def with_breaks(text: str) -> str:
    r"""Return the text with line breaks in place of the two characters `\n`."""
    return _WRITTEN_BREAK.sub("\n", text)


def block(text: str, kind: str) -> bytes:
    """Return the first block whose label ends in `kind`. Raises ValueError where there is none."""
    whole = with_breaks(text)
    for begin, end in pairwise(_MARK.finditer(whole)):
        label = begin[2]
        if label.endswith(kind) and (begin[1], end[1], end[2]) == ("BEGIN", "END", label):
            return "\n".join(_lines(label, whole[begin.end() : end.start()])).encode()
    raise ValueError(f"it holds no PEM block with the label {kind}")


def _lines(label: str, body: str) -> Iterator[str]:
    """Write the block again: its headers (RFC 1421), if it has any, and its content in lines of 64 characters."""
    lines = body.strip().splitlines()
    headers = [line.strip() for line in lines if ":" in line]
    yield f"-----BEGIN {label}-----"
    if headers:
        yield from (*headers, "")
    content = "".join("".join(line.split()) for line in lines if ":" not in line)
    yield from (content[at : at + _WIDTH] for at in range(0, len(content), _WIDTH))
    yield f"-----END {label}-----\n"
