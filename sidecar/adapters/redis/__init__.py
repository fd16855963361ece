"""The fleet's Redis: the only home of redis-py.

`connect` makes clients, `link` asks them and gives up in time, `scripts` hold what must be atomic, `store` is the
second level with its leases, `vault` that of credentials, `telling` busts for both, `bus` hears the other pods.
"""
