"""Habits by hand: which past occasions count as like now."""

import numpy as np
import pytest

from contracts.events import Location, PlaceDocument
from contracts.ids import id64
from online_features.catalogue import Catalogue
from online_features.columns import CLICK, VISIT, EventColumns
from online_features.context import situation
from online_features.definitions import NEVER_S, PLACE, USER
from online_features.habits import GAP_FLOOR_H, GAP_SIGMA
from online_features.pair_columns import LEAST, PRIOR
from online_features.request import RANKING_COLUMNS, ranking_features

NOW_S = 1_753_444_800.0  # Friday 2025-07-25, 12:00 UTC
HOUR_S, DAY_S = 3_600.0, 86_400.0


@pytest.fixture
def catalogue() -> Catalogue:
    """Home, work and a cafe, each a hundredth of a degree north of the one before."""
    catalogue = Catalogue()
    for i, (place_id, category) in enumerate(
        [("home", "home"), ("work", "office"), ("cafe", "cafe")]
    ):
        where = Location(40.0 + i / 100, -74.0)
        catalogue.upsert(PlaceDocument(place_id=place_id, category=category, location=where))
    return catalogue


def _features(catalogue: Catalogue, events: list[tuple[str, int, float]]) -> dict[str, np.ndarray]:
    """Columns by name, for home, work and cafe; events are (place, kind, hours ago)."""
    state = USER.empty(1)
    columns = EventColumns.of(
        user=[1] * len(events),
        place=[id64(place) for place, _, _ in events],
        kind=[kind for _, kind, _ in events],
        time_s=[NOW_S - HOUR_S * ago for _, _, ago in events],
    )
    USER.fold(state, np.zeros(len(events), np.int64), columns)
    at = situation(40.0, -74.0, NOW_S, None, stale_s=DAY_S)
    matrix = ranking_features(state, PLACE.empty(3), np.arange(3), at, catalogue)
    assert np.isfinite(matrix).all()
    return dict(zip(RANKING_COLUMNS, matrix.T, strict=True))


def test_a_stranger_has_no_habits(catalogue: Catalogue) -> None:
    """Every share is that of nothing, and everything is new."""
    got = _features(catalogue, [])
    for name in ("habit_gap", "habit_start", "habit_hour", "habit_all", "habit_began_near"):
        np.testing.assert_allclose(got[name], np.log(LEAST), rtol=1e-6)
    np.testing.assert_allclose(got["user_novelty"], 1.0)
    np.testing.assert_allclose(got["user_gap_log"], np.log1p(NEVER_S / 600), rtol=1e-6)
    np.testing.assert_allclose(got["habit_overdue"], 0.0)


def test_visits_from_here_lead_where_they_led_before(catalogue: Catalogue) -> None:
    """Home, then work (twice) or the cafe (once); now at home again."""
    days = [(72, "work"), (48, "work"), (24, "cafe")]
    events = [e for ago, to in days for e in (("home", VISIT, ago + 1.0), (to, VISIT, float(ago)))]
    got = _features(catalogue, [*events, ("home", VISIT, 1.0)])
    shares = np.array([0, 2, 1]) / (3 + PRIOR)
    np.testing.assert_allclose(got["habit_start"], np.log(shares + LEAST), rtol=1e-5)
    # All three went after one hour, as now would be.
    np.testing.assert_allclose(got["habit_start_gap"], np.log(shares + LEAST), rtol=1e-5)
    np.testing.assert_allclose(got["user_novelty"], 3 / 7, rtol=1e-6)


def test_gaps_tell_the_evening_from_the_morning_after(catalogue: Catalogue) -> None:
    """The weight of a past gap is a bell over the ratio of the gaps."""
    got = _features(
        catalogue, [("home", VISIT, 49.0), ("cafe", VISIT, 48.0), ("work", VISIT, 24.0)]
    )
    # Now the gap is 24 h, as it was before work; before the cafe it was one hour.
    apart = np.log(1 + GAP_FLOOR_H) - np.log(24 + GAP_FLOOR_H)
    cafe = np.exp(-0.5 * (apart / GAP_SIGMA) ** 2)
    shares = np.array([0, 1, cafe]) / (1 + cafe + PRIOR)
    np.testing.assert_allclose(got["habit_gap"], np.log(shares + LEAST), rtol=1e-4)


def test_looks_are_no_visits(catalogue: Catalogue) -> None:
    """A click between two visits changes neither the gap nor where the next one came from."""
    visits = [("home", VISIT, 25.0), ("work", VISIT, 24.0), ("home", VISIT, 1.0)]
    with_look = [*visits[:2], ("cafe", CLICK, 2.0), visits[2]]
    plain, looked = _features(catalogue, visits), _features(catalogue, with_look)
    for name in RANKING_COLUMNS:
        if name.startswith("habit_") or name in ("user_gap_log", "user_novelty"):
            np.testing.assert_array_equal(plain[name], looked[name], err_msg=name)


def test_overdue_compares_with_the_usual_wait(catalogue: Catalogue) -> None:
    """Visits every 24 h, the last 48 h ago: overdue by the ratio of the waits."""
    got = _features(
        catalogue, [("cafe", VISIT, 96.0), ("cafe", VISIT, 72.0), ("cafe", VISIT, 48.0)]
    )
    expected = np.log1p(48) - np.log1p(24)
    np.testing.assert_allclose(got["habit_overdue"], [0, 0, expected], atol=1e-6)


def test_many_requests_at_once_are_as_one_by_one(catalogue: Catalogue) -> None:
    """Pairs of two users and moments, told apart by `of`, against a call for each."""
    states = USER.empty(2)
    columns = EventColumns.of(
        user=[1, 1, 2, 2, 1],
        place=[id64(p) for p in ("home", "work", "cafe", "cafe", "home")],
        kind=[VISIT] * 5,
        time_s=[NOW_S - HOUR_S * ago for ago in (30, 26, 20, 7, 3)],
    )
    USER.fold(states, np.array([0, 0, 1, 1, 0]), columns)
    one, two = (
        situation(lat, -74.0, now, None, stale_s=DAY_S)
        for lat, now in ((40.0, NOW_S), (40.01, NOW_S + 60))
    )
    both = type(one)(**{n: np.concatenate([v, getattr(two, n)]) for n, v in vars(one).items()})
    rows, of = np.array([0, 1, 2, 2, 1, 0]), np.array([0, 0, 0, 1, 1, 1])
    crowd = PLACE.empty(6)
    got = ranking_features(states, crowd, rows, both, catalogue, of)
    for i, at in enumerate((one, two)):
        mine = of == i
        alone = ranking_features(states[i : i + 1], crowd[mine], rows[mine], at, catalogue)
        np.testing.assert_array_equal(got[mine], alone)
