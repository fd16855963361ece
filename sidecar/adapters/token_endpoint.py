"""The client of token endpoints, on aiohttp; apart from the data plane's pool in every respect."""

from collections.abc import Mapping

import aiohttp
from yarl import URL

from sidecar.core.errors import TokenUnavailable
from sidecar.core.oauth import host_of
from sidecar.core.ports import Reply

CONNECT_LIMIT = 5.0
TOTAL_LIMIT = 10.0
"""Seconds from the start of a token request to the last byte of its answer."""
SIZE_LIMIT = 65_536
"""Bytes of an answer."""
MAX_CONNECTIONS = 100

_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "nothing came in time; check address, port and network policy"),
    (aiohttp.ClientConnectorDNSError, "its name does not resolve; check token_endpoint and the DNS"),
    (
        aiohttp.ClientConnectorCertificateError,
        "its certificate is not trusted; check its names, its dates and the authorities known here",
    ),
    (aiohttp.ClientSSLError, "TLS failed; check that the port speaks TLS"),
    (aiohttp.ClientConnectorError, "cannot connect; check address, port and network policy"),
    (aiohttp.ServerConnectionError, "it closed the connection without an answer"),
    (aiohttp.ClientPayloadError, f"its answer broke off or is larger than {SIZE_LIMIT} bytes"),
    (aiohttp.NonHttpUrlClientError, "the address is not an HTTP one; check token_endpoint"),
    (ValueError, "the address cannot be used; check token_endpoint"),
    (Exception, "its answer is not HTTP"),
)
"""What to look at by kind of error, narrower kinds first. Never the error's text: it may quote anything."""


class HttpTokenEndpoint:
    """POSTs token requests: no redirects, no cookies, no proxies or netrc from the environment.

    Each request has a connection of its own. A kept one that the server just closed would fail a POST that
    nobody may repeat blindly, and token requests are too rare to gain from keeping it.
    """

    def __init__(self, *, connect_limit: float = CONNECT_LIMIT, total_limit: float = TOTAL_LIMIT) -> None:
        """Limits in seconds."""
        self._connect_limit = connect_limit
        self._total_limit = total_limit
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], form: str) -> Reply:
        """Send the form and return the answer, whatever its status. Raises TokenUnavailable without one."""
        try:
            return await self._post(url, headers, form)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            hint = next(hint for kind, hint in _HINTS if isinstance(error, kind))
            raise TokenUnavailable(f"no answer from token endpoint {host_of(url)}: {hint}", 0.0) from None

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, url: str, headers: Mapping[str, str], form: str) -> Reply:
        if self._session is None:
            self._session = self._open()
        async with self._session.post(
            URL(url), data=form.encode(), headers=headers, allow_redirects=False
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > SIZE_LIMIT:
                    raise aiohttp.ClientPayloadError(f"the answer is larger than {SIZE_LIMIT} bytes")
            return Reply(
                status=response.status,
                content_type=response.headers.get("Content-Type", ""),
                body=bytes(body),
                retry_after=response.headers.get("Retry-After", ""),
            )

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # a small body may unpack to any size; `identity` asks for none
            headers={"User-Agent": "credential-sidecar", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=self._total_limit, connect=self._connect_limit),
        )
