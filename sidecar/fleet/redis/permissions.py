"""Permissions of the sidecar's user in Redis, derived from the commands that the code sends.

The commands of the scripts are read from their texts, those that the adapter sends itself are listed here. The
documented `ACL SETUSER` line is written from `rules`, the tests run as a user with just these, and `sidecar check`
tries each.
"""

from collections.abc import Sequence

from sidecar.fleet.redis import answers, revocation_log, scripts
from sidecar.fleet.redis.scripts import Script

SCRIPTS = tuple(
    value
    for module in (scripts, revocation_log, answers)
    for value in vars(module).values()
    if isinstance(value, Script)
)
SENT = frozenset(
    {
        "asking",  # redis-py, while a Cluster moves a slot
        "client|setname",
        "cluster|slots",
        "eval",
        "evalsha",
        "get",
        "ping",
        "pubsub|numsub",
        "select",
        "subscribe",
    }
)
"""Commands that the adapter and redis-py send outside a script. AUTH and HELLO require no permission."""
COMMANDS = SENT.union(*(script.commands for script in SCRIPTS))
"""All of them, in lower case, a subcommand after its command and a bar."""
_OWNERS = ("tenant:", "m2m:")
"""Beginning of a key after the prefix."""


def rules(key_prefix: str = "", channels: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the rules of `ACL SETUSER` that allow these commands on the fleet's keys and channels, and nothing else.

    `channels` are those of other programs. `resetchannels` is for Redis 6.2, whose new users may use every channel.
    """
    keys = [f"~{brace}{key_prefix}{owner}*" for brace in ("", "{") for owner in _OWNERS]
    heard = [f"&{channel}" for channel in (f"{key_prefix}m2m:*", *channels)]
    return ("resetchannels", *keys, *heard, *(f"+{command}" for command in sorted(COMMANDS)))
