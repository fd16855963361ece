"""Secrets where the configuration says they are."""

import asyncio
from pathlib import Path

from sidecar.core.errors import TokenUnavailable
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


class SecretReader:
    """Reads what a token request needs at the moment it is made."""

    async def read(self, where: SecretRef) -> Secret:
        """Return the secret as it is now. Raises TokenUnavailable when it cannot be read."""
        if not isinstance(where, SecretFile):
            return where
        try:
            return await asyncio.to_thread(read_secret, where)
        except OSError as error:
            reason = f"cannot read {where.path}: {error.strerror or type(error).__name__}"
            raise TokenUnavailable(reason, 0.0) from None
        except ValueError as error:
            raise TokenUnavailable(str(error), 0.0) from None
