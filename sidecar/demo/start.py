"""The start of a sidecar for `sidecar demo`."""

from sidecar.app.sidecar import Sidecar
from sidecar.cache.settings import CacheSettings
from sidecar.config.settings import AdminSettings, Config
from sidecar.core import addresses
from sidecar.core.origin import Origin
from sidecar.core.secret import Secret
from sidecar.credentials.model import FixedCredentials
from sidecar.fleet.settings import RedisSettings
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route


async def start_for_demo(
    *,
    upstream: str,
    token_endpoint: str,
    client_id: str,
    client_secret: Secret,
    redis: RedisSettings | None,
    output: int,
) -> Sidecar:
    """Start a sidecar with one route for everything, on ports the system chooses."""
    url = addresses.upstream(upstream)
    wanted = TokenRequest(name="demo", token_endpoint=token_endpoint, credentials="demo", service="demo")
    origin = Origin(url.scheme, url.host, url.port)
    config = Config(
        listen="127.0.0.1:0",
        admin=AdminSettings("127.0.0.1:0"),
        cache=CacheSettings(mode="local" if redis is None else "distributed"),
        redis=redis,
        credentials={"demo": FixedCredentials(client_id, client_secret)},
        tokens={"demo": wanted},
        routes=(Route("demo", origin, token=wanted),),
    )
    sidecar = Sidecar(config, output=output)
    await sidecar.start()
    return sidecar
