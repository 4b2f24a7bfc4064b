"""How many processes of one core some work wants."""

import math

from placestream.capacity.constants import Constants
from placestream.capacity.load import Load

#: Share of its time that a process may be busy: beyond it, waiting grows faster than load.
BUSY = 0.6


def with_spare(cores: float) -> int:
    """As many as have the room, and one to spare, so that the loss of any leaves enough."""
    return max(math.ceil(cores / BUSY), 1) + 1


def serves(load: Load, per: Constants) -> int:
    """How many of `serve`."""
    return with_spare(load.requests_per_s * per.serve_ms_per_request / 1e3)
