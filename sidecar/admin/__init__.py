"""The admin server: probes, metrics, status, a live page and busts, for the kubelet, Prometheus and operators.

Any client that reaches the pod may read it, so it shows no secret and bounds what clients can use. A connection carries
one request and lives a few seconds at most however slow its peer, and their number is limited; the few live pages stay
connected for as long as they keep up. Busting requires the operators' bearer token (RFC 6750); if none is configured,
it is disabled.
"""
