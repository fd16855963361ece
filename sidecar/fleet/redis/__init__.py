"""The fleet's Redis: the only home of redis-py, which `library` loads.

`connect` makes clients, `guarded_client` runs operations with time-outs, `scripts` has the atomic steps, `token_store`
is the second level with its leases, `credential_store` that of credentials, `sealed_values` the part of both,
`revocation_log` keeps recent revocations, `bus` receives from other pods.
"""
