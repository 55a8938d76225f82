"""Ports on this machine: find a free one, say which one is taken."""

import errno
import random
import socket

# below the kernel's usual range for outgoing connections: a client that reconnects to an engine while it
# restarts can otherwise be given that very port and connect to itself
_LOWEST, _HIGHEST = 15_000, 32_000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now. Raises OSError for another reason than a taken port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_port(lowest: int = _LOWEST, highest: int = _HIGHEST) -> int:
    """A port on which nothing listens now, chosen at random so that stacks side by side keep apart."""
    while True:
        port = random.SystemRandom().randint(lowest, highest)
        if is_free(port):
            return port
