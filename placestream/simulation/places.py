"""The places of a simulated city, in columns, and the neighbourhoods they lie in."""

import math
from dataclasses import dataclass

import numpy as np

from placestream.simulation.categories import CATEGORIES, WEEKDAYS, Category
from placestream.simulation.names import neighbourhood_names, place_names
from placestream.simulation.plan import Plan
from placestream.simulation.times import SLOTS

STYLES = 4
_M_PER_DEGREE = 111_195.0
_SLOT_MIN = 30
Spans = dict[str, list[tuple[int, int]]]  # weekday -> (start, end) in minutes; end may pass 1440

#: How much more often a group's categories stand in a neighbourhood of this character.
CHARACTERS: dict[str, dict[str, float]] = {
    "business": {"meals": 1.6, "sweets": 1.6, "fitness": 1.3, "outdoors": 0.3},
    "residential": {"outdoors": 2.2, "shopping": 1.1, "drinks": 0.4, "culture": 0.3},
    "nightlife": {"drinks": 3.0, "culture": 1.5, "outdoors": 0.2, "fitness": 0.6},
    "shopping": {"shopping": 2.6, "sweets": 1.4, "drinks": 0.6},
    "student": {"sweets": 1.6, "drinks": 1.6, "culture": 1.2, "fitness": 1.3},
    "green": {"outdoors": 4.0, "sweets": 1.2, "fitness": 1.5, "shopping": 0.5},
}


@dataclass(frozen=True)
class Neighbourhoods:
    """Neighbourhoods in columns [H]; metres are east and north of the city's centre."""

    names: list[str]
    character: list[str]
    east_m: np.ndarray
    north_m: np.ndarray
    radius_m: np.ndarray
    weight: np.ndarray  # share of the city's places, sums to 1
    style: np.ndarray  # float[H, STYLES]


@dataclass(frozen=True)
class Places:
    """Places in columns [P]; the row is the place everywhere in the simulation.

    Attributes:
        names: distinct names.
        neighbourhood: index in `Neighbourhoods`.
        category: index in `CATEGORIES`.
        lat: degrees.
        lng: degrees.
        price: price level 1..4.
        quality: hidden quality, about N(0, 0.6).
        style: hidden character that some users like and others do not, float32[P, STYLES].
        rating: average rating at the start of the history, 1..5.
        review_count: reviews at the start of the history.
        open: open in this half hour of the local week, bool[P, 336].
        hours: opening hours as in `PlaceFields.business_hours`.
        silent: shares no hours with the catalogue (they still hold), bool[P].
    """

    names: list[str]
    neighbourhood: np.ndarray
    category: np.ndarray
    lat: np.ndarray
    lng: np.ndarray
    price: np.ndarray
    quality: np.ndarray
    style: np.ndarray
    rating: np.ndarray
    review_count: np.ndarray
    open: np.ndarray
    hours: list[dict[str, list[str]]]
    silent: np.ndarray

    def __len__(self) -> int:
        """Number of places."""
        return len(self.names)


def to_degrees(
    plan: Plan, east_m: np.ndarray, north_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude, six decimals, of points in metres from the city's centre."""
    lat = plan.lat + north_m / _M_PER_DEGREE
    lng = plan.lng + east_m / (_M_PER_DEGREE * math.cos(math.radians(plan.lat)))
    return lat.round(6), lng.round(6)


def distance_m(
    lat: np.ndarray, lng: np.ndarray, to_lat: np.ndarray, to_lng: np.ndarray
) -> np.ndarray:
    """Distance in metres on a plane tangent to the city; arguments broadcast.

    Within 0.1 % of the great circle up to 50 km outside the polar regions.
    """
    east = (to_lng - lng) * np.cos(np.radians((lat + to_lat) / 2))
    return np.asarray(np.hypot(east, to_lat - lat) * _M_PER_DEGREE)


def make_neighbourhoods(plan: Plan, rng: np.random.Generator) -> Neighbourhoods:
    """A business centre, and a ring of neighbourhoods of every character around it."""
    count = int(np.clip(round(math.sqrt(plan.places) / 3), 3, 60))
    characters = list(CHARACTERS)
    character = ["business", *(characters[i % len(characters)] for i in range(1, count))]
    away_m = plan.radius_m * np.sqrt(rng.uniform(0.08, 1.0, count))
    angle = np.arange(count) * 2.399963 + rng.normal(0, 0.2, count)  # the golden angle spreads them
    away_m[0] = 0.0
    weight = 1.2 * np.exp(-away_m / plan.radius_m) * rng.uniform(0.6, 1.4, count)
    weight[0] *= 1.8
    return Neighbourhoods(
        names=neighbourhood_names(count),
        character=character,
        east_m=away_m * np.cos(angle),
        north_m=away_m * np.sin(angle),
        radius_m=plan.radius_m * rng.uniform(0.10, 0.20, count),
        weight=weight / weight.sum(),
        style=rng.normal(0, 0.5, (count, STYLES)),
    )


def make_places(plan: Plan, areas: Neighbourhoods, rng: np.random.Generator) -> Places:
    """Draw the places of the city."""
    count = plan.places
    area = rng.choice(len(areas.names), count, p=areas.weight)
    category = _draw_categories(areas, area, rng)
    spread = areas.radius_m[area] / 1.5
    lat, lng = to_degrees(
        plan,
        areas.east_m[area] + rng.normal(0, 1, count) * spread,
        areas.north_m[area] + rng.normal(0, 1, count) * spread,
    )
    quality = rng.normal(0, 0.6, count).astype(np.float32)
    reviews = np.exp(rng.normal(3.6, 1.1, count) + 0.5 * quality).astype(np.int64) + 1
    noise = rng.normal(0, 1, count) * (0.15 + 0.6 / np.sqrt(reviews))
    spans = [_spans(CATEGORIES[c], rng) for c in category.tolist()]
    return Places(
        names=place_names([CATEGORIES[c].patterns for c in category.tolist()], rng),
        neighbourhood=area,
        category=category,
        lat=lat,
        lng=lng,
        price=_draw_prices(category, rng),
        quality=quality,
        style=(areas.style[area] + rng.normal(0, 0.9, (count, STYLES))).astype(np.float32),
        rating=np.clip(3.9 + 0.55 * quality + noise, 1.0, 5.0).round(1),
        review_count=reviews,
        open=_open_slots(spans),
        hours=[business_hours(s) for s in spans],
        silent=rng.random(count) < 0.04,
    )


def _draw_categories(
    areas: Neighbourhoods, area: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    share = np.array([c.share for c in CATEGORIES])
    tilt = np.array(
        [[CHARACTERS[name].get(c.group, 1.0) for c in CATEGORIES] for name in areas.character]
    )
    return _draw_rows((share * tilt)[area], rng)


def _draw_prices(category: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _draw_rows(np.array([c.prices for c in CATEGORIES])[category], rng) + 1


def _draw_rows(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One index for each row of weights[n, k], int64[n], in proportion to the weights."""
    totals = np.cumsum(weights, axis=1)
    drawn = rng.random(len(weights)) * totals[:, -1]
    return np.asarray((totals <= drawn[:, None]).sum(axis=1))


def _spans(category: Category, rng: np.random.Generator) -> Spans:
    """The category's hours, opened and closed up to an hour earlier or later by this place."""
    opens, closes = (int(m) for m in rng.choice((-60, -30, 0, 0, 30, 60), 2))
    spans: Spans = {}
    for days, text in category.hours:
        for day in days.split():
            spans[day] = [_minutes(span) for span in text.split()]
            first, last = spans[day][0], spans[day][-1]
            spans[day][0] = (first[0] + opens, first[1])
            start = spans[day][-1][0]
            spans[day][-1] = (start, last[1] + closes)
    if len(spans) > 5 and rng.random() < 0.1:
        del spans[list(spans)[int(rng.integers(len(spans)))]]  # its day of rest
    return spans


def _minutes(span: str) -> tuple[int, int]:
    start, end = (int(t[:2]) * 60 + int(t[3:]) for t in span.split("-"))
    return start, end if end > start else end + 1440


def business_hours(spans: Spans) -> dict[str, list[str]]:
    """Spans in the format of `PlaceFields.business_hours`, from Monday."""
    return {
        day: [f"{_clock(start)}-{_clock(end)}" for start, end in spans[day]]
        for day in WEEKDAYS
        if day in spans
    }


def _clock(minute: int) -> str:
    minute %= 1440
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _open_slots(spans: list[Spans]) -> np.ndarray:
    is_open = np.zeros((len(spans), SLOTS), bool)
    for row, week in enumerate(spans):
        for day, day_spans in week.items():
            for start, end in day_spans:
                first = (WEEKDAYS.index(day) * 1440 + start) // _SLOT_MIN
                slots = np.arange(first, first + (end - start) // _SLOT_MIN) % SLOTS
                is_open[row, slots] = True
    return is_open
