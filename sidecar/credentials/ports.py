"""What gives credentials."""

from typing import Protocol

from sidecar.credentials.model import Credentials


class CredentialSource(Protocol):
    """Where what authenticates us to the authorization server comes from."""

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the tenant's credentials, read again if those held were read at or before `newer_than`.

        Pass `-inf` for any that are held. `rejected` are those with which an authorization server has just refused
        a request: return others if the source has any, the same if not, and drop the rejected ones only if its
        current ones are others. `worked` says that such a request has got a token before, so that a version that
        the source does not call current counts too; it comes back as `interim`. Raises TokenUnavailable when the
        source cannot be read, and TokenRefused when it has nothing for us.
        """

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        """Hold `accepted`, which were `interim`, in place of `refused`: the authorization server has chosen."""


class SecretStore(Protocol):
    """Where credentials lie that are far away, in versions; each call reads it."""

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        """Return the tenant's current credentials, or another version as `interim` where those are the `rejected` ones.

        Raises like `CredentialSource.read`.
        """
