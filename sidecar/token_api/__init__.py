"""The token API: tokens for programs that cannot send their requests through the sidecar, and for proxies.

`calls` reads which call a request is, `guards` decides whether it is served. `reports` reads a refusal that a program
reports, and `handed_out` knows the tokens that programs have. `api` answers, on the wire layer of `sidecar.http1`.
"""
