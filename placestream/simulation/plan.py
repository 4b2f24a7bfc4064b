"""How large a simulated city is, where it lies, and when its people change their minds."""

import math
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MAX_USERS = 1_000_000
MAX_PLACES = 200_000
MAX_DAYS = 3_650


@dataclass(frozen=True)
class Drift:
    """A change of tastes at one moment, and of what people weigh.

    Attributes:
        at_s: Unix seconds from which the new tastes hold.
        share: share of the users who change (0..1).
        strength: how far they change: 0 not at all, 1 to tastes that owe nothing to the old ones.
        reversal: how far what they weigh turns round: 0 not at all; 1 altogether: who was loyal
            looks for what is new, who saved spends, who stayed near goes far, and what suited an
            hour no longer does. What a user likes shows in their own history, and whoever reads
            that follows by themselves; how people weigh it only a new training learns.
    """

    at_s: float
    share: float = 1.0
    strength: float = 1.0
    reversal: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("share", "strength", "reversal"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"drift: {name} must lie within 0..1, got {value}")


@dataclass(frozen=True)
class Plan:
    """Sizes and place of a simulated city. The city is invented; only its coordinates exist.

    Attributes:
        users: people, 1..1,000,000.
        places: places, 1..200,000.
        days: days of history before its end, 0..3,650; need not be whole.
        sessions_per_day: mean sessions of a user in a day (busy users have far more).
        name: name of the city, and its region.
        lat: latitude of the centre, degrees.
        lng: longitude of the centre, degrees.
        time_zone: IANA name of its zone.
        string_ids: ids as strings ("user-100001") instead of integers.
        drift: a change of tastes and of what people weigh, if any.
    """

    users: int = 1_000
    places: int = 1_500
    days: float = 30
    sessions_per_day: float = 1.2
    name: str = "Larkhaven"
    lat: float = 41.6
    lng: float = -93.6
    time_zone: str = "America/Chicago"
    string_ids: bool = False
    drift: Drift | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ValueError: names the value.
        """
        for name, value, most in (
            ("users", self.users, MAX_USERS),
            ("places", self.places, MAX_PLACES),
        ):
            if not 1 <= value <= most:
                raise ValueError(f"{name} must lie within 1..{most}, got {value}")
        if not 0 <= self.days <= MAX_DAYS:
            raise ValueError(f"days must lie within 0..{MAX_DAYS}, got {self.days}")
        if not 0 < self.sessions_per_day <= 100:
            raise ValueError(
                f"sessions_per_day must lie within 0..100, got {self.sessions_per_day}"
            )
        if not -80 <= self.lat <= 80 or not -179 <= self.lng <= 179:
            raise ValueError("the centre must lie within 80 degrees of latitude, 179 of longitude")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"time_zone: {self.time_zone!r} is not known") from error

    @property
    def radius_m(self) -> float:
        """Radius of the city in metres: about 20 places for each square kilometre."""
        return max(1_500.0, 5_000.0 * math.sqrt(self.places / 1_500))
