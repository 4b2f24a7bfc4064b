"""What is asked of an installation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What is asked of an installation.

    Attributes:
        users, places: with a state.
        events_per_s, requests_per_s: at the busiest time.
        hot_share: share of all events that happen at the hottest place.
    """

    users: int
    places: int
    events_per_s: float
    requests_per_s: float
    hot_share: float = 0.001

    def __post_init__(self) -> None:
        if min(self.users, self.places) < 1 or min(self.events_per_s, self.requests_per_s) < 0:
            raise ValueError("users and places must be at least 1, rates at least 0")
        if not 0 <= self.hot_share < 1:
            raise ValueError("the hottest place's share must lie in [0, 1)")
