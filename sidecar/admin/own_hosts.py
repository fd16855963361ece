"""The names under which the admin server shows its state.

A page in a browser can make any name lead here (DNS rebinding), but not change what the browser writes into Host. A
browser cannot reach a Unix socket.
"""

from collections.abc import Container, Sequence
from ipaddress import ip_address

from sidecar.core.addresses import UnixAddress, is_loopback
from sidecar.core.addresses import listen as read_listen
from sidecar.core.cross_site import host_named
from sidecar.core.errors import RequestRefused


def check(fields: Sequence[str], listen: str, hosts: Container[str]) -> None:
    """Raise RequestRefused unless the Host fields are one that names an address or one of our names.

    Ours are loopback names, the one in `listen`, the address configured, and `hosts`. 400 for no field, several or a
    malformed one; 421 for another name.
    """
    address = read_listen(listen)
    if isinstance(address, UnixAddress):
        return
    if len(fields) != 1:
        raise RequestRefused(400, "cannot serve a request without exactly one Host field; send one")
    host = host_named(fields[0].encode("ascii", "replace"))
    if not (_is_address(host) or is_loopback(host) or host == address.host or host in hosts):
        raise RequestRefused(
            421,
            f"cannot serve this page under the host {host}; use an address or localhost, or add {host} to admin.hosts",
        )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
