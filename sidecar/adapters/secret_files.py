"""Secrets where the configuration says they are."""

from pathlib import Path

from sidecar.core.secret import Secret, SecretFile, SecretRef

SIZE_LIMIT = 65_536
"""Bytes of a secret's file."""


def read_secret(where: SecretRef) -> Secret:
    """Return the secret, from its file as that is now; waits for the disk.

    Raises OSError, or ValueError when the file holds no text.
    """
    if not isinstance(where, SecretFile):
        return where
    with Path(where.path).open("rb") as file:
        content = file.read(SIZE_LIMIT)
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""  # the error's own text would quote the content
    if not text:
        raise ValueError(f"{where.path} is empty, or is not UTF-8 text")
    return Secret(text)
