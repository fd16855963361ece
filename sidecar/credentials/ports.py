"""What gives credentials."""

from typing import Protocol

from sidecar.credentials.model import Credentials


class CredentialSource(Protocol):
    """Where what authenticates us to the authorization server comes from."""

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        """Return the tenant's credentials, read anew if those held were read at or before `newer_than`.

        Pass `-inf` for whatever is held. `rejected` are those the authorization server has just not accepted:
        others are preferred, if there are any. Raises TokenUnavailable when the source cannot be read, and
        TokenRefused when it has nothing for us.
        """
