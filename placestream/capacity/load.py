"""What is asked of an installation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What is asked of an installation.

    Attributes:
        users, places: with a state.
        events_per_s, requests_per_s: at the busiest time.
        hot_share: share of all events that happen at the hottest place.
        mean_ratio: events, and requests, on the average of a week, to those at the busiest time.
    """

    users: int
    places: int
    events_per_s: float
    requests_per_s: float
    hot_share: float = 0.001
    mean_ratio: float = 1 / 3

    def __post_init__(self) -> None:
        if min(self.users, self.places) < 1 or min(self.events_per_s, self.requests_per_s) < 0:
            raise ValueError("users and places must be at least 1, rates at least 0")
        if not 0 <= self.hot_share < 1:
            raise ValueError("the hottest place's share must lie in [0, 1)")
        if not 0 < self.mean_ratio <= 1:
            raise ValueError("the average must lie in (0, 1] of the busiest time")
