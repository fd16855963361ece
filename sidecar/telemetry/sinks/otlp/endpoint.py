"""What is sent to the endpoint, how that went, and who we are there."""

import logging
from collections.abc import Callable, Mapping

import requests
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource

from sidecar.system import response_heads
from sidecar.system.causes import in_words
from sidecar.telemetry.words import Signal

SERVICE = "credential-sidecar"

Report = Callable[[Signal, str], None]
"""Told, from any thread, of each export: its signal and what went wrong, "" for nothing."""


MOST_READ = 64 << 10
"""Bytes of an answer that are read, so that its connection can be used again; longer ones are cut off."""


class Session(requests.Session):
    """Remembers how the last request went, in words that quote nobody: addresses may hold passwords.

    Of an answer only the status counts.
    """

    def __init__(self) -> None:
        super().__init__()
        response_heads.bound()
        self.trust_env = False  # neither proxies nor passwords of somebody else's
        self.last = ""

    def request(self, *arguments: object, **named: object) -> requests.Response:
        """See requests. Raises RequestException for a redirection: nobody took what was sent."""
        named["stream"] = True
        try:
            response = super().request(*arguments, **named)  # type: ignore[arg-type]  # passed on as they are
            with response:
                response.raw.read1(MOST_READ)
        except Exception as error:
            self.last = in_words(error)
            raise
        self.last = f"HTTP {response.status_code}"
        if 300 <= response.status_code < 400:
            raise requests.RequestException(self.last)
        return response


def resource(environ: Mapping[str, str], version: str, instance: str) -> Resource:
    """Say who we are; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go before what we know ourselves."""
    ours = {SERVICE_VERSION: version, SERVICE_INSTANCE_ID: instance}
    named = bool(environ.get("OTEL_SERVICE_NAME")) or f"{SERVICE_NAME}=" in environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    theirs = Resource.create().attributes
    known = {key: value for key, value in theirs.items() if key != SERVICE_NAME or named}
    return Resource({SERVICE_NAME: SERVICE, **ours, **known})


def silence() -> None:
    """Keep the library from writing to standard error: what it would say there, `Report` is told."""
    for name in ("opentelemetry", "urllib3"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
