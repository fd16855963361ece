"""Config → started servers. The only module that knows every other."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import BinaryIO

from sidecar import __version__
from sidecar.admin import server
from sidecar.admin.ports import Readiness
from sidecar.admin.route_traffic import Count, counts
from sidecar.app import descriptors, known_labels
from sidecar.app.credentials import CredentialSources
from sidecar.app.gauges import Gauges
from sidecar.app.listen import BoundServer, bind
from sidecar.app.status import Parts, Status, pod_name
from sidecar.app.telemetry import Telemetry
from sidecar.app.token_fetching import TokenFetching
from sidecar.app.turns import in_turns, turns
from sidecar.app.upstreams import Http2, new_pool, table
from sidecar.cache.carry_over import FAREWELL
from sidecar.cache.refused_tokens import BustFailure
from sidecar.cache.tokens import TokenCache
from sidecar.config.restart import only_by_restart
from sidecar.config.settings import Config
from sidecar.core.errors import ConfigError
from sidecar.core.labels import Labels
from sidecar.core.origin import Origin
from sidecar.core.ports import Clock, Randomness
from sidecar.core.secret import Secret
from sidecar.credentials.sources.secret_files import fresh_secret
from sidecar.fleet.answers import SelectOutcome
from sidecar.fleet.membership import membership
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.pool import OriginPool
from sidecar.http1.shared.listener import Listener
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.needs import Needs
from sidecar.proxy.proxy import Proxy
from sidecar.proxy.tenants import foreseeable
from sidecar.system import causes, threads
from sidecar.system.build import build
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.events import Draining, Failed, Reloaded, ReloadFailed, Started
from sidecar.telemetry.ports import Readings
from sidecar.telemetry.words import NEIGHBOURS
from sidecar.token_api.api import TokenApi
from sidecar.token_api.server import TokenApiServer, served

LOAD_LIMIT = 60.0
"""Limit: time for a reload (seconds). Beyond: `reload_failed`."""
QUIET = 0.25
"""Seconds without a request in flight after which a draining sidecar stops listening."""


class Sidecar:
    """One sidecar: the data plane, its admin server, and what they share."""

    address = admin_address = ""
    """The bound addresses, such as `127.0.0.1:9180` or `unix:/path`; "" before start."""
    _bound: BoundServer | None = None
    _admin: server.AdminServer | None = None
    _warm = False

    def __init__(
        self,
        config: Config,
        *,
        output: BinaryIO | int = 1,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        quiet: float = QUIET,
    ) -> None:
        """Take `output`, a file or a descriptor for the log; and `quiet` in seconds, see QUIET."""
        self._config = config
        self._quiet = quiet
        self._clock = clock = clock or SystemClock()
        randomness = randomness or SystemRandomness()
        descriptor = output if isinstance(output, int) else output.fileno()
        self._status = Status(clock)
        self._gauges = Gauges(clock, self._status)
        self._telemetry = telemetry = Telemetry(config, descriptor, clock, randomness, self._status.listeners)
        self.journal = journal = telemetry.journal
        fleet = (config.redis, config.busts, config.cache)
        self._member = member = membership(*fleet, clock=clock, randomness=randomness, journal=journal)
        sources = CredentialSources(member.credentials, member.credential_store, clock=clock, journal=journal)
        self._fetching = TokenFetching(
            sources, clock, randomness, journal, fingerprint_key=member.fingerprint_key
        )
        self._cache = self._new_cache(config, randomness)
        self._deadlines = Deadlines(clock)
        self._http2 = Http2(self._deadlines, clock)
        self._new_pool = partial(new_pool, deadlines=self._deadlines, journal=self.journal, http2=self._http2)
        self._pools = {route.origin: self._new_pool(route.origin) for route in config.routes}
        self._proxy = Proxy(
            table(config, config.listen, self._pools),
            tokens=self._cache,
            callers=self._fetching.callers,
            journal=journal,
            clock=clock,
            instance=telemetry.instance,
            tracer=telemetry.tracer,
            budget=self._http2.budget,
        )
        limits = descriptors.for_clients(ServerLimits(), descriptors.limit())
        self._listener = Listener(self._proxy.serve, self._deadlines, limits)
        self._listener.take_over = self._http2.take_over(config.routes, self._proxy)
        self._token_api = self._new_token_api(config, limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurried = asyncio.Event()

    def _new_cache(self, config: Config, randomness: Randomness) -> TokenCache:
        cache = TokenCache(
            source=self._fetching.proving(self._member.source(self._fetching.source(config))),
            fleet=self._member.fleet,
            revocations=self._member.revocations,
            clock=self._clock,
            randomness=randomness,
            journal=self.journal,
            current=Needs(config.templates, config.tenants).current,
            memory_ttl=config.cache.memory_ttl,
            max_entries=config.cache.max_entries,
        )
        self._member.join(cache, pod_name())
        return cache

    def _new_token_api(self, config: Config, limits: ServerLimits) -> TokenApiServer:
        api = TokenApi(
            served(config),
            tokens=self._cache,
            callers=self._fetching.callers,
            unknown_tenants=self._proxy.unknown_tenants,
            journal=self.journal,
            clock=self._clock,
            instance=self._telemetry.instance,
            tracer=self._telemetry.tracer,
            fingerprint_key=self._member.fingerprint_key,
        )
        return TokenApiServer(config.token_api.listen, api, self._deadlines, limits)

    # Life

    async def start(self) -> None:
        """Listen, then warm up in the background. Raises ListenError."""
        most = self._listener.limits.max_connections
        self._bound = bound = await bind(self._config.listen, self._listener.connection, most)
        self.address = bound.address
        try:
            await self._token_api.start(bind)
            self._admin = await server.start(self, self._config.admin.listen, self.journal, bind)
        except BaseException:
            bound.close()
            await self._token_api.close()
            raise
        self.admin_address = self._admin.address
        self._proxy.table = table(self._config, self.address, self._pools)
        self._run(self._deadlines.run())
        self._run(self._member.run())
        self._run(self._proxy.unknown_tenants.run())
        self._run(descriptors.watch(self._clock, self.journal, lambda: self._listener.refused))
        self._run(self._telemetry.watch_loop())
        self._run(self._gauges.own_certificates.run(lambda: self._config, self._cache))
        self._run(self._telemetry.export(self._readings))
        self._run(self._status.run(self._counts, self._telemetry.forget_first_errors))
        self._run(self._warm_up(self._config.templates))
        at = (self.address, self.admin_address)
        routes, mode = len(self._config.routes), self._config.cache.mode
        self.journal.tell(Started(__version__, *at, routes, mode, build(), self._token_api.address))

    def hurry(self) -> None:
        """Let `stop` wait no longer for what is in flight."""
        self._hurried.set()

    async def stop(self) -> None:
        """Answer requests until none is in flight and none arrives, within the drain's limit; then end.

        No request is refused before that, because the application may get its own signal later than the sidecar.
        """
        self._proxy.draining = True
        self._token_api.drain()
        self.journal.tell(Draining(connections=len(self._listener.connections)))
        self._run(self._settle())
        await self._hurried.wait()
        if self._bound is not None:
            self._bound.close()
        await asyncio.gather(self._listener.close(), self._token_api.close())
        for pool in self._pools.values():
            pool.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cache.close()
        await self._member.close()
        self._fetching.close()
        if self._admin is not None:
            await self._admin.close()
        await self._telemetry.close(self._readings)

    async def _settle(self) -> None:
        within = self._config.drain_timeout or math.inf
        wait = {"least": self._config.drain_min_delay, "within": within, "quiet": self._quiet}
        await asyncio.gather(*(each.settle(**wait) for each in (self._listener, self._token_api.listener)))
        self.hurry()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm_up(self, templates: Iterable[TokenRequest]) -> None:
        await self._member.open()
        tokens = {template.name: template for template in templates}
        rule = self._config.tenants
        wanted = [each async for token in turns(tokens.values()) for each in foreseeable([token], rule)]
        await self._cache.warm_up(wanted)
        self._warm = True

    # Configuration

    async def reload(self, config: Config) -> None:
        """Put a new configuration in force for later requests; those in flight keep the old one.

        Tokens, connections and their state are kept if the new one can use them. The rest is dropped. Raises
        ConfigError if it changes a key that requires a restart. After any error the old configuration is still in
        force.
        """
        faults = only_by_restart(self._config, config)
        if faults:
            raise ConfigError(faults)
        fetching = self._fetching.source(config)
        pools: dict[Origin, OriginPool] = {}
        async for origin in turns(route.origin for route in config.routes):
            if origin not in pools:
                pools[origin] = self._pools.get(origin) or self._new_pool(origin)
        routes = await threads.beside("table", partial(table, config, self.address, pools), LOAD_LIMIT)
        needs = await threads.beside("needs", partial(Needs, config.templates, config.tenants), LOAD_LIMIT)
        self._pools |= pools
        left = [*self._config.routes, *self._config.tokens.values()]  # freed in turns: there may be thousands
        self._status.configure(self._config, config)
        self._config = config
        memory_ttl = self._member.credentials.memory_ttl = config.cache.memory_ttl
        source = self._fetching.proving(self._member.source(fetching))
        self._cache.set_source(source, needs.current, memory_ttl=memory_ttl)
        self._proxy.table = routes
        self._listener.take_over = self._http2.take_over(config.routes, self._proxy)
        self._token_api.configure(config)
        await in_turns(self._cache.forget())
        await in_turns(self._fetching.configure(config))
        await in_turns(self._telemetry.configure(config))
        await in_turns(self._close_pools(but=pools))
        await in_turns(left.pop() for _ in range(len(left)))
        self.journal.tell(Reloaded(routes=len(config.routes)))
        self._telemetry.doubt(config.doubtful)
        self._run(self._warm_up(config.templates))
        self._run(self._drop_unneeded())

    async def _drop_unneeded(self) -> None:
        await self._clock.sleep(FAREWELL)
        await in_turns(self._cache.drop_unneeded())

    def _close_pools(self, but: Mapping[Origin, OriginPool]) -> Iterator[None]:
        for origin in tuple(self._pools):
            if origin not in but:
                self._pools.pop(origin).close()
            yield

    async def try_reload(self, load: Callable[[], Config]) -> None:
        """Reload; report an invalid configuration to the journal and keep the old one.

        `load` is called in a thread.
        """
        try:
            await self.reload(await threads.beside("configuration", load, LOAD_LIMIT))
        except ConfigError as error:
            self.journal.tell(ReloadFailed(error="; ".join(map(str, error.faults))))
        except OSError as error:
            reason = f"cannot read the configuration: {error.strerror or causes.in_words(error)}"
            self.journal.tell(ReloadFailed(error=reason))
        except Exception as bug:  # noqa: BLE001  the next reload must still be possible
            self.journal.tell(Failed.of("reload", bug))

    # AdminState

    def ready(self) -> Readiness:
        """Return whether requests should be sent to this pod now."""
        if self._proxy.draining:
            return Readiness(ok=False, detail="draining")
        for kind in readings.down if (readings := self._member.readings()) is not None else ():
            why = self._member.health()[kind].why or "the connection is not ready yet"
            return Readiness(ok=True, degraded=True, detail=f"{NEIGHBOURS[kind].is_down()}: {why}")
        return Readiness(ok=True)

    def started(self) -> bool:
        """Return whether every token was requested once, with or without success."""
        return self._warm

    def status(self, selector: Labels) -> dict[str, object]:
        """Return the content of `/status`; of tokens, those that carry these labels."""
        ready = self.ready()
        return {
            "listen": self.address,
            "started": self._warm,
            "ready": asdict(ready),
            "in_flight": self._listener.busy,
            "connections": len(self._listener.connections),
            "token_api": self._token_api.status(),
            **self._status.read(self._parts(ready, self._counts()), selector),
        }

    async def not_found(self, selector: Labels) -> str:
        """Return why no token carries these labels, and what to do."""
        return await self._status.not_found(self._config, self._cache, selector)

    def _counts(self) -> Mapping[str, Count]:
        return counts(self._config.routes, self._telemetry.of_requests(), self._telemetry.first_errors())

    async def metrics(self) -> bytes:
        """Return Prometheus text."""
        return await self._telemetry.text(await self._readings())

    async def _readings(self) -> Readings:
        parts = self._parts(self.ready(), {})
        listeners = (self._listener, self._token_api.listener)
        return await self._gauges.read(parts, listeners, lines_dropped=self._telemetry.lines_dropped)

    def _parts(self, ready: Readiness, counted: Mapping[str, Count]) -> Parts:
        return Parts(self._config, self._cache, self._fetching, self._member, self._pools, counted, ready)

    def hosts(self) -> frozenset[str]:
        return self._config.admin.hosts

    async def operators_token(self) -> Secret | None:
        """Return the bearer token for busts, or None if busting is disabled."""
        secret = self._config.admin.token
        try:
            return await fresh_secret(secret) if secret else None
        except (OSError, ValueError):
            return None

    async def bust(self, selector: Labels) -> SelectOutcome | BustFailure:
        known_labels.check(selector)
        return await self._member.bust(selector)

    async def unknown_labels(self, selector: Labels) -> Sequence[str]:
        return await known_labels.warnings(self._config, selector)
