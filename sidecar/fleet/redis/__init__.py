"""The fleet's Redis: the only home of redis-py, which `library` loads.

`connect` makes clients, `guarded_client` asks them and gives up in time, `scripts` hold what must be atomic,
`token_store` is the second level with its leases, `credential_store` that of credentials, `sealed_values` what both
have in common, `revocation_log` what was revoked lately, `bus` hears the other pods.
"""
