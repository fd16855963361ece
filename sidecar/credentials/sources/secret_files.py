"""Secrets at the places that the configuration names."""

from functools import partial

from sidecar.core import foreign_text
from sidecar.core.errors import TokenUnavailable
from sidecar.core.secret import Secret, SecretFile, SecretRef
from sidecar.system import causes, files, threads


def read_secret(where: SecretRef) -> Secret:
    """Return the secret, read from its file now; waits for the disk.

    Raises OSError, or ValueError with the reason when the file holds no secret.
    """
    if not isinstance(where, SecretFile):
        return where
    try:
        text = files.text(where.path, files.SECRET_LIMIT)
        return Secret(foreign_text.document(text) if where.multiline else foreign_text.value(text))
    except ValueError as error:
        raise ValueError(f"cannot read {where.path}: {error}") from None


async def fresh_secret(where: SecretRef) -> Secret:
    """Return the same without waiting for the disk. Raises like `read_secret`."""
    if not isinstance(where, SecretFile):
        return where
    return await threads.beside(where.path, partial(read_secret, where))


class SecretReader:
    """Read the secrets of a token request when it is made."""

    async def read(self, where: SecretRef) -> Secret:
        """Return the current secret. Raises TokenUnavailable if it cannot be read."""
        if not isinstance(where, SecretFile):
            return where
        try:
            return await fresh_secret(where)
        except OSError as error:
            reason = f"cannot read {where.path}: {error.strerror or causes.in_words(error)}"
            raise TokenUnavailable(reason, 0.0) from None
        except ValueError as error:
            raise TokenUnavailable(str(error), 0.0) from None
