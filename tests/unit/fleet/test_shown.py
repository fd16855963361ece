"""What is shown of an error of redis-py."""

import ssl

from sidecar.fleet.redis.library import Disconnected, RedisClusterException
from sidecar.fleet.redis.shown import UnusableTls, shown


def test_t13_the_kind_is_shown_and_of_tls_the_cause() -> None:
    """Never a text of the server's or of redis-py's."""
    refused = ssl.SSLError(1, "canary")
    refused.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    lost, cluster = Disconnected("canary"), RedisClusterException("canary")
    lost.__context__, cluster.__cause__ = refused, lost
    cause = "TLS failed: the server requires a client certificate (TLSV13_ALERT_CERTIFICATE_REQUIRED)"
    assert [shown(error) for error in (lost, cluster)] == [cause, cause]
    assert shown(Disconnected("canary")) == "ConnectionError"
    assert shown(TimeoutError("canary")) == "TimeoutError"
    assert shown(UnusableTls("cannot use /tls/ca.pem for TLS: No such file")).startswith(
        "cannot use /tls/ca.pem"
    )
