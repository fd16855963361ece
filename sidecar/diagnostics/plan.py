"""Config → the steps that show whether everything it names exists and works."""

import math
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit

from sidecar.app.credentials import CredentialSources
from sidecar.app.token_fetching import TokenFetching
from sidecar.config.settings import Config
from sidecar.core.finding import Checked, Finding, Step
from sidecar.core.secret import SecretFile, SecretRef
from sidecar.core.tenants import PLACE
from sidecar.core.tls import Tls
from sidecar.credentials.sources.secret_files import SecretReader
from sidecar.diagnostics import runner
from sidecar.diagnostics.connectivity import Place
from sidecar.fleet.membership import Standalone
from sidecar.fleet.messages import BUST_CHANNEL, FILL_CHANNEL
from sidecar.fleet.settings import RedisSettings
from sidecar.oauth import jwt_rules
from sidecar.oauth.discovery import Discovery
from sidecar.oauth.http_client import HttpAuthorizationServer
from sidecar.oauth.signing_keys import Verification
from sidecar.oauth.token import FromRequest, TokenRequest
from sidecar.proxy.tenants import for_tenant
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.fan_out import FanOut

REDIS_LIMIT = 5.0
"""Seconds for one Redis operation."""


async def check(config: Config, tenant: str, limit: float) -> AsyncIterator[Checked]:
    """Try everything that a sidecar with this configuration needs, for this tenant; nothing is kept or shared.

    `limit` is in seconds, for all of it.
    """
    async with AsyncExitStack() as stack:
        plan = _Plan(config, tenant or (config.tenants.default if config.tenants else ""), stack)
        async for checked in runner.run(plan.steps, limit):
            yield checked


class _Plan:
    """The steps, each after those it needs."""

    def __init__(self, config: Config, tenant: str, stack: AsyncExitStack) -> None:
        self.steps: list[Step] = []
        self._config = config
        self._tenant = tenant
        self._stack = stack
        self._places: dict[tuple[str, int, Tls | None, bool], Step] = {}
        self._clock = SystemClock()
        self._randomness = SystemRandomness()
        self._journal = FanOut()
        solo = Standalone(config.cache, clock=self._clock, randomness=self._randomness, journal=self._journal)
        sources = CredentialSources(
            solo.credentials, solo.credential_store, clock=self._clock, journal=self._journal
        )
        self._credentials = sources.of(config)
        fetching = TokenFetching(
            sources, self._clock, self._randomness, self._journal, fingerprint_key=solo.fingerprint_key
        )
        self._source = fetching.proving(fetching.source(config))
        self._server = HttpAuthorizationServer()
        self._discovery = Discovery(self._server, self._clock)
        stack.callback(fetching.close)
        stack.push_async_callback(solo.close)
        self._secrets()
        if config.redis is not None:
            self._redis(config.redis)
        for route in config.routes:
            tls = route.origin.tls if route.origin.scheme == "https" else None
            reached = self._reach(route.origin.host, route.origin.port, tls, http2=route.origin.http2)
            found = Finding(f"{route.origin.scheme}://{route.origin.authority.decode()}{route.base_path}")
            self._add(Step(f"route {route.name}", "upstream", partial(_told, found), (reached,)))
        for token in config.tokens.values():
            self._token(token)

    def _add(self, step: Step) -> Step:
        self.steps.append(step)
        return step

    def _add_once(self, step: Step) -> Step:
        """Add the step unless it exists already; return the existing one."""
        same = (known for known in self.steps if (known.about, known.name) == (step.about, step.name))
        return next(same, None) or self._add(step)

    def _reach(self, host: str, port: int, tls: Tls | None, *, http2: bool = False) -> Step:
        """Return the last step of reaching a place, which several other steps may need.

        `http2`: whether HTTP/2 must be agreed on over TLS.
        """
        known = self._places.get((host, port, tls, http2))
        if known is not None:
            return known
        place = Place(host, port, tls, http2=http2)
        self._stack.callback(place.close)
        about = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        last = self._add(Step(about, "resolve", place.resolve))
        last = self._add(Step(about, "connect", place.connect, (last,)))
        if tls is not None:
            last = self._add(Step(about, "TLS", place.secure, (last,)))
        self._places[host, port, tls, http2] = last
        return last

    def _reach_url(self, url: str, tls: Tls) -> Step:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        return self._reach(
            parts.hostname or "", parts.port or (443 if secure else 80), tls if secure else None
        )

    def _secrets(self) -> None:
        tokens = list(self._config.tokens.values())
        if self._tenant and self._config.tenants is not None:
            tokens = [for_tenant(token, self._tenant) for token in tokens]
        for about, where in _secret_files(self._config, tokens):
            self._add(Step(about, "read", partial(_read, where)))

    # Redis

    def _redis(self, settings: RedisSettings) -> None:
        from sidecar.fleet.redis.checks import Examination  # noqa: PLC0415
        from sidecar.fleet.redis.connect import connect  # noqa: PLC0415  only with a fleet

        look = Examination(connect(settings, timeout=REDIS_LIMIT, name="sidecar-check"))
        hear = Examination(connect(settings, timeout=REDIS_LIMIT, name="sidecar-check"))
        self._stack.push_async_callback(look.close)
        self._stack.push_async_callback(hear.close)
        needs = tuple(self._reach(host, port, settings.tls) for host, port in settings.hosts)
        if settings.sentinel is not None or settings.cluster:
            needs = ()  # one of them is enough
        prefix = settings.key_prefix
        logged_in = self._add(Step("redis", "log in", look.log_in, needs))
        self._add(Step("redis", "version", look.version, (logged_in,)))
        owners = ["", "tenant:check:"] if self._config.tenants is not None else [""]
        for owner in owners:
            keys = partial(look.keys, f"{prefix}{owner}m2m:check", f"{prefix}m2m:check")
            self._add(Step("redis", "keys", keys, (logged_in,)))
        channels = [prefix + BUST_CHANNEL, prefix + FILL_CHANNEL]
        channels += [foreign.channel for foreign in self._config.busts.listen]
        self._add(Step("redis", "channels", partial(hear.channels, channels), (logged_in,)))

    # Tokens

    def _token(self, template: TokenRequest) -> None:
        about = f"token {template.name}"
        for presented in (template.subject, template.actor):
            where = presented.where if presented is not None else None
            if isinstance(where, FromRequest) and where.verification is not None:
                self._keys(where.verification)
        request = template
        if self._config.tenants is not None:
            if not self._tenant:
                why = Finding("depends on the tenant", "skipped", "name one with --tenant")
                self._add(Step(about, "fetch", partial(_told, why)))
                return
            request = for_tenant(template, self._tenant)
        needs = (self._endpoint(request), self._read_credentials(request))
        if request.brought:
            why = Finding("requires a token of each caller", "skipped")
            self._add(Step(about, "fetch", partial(_told, why), needs))
        else:
            self._add(Step(about, "fetch", partial(self._fetch, request), needs))

    def _endpoint(self, request: TokenRequest) -> Step:
        if request.token_endpoint:
            return self._reach_url(request.token_endpoint, request.tls)
        reached = self._reach_url(request.issuer, request.tls)
        return self._add_once(Step(request.issuer, "discovery", partial(self._discover, request), (reached,)))

    async def _discover(self, request: TokenRequest) -> Finding:
        return Finding(f"token endpoint {await self._discovery.token_endpoint(request)}")

    def _keys(self, rule: Verification) -> None:
        reached = self._reach_url(rule.jwks_uri or rule.issuer, rule.tls)
        self._add_once(Step(rule.issuer, "keys", partial(self._look_for_keys, rule), (reached,)))

    async def _look_for_keys(self, rule: Verification) -> Finding:
        place = rule.jwks_uri or await self._discovery.jwks_uri(rule.issuer, rule.tls)
        found = jwt_rules.keys(await self._server.get(place, rule.tls))
        if not found:
            return Finding(f"{place} has no keys", "failed", "check subject.verify: issuer or jwks_uri")
        return Finding(f"{len(found)} at {place}")

    def _read_credentials(self, request: TokenRequest) -> Step:
        about = f"credentials {request.credentials}"
        return self._add_once(Step(about, "read", partial(self._read, request)))

    async def _read(self, request: TokenRequest) -> Finding:
        found = await self._credentials[request.credentials].read(request.tenant, newer_than=-math.inf)
        return Finding(f"client id {found.client_id}")

    async def _fetch(self, request: TokenRequest) -> Finding:
        token = await self._source.token(request, newer_than=-math.inf, reason="warm_up")
        tenant = f" for tenant {request.tenant}" if request.tenant else ""
        return Finding(
            f"obtained{tenant}, valid for {token.left(self._clock.now(), self._clock.wall()):.0f} s"
        )


async def _told(finding: Finding) -> Finding:
    return finding


async def _read(where: SecretFile) -> Finding:
    await SecretReader().read(where)
    return Finding(where.path)


def _secret_files(config: Config, tokens: Iterable[TokenRequest]) -> Iterator[tuple[str, SecretFile]]:
    """Return the secrets in files of their own, but not those of a tenant that is not known.

    Credentials are read by the step that sends them.
    """
    refs: list[tuple[str, SecretRef | None]] = [("admin.token", config.admin.token)]
    if config.redis is not None:
        refs.append(("redis.password", config.redis.password))
        if config.redis.sentinel is not None:
            refs.append(("redis.sentinel.password", config.redis.sentinel.password))
        refs += [(f"redis key {key.id}", key.key) for key in config.redis.encryption_keys]
    for token in tokens:
        about = f"token {token.name}"
        if token.private_key is not None:
            refs.append((f"{about}: key", token.private_key.where))
            refs.append((f"{about}: passphrase", token.private_key.passphrase))
            refs.append(
                (f"{about}: certificate", SecretFile(token.private_key.certificate_file, multiline=True))
            )
        refs.append((f"{about}: assertion", SecretFile(token.assertion_file)))
        for role, presented in (("subject", token.subject), ("actor", token.actor)):
            if presented is not None and isinstance(presented.where, SecretFile):
                refs.append((f"{about}: {role}", presented.where))
    for about, where in refs:
        if isinstance(where, SecretFile) and where.path and PLACE not in where.path:
            yield about, where
