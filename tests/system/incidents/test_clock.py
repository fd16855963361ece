"""The clocks of the pod and of the authorization server differ."""

import time
from email.utils import formatdate
from pathlib import Path

import jwt
import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.faketime import ahead
from tests.support.incidents import INCIDENTS
from tests.support.keys import pem
from tests.support.upstream import Exchange, Upstream
from tests.system.incidents.conftest import Start

pytestmark = pytest.mark.unmeasured

AHEAD = 600.0
"""Seconds."""
TOLERATED = 60.0


class Punctual(AuthorizationServer):
    """Refuses assertions from the future, as servers do."""

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        date = f"Date: {formatdate(usegmt=True)}".encode()
        [assertion] = self.forms[-1]["client_assertion"]
        claims = jwt.decode(assertion, options={"verify_signature": False})
        if claims["iat"] > time.time() + TOLERATED:
            refusal = {"error": "invalid_client", "error_description": "JWT is not yet valid"}
            await exchange.send(json_answer(400, refusal, date))
        else:
            await exchange.send(json_answer(200, {"access_token": "canary", **self.reply}, date))


async def test_the_pods_clock_is_ahead(watched: Start, upstream: Upstream, tmp_path: Path) -> None:
    """The log has the dates of that clock."""
    key = tmp_path / "key.pem"
    key.write_text(pem("p256"))
    async with Punctual(upstream) as server:
        changes = {
            "credentials": {"app": {"client_id": "app", "private_key": {"file": str(key)}}},
            "tokens": {
                "api": {
                    "token_endpoint": server.token_endpoint,
                    "credentials": "app",
                    "client_auth": "private_key_jwt",
                }
            },
        }
        async with watched(environ=ahead(AHEAD), **changes) as pod:
            await pod.view.begin()
            await pod.view.shows(INCIDENTS["clock"], pod.requests, ahead=AHEAD)
