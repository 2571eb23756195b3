"""Free TCP ports for servers that a test starts on a given port, perhaps more than once."""

import random
import socket
from contextlib import suppress

# below the ports that systems give to clients: one of those could be the end of a connection of
# another process when the server starts
_PORTS = range(10_000, 32_768)
_random = random.SystemRandom()  # hypothesis seeds the module's own, in each process the same


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
