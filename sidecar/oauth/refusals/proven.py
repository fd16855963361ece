"""Which entries of the configuration have obtained a token at least once."""

from collections.abc import Iterable, Mapping

from sidecar.oauth.ports import TokenSource
from sidecar.oauth.token import FetchReason, Token, TokenRequest


class ProvenEntries:
    """Entries for which this pod or another one of its fleet obtained a token. At most as many as are configured."""

    def __init__(self, entries: Mapping[str, TokenRequest], names: Iterable[str] = ()) -> None:
        """Take `entries` by name, and the `names` of those that have obtained a token."""
        self._entries = entries
        self._names = set(names)

    def under(self, entries: Mapping[str, TokenRequest]) -> "ProvenEntries":
        """Return what still holds under another configuration: the entries that are unchanged."""
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
    """Wrap the source of tokens, the store's included, and note for which entries it returned one."""

    def __init__(self, source: TokenSource, proven: ProvenEntries) -> None:
        self._source = source
        self._proven = proven

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        token = await self._source.token(request, newer_than=newer_than, reason=reason)
        self._proven.add(request.name)
        return token
