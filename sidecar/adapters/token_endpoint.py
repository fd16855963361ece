"""The client of authorization servers, on aiohttp; apart from the data plane's pool in every respect."""

import ssl
from collections.abc import Mapping
from functools import partial

import aiohttp
from yarl import URL

from sidecar import files, threads
from sidecar.core.errors import TokenUnavailable
from sidecar.core.oauth import host_of
from sidecar.core.ports import Reply
from sidecar.core.tls import Tls, no_passphrase

CONNECT_LIMIT = 5.0
TOTAL_LIMIT = 10.0
"""Seconds from the start of a token request to the last byte of its answer."""
SIZE_LIMIT = 65_536
"""Bytes of an answer."""
MAX_CONNECTIONS = 100

_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "nothing came in time; check address, port and network policy"),
    (
        aiohttp.ClientConnectorDNSError,
        "its name does not resolve; check token_endpoint or issuer, and the DNS",
    ),
    (
        aiohttp.ClientConnectorCertificateError,
        "its certificate is not trusted; check its names, its dates and the authorities known here",
    ),
    (aiohttp.ClientSSLError, "TLS failed; check that the port speaks TLS"),
    (aiohttp.ClientConnectorError, "cannot connect; check address, port and network policy"),
    (aiohttp.ServerConnectionError, "it closed the connection without an answer"),
    (aiohttp.ClientPayloadError, f"its answer broke off or is larger than {SIZE_LIMIT} bytes"),
    (aiohttp.NonHttpUrlClientError, "the address is not an HTTP one; check token_endpoint or issuer"),
    (ValueError, "the address cannot be used; check token_endpoint or issuer"),
    (Exception, "its answer is not HTTP"),
)
"""What to look at by kind of error, narrower kinds first. Never the error's text: it may quote anything."""


class HttpAuthorizationServer:
    """Asks for tokens and metadata: no redirects, no cookies, no proxies or netrc from the environment.

    Each request has a connection of its own. A kept one that the server just closed would fail a POST that
    nobody may repeat blindly, and token requests are too rare to gain from keeping it.
    """

    def __init__(self, *, connect_limit: float = CONNECT_LIMIT, total_limit: float = TOTAL_LIMIT) -> None:
        """Limits in seconds."""
        self._connect_limit = connect_limit
        self._total_limit = total_limit
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        """Send the form and return the answer, whatever its status. Raises TokenUnavailable without one."""
        return await self._ask("POST", url, headers, form, tls)

    async def get(self, url: str, tls: Tls) -> Reply:
        """Ask for a document; otherwise like `post`."""
        return await self._ask("GET", url, {"Accept": "application/json"}, None, tls)

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], form: str | None, tls: Tls
    ) -> Reply:
        context = await _in_thread(tls) if tls != Tls() else None
        try:
            return await self._answer(method, url, headers, form, context)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            hint = next(hint for kind, hint in _HINTS if isinstance(error, kind))
            asked = "token endpoint " if method == "POST" else ""
            raise TokenUnavailable(f"no answer from {asked}{host_of(url)}: {hint}", 0.0) from None

    async def _answer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: str | None,
        context: ssl.SSLContext | None,
    ) -> Reply:
        if self._session is None:
            self._session = self._open()
        async with self._session.request(
            method,
            URL(url),
            data=form.encode() if form is not None else None,
            headers=headers,
            allow_redirects=False,
            ssl=context or True,
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


async def _in_thread(tls: Tls) -> ssl.SSLContext:
    try:
        return await threads.beside(str(tls), partial(_context, tls))
    except OSError as error:
        raise TokenUnavailable(f"cannot read {', '.join(tls.files)}: {error.strerror}", 0.0) from None


def _context(tls: Tls) -> ssl.SSLContext:
    """Read the files anew, since they rotate. Raises TokenUnavailable, naming those that cannot be used."""
    for path in tls.files:
        try:
            files.probe(path)
        except (OSError, ValueError) as error:
            raise TokenUnavailable(f"cannot use {path} for TLS: {_reason(error)}", 0.0) from None
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
    except OSError as error:  # an SSLError is one too
        raise TokenUnavailable(f"cannot use {tls.ca_file} for TLS: {_reason(error)}", 0.0) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate_file:
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file or None, no_passphrase)
        except (OSError, ValueError) as error:
            pair = " with ".join(filter(None, (tls.certificate_file, tls.key_file)))
            raise TokenUnavailable(f"cannot use {pair} for TLS: {_reason(error)}", 0.0) from None
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is no PEM file, or wants a passphrase"
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
