"""Ports of 127.0.0.1 for the embedded servers."""

import secrets
import socket
from collections import deque
from typing import Final

HOST: Final = "127.0.0.1"

#: Below the range from which kernels take the ports of outgoing connections: a kept port is then still free tomorrow.
LOWEST: Final = 20_000
HIGHEST: Final = 32_000
#: Those that this process was given last: whoever got one may not listen there yet. Fewer than there are, also of the
#: part of them that one process of a test run has.
_given: Final[deque[int]] = deque(maxlen=200)


def is_free(port: int) -> bool:
    """True when a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it, connections that a stopped server left in TIME_WAIT would count as somebody using the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def find_free_port() -> int:
    """A free port of 127.0.0.1, chosen at random so that two stacks that start together rarely choose the same; what
    it gave a while ago it does not give again.

    Raises OSError when a hundred tries found none.
    """
    for _ in range(100):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if port not in _given and is_free(port):
            _given.append(port)
            return port
    raise OSError(f"no free port of {HOST} found between {LOWEST} and {HIGHEST}: stop some servers")


def next_free_port(first: int) -> int:
    """The first free port of 127.0.0.1 from ``first`` on. Raises OSError when the next hundred are all taken."""
    for port in range(first, min(first + 100, 65_536)):
        if is_free(port):
            return port
    raise OSError(f"the ports from {first} on are taken: give a free one with --port")
