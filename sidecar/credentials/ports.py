"""Sources of credentials."""

from typing import Protocol

from sidecar.credentials.model import Credentials


class CredentialSource(Protocol):
    """A source of credentials for the authorization server."""

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the tenant's credentials, read again if the cached ones were read at or before `newer_than`.

        Pass `-inf` for any cached ones. `rejected` are those with which an authorization server has just refused a
        request: return others if the source has any, the same if not, and drop the rejected ones only if its current
        ones are others. `worked` means that such a request has obtained a token before, so that a version that the
        source does not mark as current counts too; it is returned as `interim`. Raises TokenUnavailable if the source
        cannot be read, and TokenRefused if it has no credentials for us.
        """

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        """Cache `accepted`, which were `interim`, in place of `refused`: the authorization server accepted them."""


class SecretStore(Protocol):
    """A remote store of credentials, in versions; each call reads it."""

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        """Return the tenant's current credentials, or another version as `interim` if those are the `rejected` ones.

        Raises like `CredentialSource.read`.
        """
