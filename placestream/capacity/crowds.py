"""What every `serve` reads besides its requests: the crowd of all places, round and round."""

from inference.crowd_watch import AT_ONCE, PLACES_A_SECOND, ROUND_S
from placestream.capacity.load import Load


def round_s(load: Load) -> float:
    """How long a `serve` takes to read all places once: the oldest crowd is up to twice as old."""
    return max(load.places / PLACES_A_SECOND, ROUND_S)


def reads_per_s(load: Load) -> float:
    """Reads of `AT_ONCE` places each that a `serve` makes in a second."""
    return load.places / round_s(load) / min(AT_ONCE, load.places)
