"""The crowds beside the catalogue: their codes, and that they are neither invented nor too old."""

import numpy as np

from contracts.ids import id64
from contracts.signatures import CROWD, CROWD_SCALE
from online_features.columns import VISIT, EventColumns
from online_features.crowds import Crowds, crowd_of, encoded
from online_features.definitions import PLACE

NOON_S = 1_715_774_400.0


def test_codes_tell_counts_within_three_percent() -> None:
    """From none to tens of thousands, rising; more than a byte tells counts as its most."""
    visits = np.arange(50_000)
    codes = encoded(visits)
    told = np.expm1(codes / CROWD_SCALE)
    assert codes[0] == 0
    assert (np.diff(codes.astype(int)) >= 0).all()
    np.testing.assert_allclose(told + 1, visits + 1, rtol=0.032)
    assert encoded(np.array([1e12])).tolist() == [255]


def test_the_crowd_is_what_the_place_has_seen_in_each_window() -> None:
    """Visits ten minutes, ten hours, three days, twenty days and a year ago."""
    ago_s = np.array([600, 36_000, 3 * 86_400, 20 * 86_400, 365 * 86_400.0])
    times = NOON_S - ago_s[::-1]
    visits = EventColumns.of(
        user=[1] * 5, place=[id64("p")] * 5, kind=[VISIT] * 5, time_s=times.tolist()
    )
    states = PLACE.empty(2)
    PLACE.fold(states, np.zeros(5, np.int64), visits)
    expected = encoded(np.array([[1, 2, 3, 4], [0, 0, 0, 0]]))
    np.testing.assert_array_equal(crowd_of(states, NOON_S), expected)
    values = PLACE.read(states, NOON_S)[:, [PLACE.index[name] for name in CROWD]]
    np.testing.assert_array_equal(encoded(values), expected)


def test_places_that_were_not_read_have_no_crowd() -> None:
    """Rows beyond what was read, and a table that nobody fills."""
    crowds = Crowds()
    assert not crowds.of(np.array([0, 7]), NOON_S).any()
    crowds.put(np.array([1]), np.full((1, 4), 9, np.uint8))
    assert not crowds.of(np.array([1]), NOON_S).any()  # a round has yet to end
    crowds.as_of_s = NOON_S
    assert crowds.of(np.array([0, 1, 500]), NOON_S).max(axis=1).tolist() == [0, 9, 0]
    first = Crowds()
    first.put(np.array([0]), np.full((1, 4), 9, np.uint8))
    first.as_of_s = NOON_S
    assert first.of(np.array([0, 1, 500]), NOON_S).max(axis=1).tolist() == [9, 0, 0]


def test_a_crowd_that_nobody_renews_is_forgotten() -> None:
    """Yesterday's hour is not served as today's."""
    crowds = Crowds()
    crowds.put(np.array([0]), np.full((1, 4), 9, np.uint8))
    crowds.as_of_s = NOON_S
    assert crowds.of(np.array([0]), NOON_S + Crowds.STALE_S).all()
    assert not crowds.of(np.array([0]), NOON_S + Crowds.STALE_S + 1).any()
