"""What is shown of an error of TLS between us and Redis."""

import ssl

from sidecar.fleet.redis.library import Disconnected, RedisClusterException
from sidecar.fleet.redis.reasons import UnusableTls, reason


def test_t13_of_tls_the_cause_is_shown() -> None:
    """However deep it lies under the errors of redis-py."""
    refused = ssl.SSLError(1, "canary")
    refused.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    lost, cluster = Disconnected("canary"), RedisClusterException("canary")
    lost.__context__, cluster.__cause__ = refused, lost
    cause = "TLS failed: the server requires a client certificate (TLSV13_ALERT_CERTIFICATE_REQUIRED)"
    assert [reason(error) for error in (lost, cluster)] == [cause, cause]
    assert reason(UnusableTls("cannot use /tls/ca.pem for TLS: No such file")).startswith(
        "cannot use /tls/ca.pem"
    )
