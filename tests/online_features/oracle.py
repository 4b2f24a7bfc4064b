"""The features by brute force: plain Python over the whole list of events, no state at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from online_features.columns import CLICK, RATE, VIEW, VISIT
from online_features.definitions import NEVER_S

WINDOWS = {"1h": (300, 12), "24h": (3_600, 24), "7d": (21_600, 28), "28d": (86_400, 28)}
ANY = {VIEW, CLICK, VISIT, RATE}


@dataclass(frozen=True)
class Event:
    """One interaction, as a person would write it down."""

    user: int
    place: int
    kind: int
    time_s: float
    rating: float | None
    age_group: int
    identity: int


def counted(events: Sequence[Event], depth: int = 32) -> list[Event]:
    """Events in order of arrival less duplicates of one of the user's last `depth` counted."""
    result: list[Event] = []
    remembered: dict[int, list[int]] = {}
    for event in events:
        seen = remembered.setdefault(event.user, [])
        if event.identity not in seen[-depth:]:
            seen.append(event.identity)
            result.append(event)
    return result


def _in_window(events: Sequence[Event], now_s: float, width_s: int, first: int, last: int) -> int:
    ages = [int(now_s // width_s) - int(e.time_s // width_s) for e in events]
    return sum(first <= age < last for age in ages)


def _windows(name: str, events: Sequence[Event], now_s: float, *names: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for window in names:
        width_s, tiles = WINDOWS[window]
        values[f"{name}_{window}"] = _in_window(events, now_s, width_s, 0, tiles)
    return values


def _rating(name: str, events: Sequence[Event]) -> dict[str, float]:
    ratings = [e.rating for e in events if e.kind == RATE and e.rating is not None]
    mean = sum(round(r * 1_000) for r in ratings) / (1_000 * len(ratings)) if ratings else 0.0
    return {f"{name}_mean": mean, f"{name}_count": len(ratings)}


def _since(events: Sequence[Event], now_s: float) -> float:
    return now_s - max(e.time_s for e in events) if events else NEVER_S


def _histogram(name: str, bins: int, codes: Sequence[int]) -> dict[str, float]:
    return {f"{name}_{b}": sum(code == b for code in codes) for b in range(bins)}


def _habits(visits: Sequence[Event]) -> dict[str, float]:
    hours = [int(e.time_s // 3_600) % 24 for e in visits]
    weekdays = [(int(e.time_s // 86_400) + 3) % 7 for e in visits]
    return _histogram("visit_hours", 24, hours) | _histogram("visit_weekdays", 7, weekdays)


def user_features(events: Sequence[Event], user: int, now_s: float) -> dict[str, float]:
    """Every column of a user at a moment, not before the newest event."""
    mine = [e for e in counted(events) if e.user == user]
    of: Callable[[set[int]], list[Event]] = lambda kinds: [e for e in mine if e.kind in kinds]  # noqa: E731
    days = {int(e.time_s // 86_400) for e in mine}
    every = ("1h", "24h", "7d", "28d")
    return (
        _windows("interactions", mine, now_s, *every)
        | _windows("visits", of({VISIT}), now_s, *every)
        | _windows("ratings", of({RATE}), now_s, *every)
        | _rating("rating_given", mine)
        | {"active_days_28d": sum(0 <= int(now_s // 86_400) - day < 28 for day in days)}
        | {"since_activity_s": _since(mine, now_s), "since_visit_s": _since(of({VISIT}), now_s)}
        | _habits(of({VISIT}))
    )


def place_features(events: Sequence[Event], place: int, now_s: float) -> dict[str, float]:
    """Every column of a place at a moment, not before the newest event."""
    here = [e for e in counted(events) if e.place == place]
    visits = [e for e in here if e.kind == VISIT]
    clicks = _in_window([e for e in here if e.kind == CLICK], now_s, 86_400, 0, 28)
    views = _in_window([e for e in here if e.kind == VIEW], now_s, 86_400, 0, 28)
    return (
        _windows("visits", visits, now_s, "1h", "24h", "7d", "28d")
        | {"visits_before_7d": _in_window(visits, now_s, 21_600, 28, 56)}
        | _windows("interactions", here, now_s, "24h", "7d")
        | {"click_ratio": (clicks + 0.1 * 20) / (max(views, clicks) + 20)}
        | _rating("rating", here)
        | {"since_visit_s": _since(visits, now_s)}
        | _habits(visits)
        | _histogram("visitor_ages", 7, [e.age_group for e in visits])
    )


def last_events(
    events: Sequence[Event], user: int, kinds: set[int], k: int
) -> list[tuple[float, int, int]]:
    """(time, place, kind) of the newest k events of a user, equal times in order of arrival."""
    mine = [e for e in counted(events) if e.user == user and e.kind in kinds]
    newest = sorted(mine, key=lambda e: -e.time_s)[:k]
    return [(e.time_s, e.place, e.kind) for e in newest]
