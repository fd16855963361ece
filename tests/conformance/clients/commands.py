"""curl, nghttp and h2load. Each case returns if what the command printed and wrote is as expected."""

import asyncio
import hashlib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.clients.setting import (
    Case,
    NotAsExpectedError,
    Setting,
    check,
    expect,
    finished,
)
from tests.conformance.clients.upstream import BLOCK, FIELD, digest, pattern
from tests.conformance.tools import tool

PACKAGES = {"curl": "curl", "nghttp": "nghttp2-client", "h2load": "nghttp2-client"}
"""Debian's package of each command."""
STREAMS = 1000


def require(name: str) -> str:
    """Return the path of a command. Raises CannotRunError."""
    return tool(name, f"Debian's package {PACKAGES[name]}")


def version(name: str) -> str:
    """Return a command's name and version."""
    printed = subprocess.run([require(name), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", printed)
    return f"{name} {found.group() if found else '?'}"


def body_file(setting: Setting, size: int) -> Path:
    """Write a body into a file."""
    path = setting.folder / f"body-{size}"
    with path.open("wb") as file:
        file.writelines(pattern(size))
    return path


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# curl


async def _curl(setting: Setting, path: str, *options: str) -> str:
    """Return what curl prints: without `-o`, the body."""
    command = ("curl", "--http2-prior-knowledge", "-sS", *options, setting.url + path)
    return (await setting.output(*command)).decode()


async def curl_get(setting: Setting) -> None:
    printed = await _curl(setting, "/get", "-w", " %{http_version} %{http_code}")
    expect("answer", printed, "got it 2 200")


async def curl_head(setting: Setting) -> None:
    check("content-length", "content-length: 6" in await _curl(setting, "/get", "-I"))


async def curl_post(setting: Setting) -> None:
    expect("body", await _curl(setting, "/echo", "-d", "ping"), "ping")


async def curl_field(setting: Setting) -> None:
    printed = await _curl(setting, "/field", "-D", "-", "-o", "/dev/null", "-H", f"x-large: {FIELD}")
    check("field", f"x-large: {FIELD}" in printed)


async def curl_upload(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    expect("digest", await _curl(setting, "/digest", "-X", "POST", "-T", str(file)), digest(setting.size))


async def curl_download(setting: Setting) -> None:
    out = setting.folder / "out"
    await _curl(setting, f"/pattern/{setting.size}", "-o", str(out))
    expect("digest", file_digest(out), digest(setting.size))


async def curl_both(setting: Setting) -> None:
    file, out = body_file(setting, setting.size), setting.folder / "out"
    await _curl(setting, "/echo", "-X", "POST", "-T", str(file), "-o", str(out))
    expect("digest", file_digest(out), digest(setting.size))


async def curl_streams(setting: Setting) -> None:
    items = f"/item/[0-{STREAMS - 1}]"
    await _curl(setting, items, "-Z", "--parallel-max", "100", "-o", f"{setting.folder}/item-#1")
    for number in range(STREAMS):
        expect("body", (setting.folder / f"item-{number}").read_text(), f"item {number}")


async def curl_trailers(setting: Setting) -> None:
    printed = await _curl(setting, "/trailers", "-d", "body", "-D", "-")
    check("trailers", "checksum: abc" in printed and "more: 1, 2" in printed)


async def curl_interim(setting: Setting) -> None:
    printed = await _curl(setting, "/hints", "-D", "-")
    expect("status lines", re.findall(r"^HTTP/2 (\d+)", printed, re.MULTILINE), ["103", "103", "200"])
    expect("links", re.findall(r"^link: </(.).css>", printed, re.MULTILINE), ["a", "b"])


async def curl_cancel(setting: Setting) -> None:
    await _killed(setting, "curl", "--http2-prior-knowledge", "-sS", setting.url + "/endless")


async def curl_early(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    printed = await _curl(setting, "/early", "-X", "POST", "-T", str(file), "-w", " %{http_code}")
    expect("answer", printed, "too large 413")


async def curl_goaway(setting: Setting) -> None:
    await _curl(setting, "/goaway", "-o", "goaway")
    check("body", (setting.folder / "goaway").read_bytes() == BLOCK * 2)
    for path in ("/unprocessed", "/get"):
        expect("body", await _curl(setting, path), "got it")


async def curl_drain(setting: Setting) -> None:
    out = setting.folder / "out"
    await setting.drained_by(_curl(setting, "/halves", "-o", str(out)))
    check("body", out.read_bytes() == BLOCK * 2)


async def _killed(setting: Setting, *command: str) -> None:
    """End a command in the middle of an endless answer."""
    child = await setting.start(*command)
    assert child.stdout is not None
    try:
        got = await child.stdout.readexactly(len(BLOCK) * 16)
    except asyncio.IncompleteReadError as error:
        raise NotAsExpectedError(f"the client ended after {len(error.partial)} bytes") from None
    finally:
        child.kill()
        await child.wait()
    check("body", got == BLOCK * 16)
    await setting.cancelled()


# nghttp


async def _nghttp(setting: Setting, path: str, *options: str) -> bytes:
    return await setting.output("nghttp", *options, setting.url + path)


async def nghttp_get(setting: Setting) -> None:
    expect("body", await _nghttp(setting, "/get"), b"got it")


async def nghttp_head(setting: Setting) -> None:
    printed = (await _nghttp(setting, "/get", "-v", "-H:method: HEAD")).decode()
    check("content-length", "content-length: 6" in printed)


async def nghttp_post(setting: Setting) -> None:
    file = setting.folder / "ping"
    file.write_text("ping")
    expect("body", await _nghttp(setting, "/echo", "-d", str(file)), b"ping")


async def nghttp_field(setting: Setting) -> None:
    printed = (await _nghttp(setting, "/field", "-v", f"-Hx-large: {FIELD}")).decode()
    expect("fields", len(re.findall(f"x-large: {FIELD}", printed)), 2)


async def nghttp_upload(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    expect("digest", (await _nghttp(setting, "/digest", "-d", str(file))).decode(), digest(setting.size))


async def nghttp_continue(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    printed = await _nghttp(setting, "/digest", "--expect-continue", "-d", str(file))
    expect("digest", printed.decode(), digest(setting.size))


async def nghttp_download(setting: Setting) -> None:
    printed = await _nghttp(setting, f"/pattern/{setting.size}")
    expect("digest", hashlib.sha256(printed).hexdigest(), digest(setting.size))


async def nghttp_windows(setting: Setting) -> None:
    """The window of 1,023 bytes is smaller than any frame of the answer."""
    size = setting.size // 20
    printed = await _nghttp(setting, f"/pattern/{size}", "-w10", "-W10")
    expect("digest", hashlib.sha256(printed).hexdigest(), digest(size))


async def nghttp_both(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    printed = await _nghttp(setting, "/echo", "-d", str(file))
    expect("digest", hashlib.sha256(printed).hexdigest(), digest(setting.size))


async def nghttp_streams(setting: Setting) -> None:
    """It writes the answers in the order of their ends, and one in the next."""
    urls = [f"{setting.url}/item/{number}" for number in range(1, STREAMS)]
    printed = (await _nghttp(setting, "/item/0", *urls)).decode()
    expect("bodies", sorted(map(int, printed.split("item ")[1:])), list(range(STREAMS)))


async def nghttp_trailers(setting: Setting) -> None:
    file = setting.folder / "body"
    file.write_text("body")
    printed = (await _nghttp(setting, "/trailers", "-v", "-d", str(file), "--trailer=asked: yes")).decode()
    for line in ("checksum: abc", "more: 1, 2"):
        check(line, line in printed)
    expect("trailers of the request, sent and received", printed.count("asked: yes"), 2)


async def nghttp_interim(setting: Setting) -> None:
    printed = (await _nghttp(setting, "/hints", "-v")).decode()
    expect("statuses", re.findall(r":status: (\d+)", printed), ["103", "103", "200"])


async def nghttp_cancel(setting: Setting) -> None:
    await _killed(setting, "nghttp", setting.url + "/endless")


async def nghttp_early(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    expect("body", await _nghttp(setting, "/early", "-d", str(file)), b"too large")


async def nghttp_goaway(setting: Setting) -> None:
    """Three streams at once, the second of which is sent again by the sidecar."""
    printed = await _nghttp(setting, "/goaway")
    check("body", printed == BLOCK * 2)
    printed = await _nghttp(setting, "/unprocessed", f"{setting.url}/get")
    expect("bodies", printed, b"got itgot it")


async def nghttp_drain(setting: Setting) -> None:
    child = await setting.start("nghttp", setting.url + "/halves")
    running = asyncio.ensure_future(finished(child))
    await setting.drained_by(running)
    check("body", running.result() == BLOCK * 2)


# h2load: it counts, and does not show what it gets


async def _h2load(setting: Setting, path: str, requests: int, *options: str) -> int:
    """Return the bytes of the bodies that arrived."""
    command = ("h2load", "-n", str(requests), "-c", "1", *options, setting.url + path)
    printed = (await setting.output(*command)).decode()
    done = f"{requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed"
    if f"requests: {done}" not in printed:
        raise NotAsExpectedError(" ".join(re.findall(r"(?:requests|status codes): .*", printed)))
    found = re.search(r"\((\d+)\) data", printed)
    return int(found.group(1)) if found else -1


async def h2load_get(setting: Setting) -> None:
    expect("bytes", await _h2load(setting, "/get", 1), 6)


async def h2load_post(setting: Setting) -> None:
    file = setting.folder / "ping"
    file.write_text("ping")
    expect("bytes", await _h2load(setting, "/echo", 100, "-m", "10", "-d", str(file)), 400)


async def h2load_streams(setting: Setting) -> None:
    """More at once than the sidecar allows: h2load waits for its SETTINGS."""
    expect("bytes", await _h2load(setting, "/item/0", STREAMS, "-m", str(STREAMS)), 6 * STREAMS)


async def h2load_windows(setting: Setting) -> None:
    """The window of 1,023 bytes is smaller than any frame of the answers."""
    size = setting.size // 100
    expect("bytes", await _h2load(setting, f"/pattern/{size}", 5, "-m5", "-w10", "-W10"), 5 * size)


async def h2load_upload(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    expect("bytes", await _h2load(setting, "/digest", 1, "-d", str(file)), 64)


async def h2load_download(setting: Setting) -> None:
    expect("bytes", await _h2load(setting, f"/pattern/{setting.size}", 1), setting.size)


async def h2load_both(setting: Setting) -> None:
    file = body_file(setting, setting.size)
    expect("bytes", await _h2load(setting, "/echo", 1, "-d", str(file)), setting.size)


async def h2load_goaway(setting: Setting) -> None:
    expect("bytes", await _h2load(setting, "/goaway", 20, "-m", "1"), 40 * len(BLOCK))


async def h2load_drain(setting: Setting) -> None:
    await setting.drained_by(_h2load(setting, "/halves", 1))


COMMANDS: Mapping[str, Mapping[str, Case]] = {
    "curl": {
        "get": curl_get,
        "head": curl_head,
        "post": curl_post,
        "field": curl_field,
        "upload": curl_upload,
        "download": curl_download,
        "both": curl_both,
        "streams": curl_streams,
        "trailers": curl_trailers,
        "interim": curl_interim,
        "cancel": curl_cancel,
        "early": curl_early,
        "goaway": curl_goaway,
        "drain": curl_drain,
    },
    "nghttp": {
        "get": nghttp_get,
        "head": nghttp_head,
        "post": nghttp_post,
        "field": nghttp_field,
        "upload": nghttp_upload,
        "continue": nghttp_continue,
        "download": nghttp_download,
        "windows": nghttp_windows,
        "both": nghttp_both,
        "streams": nghttp_streams,
        "trailers": nghttp_trailers,
        "interim": nghttp_interim,
        "cancel": nghttp_cancel,
        "early": nghttp_early,
        "goaway": nghttp_goaway,
        "drain": nghttp_drain,
    },
    "h2load": {
        "get": h2load_get,
        "post": h2load_post,
        "streams": h2load_streams,
        "windows": h2load_windows,
        "upload": h2load_upload,
        "download": h2load_download,
        "both": h2load_both,
        "goaway": h2load_goaway,
        "drain": h2load_drain,
    },
}
"""The cases of each command."""
