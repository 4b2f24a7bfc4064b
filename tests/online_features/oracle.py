"""The features by brute force: plain Python over the whole list of events, no state at all."""

import math
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
    dwell_s: float | None = None
    spot: tuple[float, float] | None = None


def counted(events: Sequence[Event], depth: int = 16) -> list[Event]:
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
        | {"interactions_active_28d": sum(0 <= int(now_s // 86_400) - day < 28 for day in days)}
        | {"since_activity_s": _since(mine, now_s), "since_visit_s": _since(of({VISIT}), now_s)}
        | _faded_habits(of({VISIT}), now_s)
        | {"favourites_total": sum(_faded(e, now_s) for e in of({VISIT, RATE}))}
        | _whereabouts(of({VISIT}), 8)
    )


def _faded(event: Event, now_s: float) -> float:
    return math.exp(-(now_s - event.time_s) / (60 * 86_400))


def _faded_habits(visits: Sequence[Event], now_s: float) -> dict[str, float]:
    hours, weekdays = [0.0] * 24, [0.0] * 7
    for e in visits:
        hours[int(e.time_s // 3_600) % 24] += _faded(e, now_s)
        weekdays[(int(e.time_s // 86_400) + 3) % 7] += _faded(e, now_s)
    return {f"visit_hours_{h}": w for h, w in enumerate(hours)} | {
        f"visit_weekdays_{d}": w for d, w in enumerate(weekdays)
    }


def _apart_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    (lat1, lng1), (lat2, lng2) = (tuple(map(math.radians, spot)) for spot in (one, other))
    half = math.sin((lat2 - lat1) / 2) ** 2
    half += math.cos(lat1) * math.cos(lat2) * math.sin((lng2 - lng1) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def _whereabouts(visits: Sequence[Event], k: int) -> dict[str, float]:
    located = [e for e in visits if e.spot is not None]
    spots = [e.spot for e in sorted(located, key=lambda e: -e.time_s)[:k] if e.spot]
    if not spots:
        return {"whereabouts_lat": 0.0, "whereabouts_lng": 0.0, "whereabouts_radius_m": 0.0}
    centre = min(spots, key=lambda spot: sum(_apart_m(spot, other) for other in spots))
    from_centre = sorted(_apart_m(centre, spot) for spot in spots)
    radius_m = from_centre[(len(spots) - 1) // 2]
    return {
        "whereabouts_lat": centre[0],
        "whereabouts_lng": centre[1],
        "whereabouts_radius_m": radius_m,
    }


def _dwell(visits: Sequence[Event], now_s: float) -> dict[str, float]:
    stays = [e for e in visits if e.dwell_s]
    width_s, tiles = WINDOWS["7d"]
    recent = [e for e in stays if int(now_s // width_s) - int(e.time_s // width_s) < tiles]
    values: dict[str, float] = {"dwell_sum_s_7d": sum(round(e.dwell_s or 0) for e in recent)}
    ordered = sorted(e.dwell_s or 0.0 for e in stays)
    for name, q in (("dwell_s_p50", 0.5), ("dwell_s_p90", 0.9)):
        values[name] = ordered[int(q * (len(ordered) - 1))] if ordered else 0.0
    return values


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
        | {"visitors_7d": len({e.user for e in visits if 0 <= _days(e, now_s) < 7})}
        | _dwell(visits, now_s)
    )


def _days(event: Event, now_s: float) -> int:
    return int(now_s // 86_400) - int(event.time_s // 86_400)


def last_events(
    events: Sequence[Event], user: int, kinds: set[int], k: int
) -> list[tuple[float, int, int]]:
    """(time, place, kind) of the newest k events of a user, equal times in order of arrival."""
    mine = [e for e in counted(events) if e.user == user and e.kind in kinds]
    newest = sorted(mine, key=lambda e: -e.time_s)[:k]  # whole seconds in these histories
    return [(e.time_s, e.place, e.kind) for e in newest]
