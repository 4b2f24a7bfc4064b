"""The shelf says of places what their states say, at every moment and after every change."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from online_features.definitions import PLACE
from online_features.place_unpacking import PlaceUnpacking
from online_features.place_values import TILE_S, PlaceShelf, PlaceStates, PlaceValues, ReadValues
from online_features.rings import DAY_S, HOUR_S
from tests.online_features.histories import SPAN_S, START_S, columns, histories, random_history
from tests.online_features.oracle import Event

PLACES = [f"p{i}" for i in range(6)]
#: Moments a breath, a tile, an hour, a day and a month apart, beginning just before a tile ends.
LATER_S = (0.0, 0.5, 1.5, TILE_S, HOUR_S, 6 * HOUR_S, DAY_S, 30.0 * DAY_S)


def _folded(events: list[Event]) -> np.ndarray:
    """States of the six places of a history."""
    states = PLACE.empty(len(PLACES))
    if events:
        told = columns(events)
        PLACE.fold(states, told.place.astype(np.int64) - 1, told)
    return states


def _same(got: PlaceValues, states: np.ndarray, now_s: float) -> None:
    expected = PLACE.read(states, now_s)
    for columns_wanted in (PLACE.columns, PLACE.columns[::-3]):
        at = [PLACE.index[column] for column in columns_wanted]
        np.testing.assert_array_equal(got.table(columns_wanted), expected[:, at])
    assert len(got) == len(states)


@given(histories(), st.integers(0, 120))
def test_a_shelf_says_what_the_states_say(history: list[Event], first: int) -> None:
    """While time passes with no event, and when events have come since."""
    shelf = PlaceShelf()
    begin_s = START_S + SPAN_S - START_S % TILE_S - 1.0
    for known in (history[:first], history):
        states = _folded(known)
        for later_s in LATER_S:
            now_s = begin_s + later_s
            _same(shelf.values(PLACES, PLACE.pack(states), now_s), states, now_s)


def test_values_that_were_read_elsewhere_are_told_by_name() -> None:
    """As the states say that they were read from."""
    states, now_s = _folded(random_history(np.random.default_rng(3), 100, 4, DAY_S)), START_S + 9.0
    _same(ReadValues(PLACE.read(states, now_s)), states, now_s)
    _same(PlaceStates.at(states, now_s), states, now_s)


def test_places_come_in_any_order_and_may_be_unknown() -> None:
    """Each place has its own values, also where it is asked for beside others or twice."""
    states = _folded(random_history(np.random.default_rng(3), 100, 4, DAY_S))
    packed: list[bytes | None] = [*PLACE.pack(states)]
    shelf, now_s = PlaceShelf(), float(START_S + SPAN_S)
    for order in ([4, 1], [0, 1, 2, 3, 4, 5], [5, 4, 4]):
        got = shelf.values([PLACES[i] for i in order], [packed[i] for i in order], now_s)
        _same(got, states[order], now_s)
    for later_s in LATER_S:
        gone = shelf.values(["p1", "new"], [None, None], now_s + later_s)
        _same(gone, PLACE.empty(2), now_s + later_s)


def test_only_what_changed_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at first, then the one with a new event, then all when a tile has passed.

    Nobody was at "new", so there is nothing to unpack until somebody is, and then when it is gone.
    """
    unpacked: list[int] = []
    whole = PLACE.unpack

    def noted(values: Sequence[bytes | None]) -> tuple[np.ndarray, np.ndarray]:
        unpacked.append(len(values))
        return whole(values)

    monkeypatch.setattr(PLACE, "unpack", noted)
    history = random_history(np.random.default_rng(5), 60, 4, DAY_S)
    packed = PLACE.pack(_folded(history))
    shelf, now_s = PlaceShelf(), float(START_S + SPAN_S)
    changed = PLACE.pack(_folded([*history, history[0]]))
    for told, new, at_s in (
        (packed, None, now_s),
        (packed, None, now_s),
        (changed, None, now_s),
        (changed, None, now_s + TILE_S),
        (changed, changed[0], now_s + TILE_S),
        (changed, None, now_s + TILE_S),
    ):
        shelf.values([*PLACES, "new"], [*told, new], at_s)
    assert unpacked == [6, 1, 6, 1, 1]


def test_a_full_shelf_is_emptied() -> None:
    """It never holds more places than it may, and goes on giving the right values."""
    states = _folded(random_history(np.random.default_rng(7), 100, 4, DAY_S))
    packed, now_s = PLACE.pack(states), float(START_S + SPAN_S)
    shelf = PlaceShelf(most=8)
    for turn in range(5):
        ids = [f"{turn}-{place}" for place in PLACES]
        _same(shelf.values(ids, packed, now_s), states, now_s)
        assert len(shelf) <= 8


def test_a_damaged_state_costs_its_place_alone() -> None:
    """It counts as unknown beside places with their values, is named once, and may be mended."""
    shelf, now_s = PlaceShelf(), float(START_S + SPAN_S)
    states = _folded(random_history(np.random.default_rng(9), 60, 4, DAY_S))
    packed = PLACE.pack(states)
    expected = states.copy()
    expected[[0, 3]] = PLACE.empty(2)
    damaged = [b"\0\0\0\0damaged", *packed[1:3], packed[3][:-1], *packed[4:]]
    with capture_logs() as logs:
        for later_s in (0.0, 1.0, TILE_S):
            _same(shelf.values(PLACES, damaged, now_s + later_s), expected, now_s + later_s)
    assert [line["place_ids"] for line in logs] == [["p0", "p3"]]
    _same(shelf.values(PLACES, packed, now_s), states, now_s)


def test_many_damaged_states_do_not_drown_the_log() -> None:
    """So many are named and no more."""
    unpack = PlaceUnpacking(most_named=3)
    with capture_logs() as logs:
        for first in range(0, 10, 2):
            _, known = unpack([f"p{first}", f"p{first + 1}"], [b"bad", b""])
            assert not known.any()
    assert [line["place_ids"] for line in logs] == [["p0", "p1"], ["p2"]]
    assert [line["more_will_be_named"] for line in logs] == [True, False]
