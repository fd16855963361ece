"""Credentials from the configuration and from files."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sidecar.core import foreign_text
from sidecar.core.errors import TokenUnavailable
from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.core.secret import Secret
from sidecar.core.tenants import PLACE, filled
from sidecar.credentials.model import (
    Credentials,
    FileCredentials,
    FixedCredentials,
    LocalCredentials,
    SecretFileCredentials,
    VariableCredentials,
)
from sidecar.credentials.ports import CredentialSource
from sidecar.credentials.secret_json import client_of
from sidecar.system import causes, files, threads

MAX_FILES = 1000
"""Limit: tenants' files kept in memory for each entry of `credentials` (number). Beyond: the least recently used one is
read again for its next token request."""

_Parse = Callable[[str], tuple[str, str]]
_Signature = tuple[int, int, int, int]


def source_of(spec: LocalCredentials, clock: Clock) -> CredentialSource:
    """Return the source of the credentials that the configuration describes."""
    match spec:
        case FixedCredentials():
            return FixedSource(spec, clock)
        case VariableCredentials():
            return VariableSource(spec, clock)
        case SecretFileCredentials(client_id, path):
            return _of_file(path, partial(_secret_alone, client_id), clock)
        case FileCredentials(path):
            return _of_file(path, client_of, clock)


def _of_file(path: str, parse: _Parse, clock: Clock) -> CredentialSource:
    return TenantFiles(path, parse, clock) if PLACE in path else FileSource(path, parse, clock)


class FixedSource:
    """Credentials that only a new configuration changes: the cached ones always equal the source's."""

    def __init__(self, spec: FixedCredentials, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the credentials."""
        return Credentials(self._spec.client_id, self._spec.client_secret, self._clock.now())

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        """Do nothing: there are no others."""


class VariableSource:
    """Secrets of tenants in environment variables: only a start of the process changes them."""

    def __init__(self, spec: VariableCredentials, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the tenant's credentials. Raises TokenUnavailable if its variable is not set or cannot be used."""
        found = self._spec.found.get(tenant, Secret("")).reveal()
        if not found.strip():
            raise self._unavailable(tenant, "it is not set, or is empty")
        try:
            secret = Secret(foreign_text.value(found))
        except ValueError as error:
            raise self._unavailable(tenant, str(error)) from None
        return Credentials(self._spec.client_id, secret, self._clock.now())

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        """Do nothing: there are no others."""

    def _unavailable(self, tenant: str, reason: str) -> TokenUnavailable:
        name = self._spec.variable.replace(PLACE, tenant)
        where = f"the client secret of tenant {tenant} in the environment variable {name}"
        return TokenUnavailable(f"cannot read {where}: {reason}", 0.0)


@dataclass(frozen=True, slots=True)
class _ReadFile:
    credentials: Credentials
    signature: _Signature


class FileSource:
    """Credentials in a file, read again when it changed and when newer ones are required.

    A mounted secret is replaced by swapping a symbolic link; `stat` follows it, so inode and time show the change.
    """

    def __init__(
        self, path: str, parse: _Parse, clock: Clock, *, owner: str = "", template: str = ""
    ) -> None:
        """Take `parse`, which returns client id and secret from the file's text; its ValueError names the fault.

        `owner` is the only tenant that uses the file, "" if every request does. The files of one `template` share
        threads.
        """
        self._path = path
        self._threads = template or path
        self._what = f"the credentials of tenant {owner}" if owner else "the credentials"
        self._parse = parse
        self._clock = clock
        self._held: _ReadFile | None = None

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the file's credentials. Raises TokenUnavailable if it cannot be read or parsed."""
        try:
            held = await threads.beside(self._threads, partial(self._load, self._held, newer_than))
        except OSError as error:
            raise self._unavailable(error.strerror or causes.in_words(error)) from None
        except ValueError as error:
            raise self._unavailable(str(error)) from None
        self._held = held
        return held.credentials

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        """Do nothing: a file has one version."""

    def _load(self, held: _ReadFile | None, newer_than: float) -> _ReadFile:
        read_at = self._clock.now()
        with files.opened(self._path) as file:
            signature = _signature(os.fstat(file.fileno()))
            if held is not None and held.signature == signature and held.credentials.read_at > newer_than:
                return held
            text = foreign_text.decoded(files.content(file, files.SECRET_LIMIT))
        client_id, secret = self._parse(text)
        return _ReadFile(Credentials(client_id, Secret(secret), read_at), signature)

    def _unavailable(self, reason: str) -> TokenUnavailable:
        return TokenUnavailable(f"cannot read {self._what} in {self._path}: {reason}", 0.0)


class TenantFiles:
    """A file of credentials for each tenant. Bounded."""

    def __init__(self, template: str, parse: _Parse, clock: Clock) -> None:
        """Take `template`, a path with `{tenant}` in it, and `parse` as above."""
        self._template = template
        self._parse = parse
        self._clock = clock
        self._sources: Lru[FileSource] = Lru(MAX_FILES)

    async def read(
        self,
        tenant: str,
        *,
        newer_than: float,
        rejected: Credentials | None = None,
        worked: bool = False,
    ) -> Credentials:
        """Return the credentials in the tenant's file. Raises TokenUnavailable if it cannot be read or parsed."""
        source = self._sources.get(tenant) or self._source(tenant)
        credentials = await source.read(tenant, newer_than=newer_than)
        self._sources.put(tenant, source)
        return credentials

    async def adopt(self, tenant: str, accepted: Credentials, *, refused: Credentials) -> None:
        """Do nothing: a file has one version."""

    def _source(self, tenant: str) -> FileSource:
        try:
            path = filled(self._template, tenant)
        except ValueError as error:
            raise TokenUnavailable(f"cannot read the credentials in {self._template}: {error}", 0.0) from None
        return FileSource(path, self._parse, self._clock, owner=tenant, template=self._template)


def _signature(stat: os.stat_result) -> _Signature:
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def _secret_alone(client_id: str, text: str) -> tuple[str, str]:
    return client_id, foreign_text.value(text)
