"""A demonstration of the sidecar on this machine: `sidecar demo`.

An authorization server that can revoke its tokens, an upstream that answers only to a valid one, real sidecars before
it, and a real Redis if one is installed, all on this machine. The script prints each action, checks its effect, and
shows the log lines about it. Tokens appear only as their fingerprints, as in the sidecar's log.
"""
