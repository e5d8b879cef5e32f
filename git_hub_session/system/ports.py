"""Choose TCP ports that no process uses."""

from __future__ import annotations

import socket
from zlib import crc32

# Below the ports that Linux gives to outgoing connections (32768 and above).
_FIRST = 20_000
_BLOCK = 1_000
_BLOCKS = 12


def choose_port(owner: str, number: int) -> int:
    """Return a free port for a number. It is the same in each call while it is free.

    The numbers below 1,000 of one owner never get the same port. The numbers from 1,000 to 11,999 get
    one only if a port is in use. If all ports of a number are in use, return the first of them.
    """
    size = _BLOCK * _BLOCKS
    start = crc32(owner.encode("utf-8", "surrogateescape")) % size + number
    ports = [_FIRST + (start + block * _BLOCK) % size for block in range(_BLOCKS)]
    return next((port for port in ports if is_free(port)), ports[0])


def is_free(port: int) -> bool:
    """Return True if a server can listen on the port, on all addresses of this machine."""
    families = [socket.AF_INET, *[socket.AF_INET6] * socket.has_ipv6]
    return all(_can_listen(port, family) for family in families)


def _can_listen(port: int, family: socket.AddressFamily) -> bool:
    try:
        probe = socket.socket(family)
    except OSError:
        return True  # the system has no such addresses
    with probe:
        # Servers set this option too: connections that were closed a short time ago do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(("", port))
            probe.listen(1)
        except OSError:
            return False
    return True
