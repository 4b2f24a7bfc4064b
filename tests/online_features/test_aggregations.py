"""The kinds of aggregation beyond windows: each against what its docstring promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ids import id64
from online_features.aggregations import Aggregation, Sum
from online_features.columns import VISIT, EventColumns
from online_features.distinct import EXACT, STANDARD_ERROR_RATIO, Distinct
from online_features.geo import distance_m
from online_features.keyed import DecayedHistogram, TopPlaces
from online_features.quantiles import Quantiles
from online_features.rings import DAY_S, window
from online_features.sphere import Whereabouts

START_S = 1_750_032_000.0  # midnight, UTC
WEEK = window("7d", DAY_S, 7)
MONTHS_S = 60.0 * DAY_S


def events(n: int, **columns: object) -> EventColumns:
    """Visits of one user to one place, a second apart, but for what is given."""
    usual = {"user": [1] * n, "place": [1] * n, "kind": [VISIT] * n}
    return EventColumns.of(**{**usual, "time_s": START_S + np.arange(n), **columns})


def state_after(aggregation: Aggregation, log: EventColumns) -> np.ndarray:
    """State of one entity after a log."""
    states = np.zeros(1, np.dtype(list(aggregation.fields)))
    aggregation.fold(states, np.zeros(len(log), np.int64), log)
    return states


def people(n: int) -> np.ndarray:
    """Hashes of n different ids."""
    return np.array([id64(f"user-{i}") for i in range(n)], np.uint64)


@given(seed=st.integers(0, 2**16), size=st.integers(0, 400), different=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_distinct_is_exact_while_tiles_are_small(seed: int, size: int, different: int) -> None:
    """Over a week of seven small days; repeats count once; the order leaves the same bytes."""
    rng = np.random.default_rng(seed)
    log = events(
        size,
        user=rng.choice(people(different), size),
        time_s=START_S + rng.integers(0, 7 * DAY_S, size),
    )
    by_day = [set(log.user[log.time_s // DAY_S == d].tolist()) for d in set(log.time_s // DAY_S)]
    if any(len(day) > EXACT for day in by_day):
        return
    states = state_after(Distinct(WEEK), log)
    now_s = np.array([START_S + 7 * DAY_S - 1])
    assert Distinct(WEEK).read(states, now_s)[0, 0] == len(set(log.user.tolist()))
    shuffled = state_after(Distinct(WEEK), log.take(rng.permutation(size)))
    assert shuffled.tobytes() == states.tobytes()


@pytest.mark.parametrize("size", [33, 200, 1_000, 20_000])
def test_distinct_estimates_within_its_stated_error(size: int) -> None:
    """Four standard errors; the order of arrival does not matter here either."""
    log = events(size, user=people(size), time_s=START_S + np.arange(size) % (7 * DAY_S))
    states = state_after(Distinct(WEEK), log)
    estimate = Distinct(WEEK).read(states, np.array([START_S + DAY_S]))[0, 0]
    assert estimate == pytest.approx(size, rel=4 * STANDARD_ERROR_RATIO)
    backwards = state_after(Distinct(WEEK), log.take(slice(None, None, -1)))
    assert backwards.tobytes() == states.tobytes()


def test_distinct_forgets_what_leaves_the_window() -> None:
    """A day drops out whole, without a new event."""
    log = events(3, user=people(3), time_s=[START_S, START_S + DAY_S, START_S + 2 * DAY_S])
    states = state_after(Distinct(WEEK), log)
    reads = [
        Distinct(WEEK).read(states, np.array([START_S + days * DAY_S]))[0, 0]
        for days in (2, 6, 7, 8, 9)
    ]
    assert reads == [3, 3, 2, 1, 0]


def test_sum_is_of_whole_units_and_late_units_count_in_their_tile() -> None:
    """NaN adds nothing; what is older than the window is reported."""
    total = Sum((WEEK,), "dwell_s")
    log = events(
        4,
        dwell_s=[10.4, np.nan, 20.0, 5.0],
        time_s=START_S + np.array([8, 8, 2, 0]) * DAY_S,
    )
    states = np.zeros(1, np.dtype(list(total.fields)))
    assert total.fold(states, np.zeros(4, np.int64), log) == 1
    assert total.read(states, np.array([START_S + 8 * DAY_S]))[0, 0] == 30


def test_decayed_histogram_halves_in_its_half_life() -> None:
    """An event that comes late has the weight that it would have had in time."""
    habits = DecayedHistogram("hour", 24, MONTHS_S)
    half_life_s = MONTHS_S * np.log(2)
    log = events(2, time_s=[START_S + half_life_s // DAY_S * DAY_S, START_S])
    got = habits.read(state_after(habits, log), np.array([log.time_s[0]]))[0]
    assert got[0] == pytest.approx(1 + np.exp(-(log.time_s[0] - START_S) / MONTHS_S))
    assert got[1:].sum() == 0


def test_a_short_tau_is_refused() -> None:
    """Its forward weights would overflow within years."""
    with pytest.raises(ValueError, match="tau_s"):
        DecayedHistogram("hour", 24, 30.0 * DAY_S)


def test_top_places_are_exact_while_there_is_room() -> None:
    """Fading counts per place; the total counts all."""
    top = TopPlaces(3, MONTHS_S)
    log = events(6, place=[7, 8, 7, 9, 7, 8], time_s=START_S + DAY_S * np.arange(6))
    now_s = np.array([START_S + 10 * DAY_S])
    states = state_after(top, log)
    places, weights = top.read_places(states, now_s)
    faded = np.exp(-(now_s - log.time_s) / MONTHS_S)
    expected = {p: faded[log.place == p].sum() for p in (7, 8, 9)}
    assert dict(zip(places[0].tolist(), weights[0], strict=True)) == pytest.approx(expected)
    assert top.read(states, now_s)[0, 0] == pytest.approx(faded.sum())


def test_top_places_let_the_faintest_go() -> None:
    """A newcomer takes the slot of the weakest place, with its own weight alone."""
    top = TopPlaces(2, MONTHS_S)
    log = events(5, place=[1, 1, 1, 2, 3])
    places, weights = top.read_places(state_after(top, log), np.array([START_S]))
    assert sorted(places[0].tolist()) == [1, 3]
    assert weights[0][places[0] == 3] == pytest.approx(1, abs=1e-4)


def test_whereabouts_are_not_moved_by_one_far_trip() -> None:
    """Seven days at home and one at the other side of the globe, over the date line."""
    lng = np.array([179.99, -179.99, 179.98, -179.98, 180.0, 179.97, -179.97, 0.0])
    log = events(8, lat=[10.0] * 8, lng=lng)
    lat, centre_lng, radius_m = Whereabouts(8).read(
        state_after(Whereabouts(8), log), np.array([START_S])
    )[0]
    assert (lat, abs(centre_lng)) == (10.0, 180.0)
    from_centre = np.sort(distance_m(10.0, 180.0, np.full(8, 10.0), lng.astype(np.float32)))
    assert radius_m == pytest.approx(from_centre[3])


def test_whereabouts_of_nobody_are_unknown() -> None:
    """Events without a location say nothing."""
    states = state_after(Whereabouts(4), events(3))
    assert np.isnan(Whereabouts(4).read(states, np.array([START_S]))).all()


@given(seed=st.integers(0, 2**16), size=st.integers(1, 500))
@settings(max_examples=40, deadline=None)
def test_quantiles_are_within_their_relative_error(seed: int, size: int) -> None:
    """Of a true value of the data, for values within the range."""
    rng = np.random.default_rng(seed)
    values = np.clip(rng.lognormal(7, 1.5, size), 61, 86_000).astype(np.float32)
    sketch = Quantiles("dwell_s", least=60.0, greatest=86_400.0)
    states = state_after(sketch, events(size, dwell_s=values))
    got = sketch.read(states, np.array([START_S]))[0]
    ordered = np.sort(values)
    for answer, q in zip(got, sketch.quantiles, strict=True):
        true = ordered[int(q * (size - 1))]
        assert answer == pytest.approx(true, rel=sketch.relative_error * 1.01)
