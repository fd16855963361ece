r"""PEM in the form that every reader takes (RFC 7468), from the forms in which people paste it.

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

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----(.*?)-----END \1-----", re.DOTALL)
_WRITTEN_BREAK = re.compile(r"\\+r\\+n|\\+n|\\+r")
_WIDTH = 64


def with_breaks(text: str) -> str:
    r"""Return the text with line breaks in place of the two characters `\n`."""
    return _WRITTEN_BREAK.sub("\n", text)


def block(text: str, kind: str) -> bytes:
    """Return the first block whose label ends in `kind`. Raises ValueError where there is none."""
    for label, body in _BLOCK.findall(with_breaks(text)):
        if label.endswith(kind):
            return "\n".join(_lines(label, body)).encode()
    raise ValueError(f"it holds no PEM block with the label {kind}")


def _lines(label: str, body: str) -> Iterator[str]:
    """Write the block anew: its headers (RFC 1421), if it has any, and its content in lines of 64 characters."""
    lines = body.strip().splitlines()
    headers = [line.strip() for line in lines if ":" in line]
    yield f"-----BEGIN {label}-----"
    if headers:
        yield from (*headers, "")
    content = "".join("".join(line.split()) for line in lines if ":" not in line)
    yield from (content[at : at + _WIDTH] for at in range(0, len(content), _WIDTH))
    yield f"-----END {label}-----\n"
