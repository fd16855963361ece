"""What one writes in an afternoon: a reverse proxy of aiohttp's server and client, on uvloop, without a log."""

import argparse
import ssl
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict

HOP_BY_HOP = ("Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Proxy-Connection")
SESSION = web.AppKey("session", ClientSession)
UPSTREAM = web.AppKey("upstream", str)
TOKEN = web.AppKey("token", str)


async def relay(request: web.Request) -> web.StreamResponse:
    fields = CIMultiDict(request.headers)
    for name in (*HOP_BY_HOP, "Host", "Authorization"):
        fields.popall(name, None)
    fields["Authorization"] = f"Bearer {request.app[TOKEN]}"
    async with request.app[SESSION].request(
        request.method,
        request.app[UPSTREAM] + request.path_qs,
        headers=fields,
        data=request.content if request.can_read_body else None,
        allow_redirects=False,
    ) as answer:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        for name in HOP_BY_HOP:
            response.headers.popall(name, None)
        await response.prepare(request)
        async for part in answer.content.iter_any():
            await response.write(part)
        await response.write_eof()
        return response


def application(upstream: str, token: str, ca_file: str | None) -> web.Application:
    async def with_session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca_file))
        unlimited = ClientTimeout(total=None)
        async with ClientSession(connector=connector, auto_decompress=False, timeout=unlimited) as session:
            app[SESSION] = session
            yield

    app = web.Application()
    app[UPSTREAM], app[TOKEN] = upstream, token
    app.cleanup_ctx.append(with_session)
    app.router.add_route("*", "/{path:.*}", relay)
    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--ca-file")
    options = parser.parse_args()
    app = application(options.upstream, options.token, options.ca_file)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None, backlog=4096, loop=loop)


if __name__ == "__main__":
    main()
