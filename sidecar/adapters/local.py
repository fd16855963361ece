"""The store of a sidecar on its own."""

from sidecar.core.token import Token, TokenRequest


class LocalStore:
    """A second level that holds nothing: memory keeps tokens to their expiry and nobody else is told."""

    reachable = False

    async def get(self, request: TokenRequest) -> tuple[Token | None, int]:
        """Return nothing."""
        return None, 0

    async def fill(self, request: TokenRequest, token: Token, generation: int) -> bool:
        """Know of no bust."""
        return True

    async def bust(self, request: TokenRequest, refused: Token) -> None:
        """Tell nobody: memory and the floor under what may follow are the cache's own."""
