"""The authorization servers and issuers that a configuration names."""

import re
from collections.abc import Iterable, Iterator

from sidecar.core.tenants import PLACE
from sidecar.oauth.token import FromRequest, TokenRequest
from sidecar.oauth.token_response import host_of

_TENANT = "[A-Za-z0-9._-]+"


class NamedServers:
    """The servers of some templates, for any tenant."""

    def __init__(self, templates: Iterable[TokenRequest]) -> None:
        urls = {url for template in set(templates) for url in _urls(template) if url}
        self._issuers = _Texts(urls)
        self._hosts = _Texts(map(host_of, urls))

    def has_issuer(self, issuer: str) -> bool:
        """Return whether the configuration names this issuer."""
        return issuer in self._issuers

    def has_host(self, host: str) -> bool:
        """Return whether one of the URLs leads to this host and port, as `host_of` writes them."""
        return host in self._hosts


class _Texts:
    """Texts in which `{tenant}` stands for any."""

    def __init__(self, texts: Iterable[str]) -> None:
        texts = frozenset(texts)
        places = sorted(text for text in texts if PLACE in text)
        self._plain = texts.difference(places)
        self._places = re.compile("|".join(map(_pattern, places))) if places else None

    def __contains__(self, text: str) -> bool:
        return text in self._plain or (self._places is not None and bool(self._places.fullmatch(text)))


def _pattern(text: str) -> str:
    return _TENANT.join(map(re.escape, text.split(PLACE)))


def _urls(template: TokenRequest) -> Iterator[str]:
    yield from (template.token_endpoint, template.issuer)
    for presented in (template.subject, template.actor):
        if presented is not None and isinstance(presented.where, FromRequest):
            rule = presented.where.verification
            yield from (rule.issuer, rule.jwks_uri) if rule is not None else ()
