"""Free TCP ports on this machine."""

import random
import socket

LOCALHOST = "127.0.0.1"
#: Below the range from which Linux gives out local ports (32768 on): a port of ours that is
#: free for a moment, as in a restart, is then not taken by somebody's outgoing connection.
FIRST, LAST = 20_000, 32_000

_given: set[int] = set()
_random = random.SystemRandom()


def is_free(port: int, host: str = LOCALHOST) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0) -> int:
    """Return a free port, `preferred` if that one is; never the same one twice in a process.

    Raises:
        OSError: hundreds of ports were tried, and all are taken.
    """
    if preferred and preferred not in _given and is_free(preferred):
        _given.add(preferred)
        return preferred
    for _ in range(500):
        port = _random.randrange(FIRST, LAST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free port found between {FIRST} and {LAST}")


def answers(port: int, host: str = LOCALHOST) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
