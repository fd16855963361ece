"""Which entries of the configuration have been right at least once."""

from collections.abc import Iterable, Mapping

from sidecar.oauth.ports import TokenSource
from sidecar.oauth.token import FetchReason, Token, TokenRequest


class ProvenEntries:
    """Entries for which a token was obtained, by this pod or another one of its fleet; no more than are configured."""

    def __init__(self, entries: Mapping[str, TokenRequest], names: Iterable[str] = ()) -> None:
        """`entries` by name, of which those with these `names` have been right."""
        self._entries = entries
        self._names = set(names)

    def under(self, entries: Mapping[str, TokenRequest]) -> "ProvenEntries":
        """Return what is still known under another configuration: that of entries that are the same."""
        return ProvenEntries(
            entries, (name for name in self._names if entries.get(name) == self._entries[name])
        )

    def add(self, name: str) -> None:
        """Note that a token was obtained for the entry."""
        if name in self._entries:
            self._names.add(name)

    def __contains__(self, name: str) -> bool:
        """Return whether a token was ever obtained for the entry."""
        return name in self._names


class ProvingSource:
    """Wraps the source of tokens, the store's included, and notes for which entries it has some."""

    def __init__(self, source: TokenSource, proven: ProvenEntries) -> None:
        self._source = source
        self._proven = proven

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """See the port."""
        token = await self._source.token(request, newer_than=newer_than, reason=reason)
        self._proven.add(request.name)
        return token
