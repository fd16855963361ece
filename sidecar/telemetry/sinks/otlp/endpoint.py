"""Requests to the endpoint, their results, and the resource that identifies us."""

import logging
from collections.abc import Callable, Mapping

import requests
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource

from sidecar.system import response_heads
from sidecar.system.causes import in_words
from sidecar.telemetry.words import Signal

SERVICE = "credential-sidecar"

Report = Callable[[Signal, str], None]
"""Called, from any thread, after each export: its signal and the error, "" for none."""


MOST_READ = 64 << 10
"""Bytes of an answer that are read, so that its connection can be reused; longer ones are cut off."""


class Session(requests.Session):
    """Keep the result of the last request, in a text without quotes, because addresses may hold passwords.

    Only the status of an answer counts.
    """

    def __init__(self) -> None:
        super().__init__()
        response_heads.bound()
        self.trust_env = False  # neither proxies nor passwords from the environment
        self.last = ""

    def request(self, *arguments: object, **named: object) -> requests.Response:
        """See requests. Raises RequestException for a redirection, because nothing was accepted."""
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
    """Return the resource; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override our own values."""
    ours = {SERVICE_VERSION: version, SERVICE_INSTANCE_ID: instance}
    named = bool(environ.get("OTEL_SERVICE_NAME")) or f"{SERVICE_NAME}=" in environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    theirs = Resource.create().attributes
    known = {key: value for key, value in theirs.items() if key != SERVICE_NAME or named}
    return Resource({SERVICE_NAME: SERVICE, **ours, **known})


def silence() -> None:
    """Keep the library from writing to standard error: `Report` gets the failures instead."""
    for name in ("opentelemetry", "urllib3"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
