"""The admin server: probes, metrics, status, a live page and busts, for the kubelet, Prometheus and people in a hurry.

Whoever reaches the pod may read it, so nothing here is secret and nothing here may be worn out: a connection
carries one request, lives a few seconds at most however slow its peer, and there are only so many; the few that watch
live stay for as long as they keep up. Busting takes the operators' bearer token (RFC 6750), and where none is
configured nobody may.
"""
