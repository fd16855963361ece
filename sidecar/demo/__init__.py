"""What the sidecar does, shown on this machine: `sidecar demo`.

An authorization server that can revoke its tokens, an upstream that answers only to a valid one, real sidecars
before it, and a real Redis where one is installed, all on this machine. The script says what it does, checks that
it happened, and shows the log lines that tell of it. Tokens appear only as the fingerprints the sidecar's log
names them by.
"""
