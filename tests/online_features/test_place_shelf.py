"""The shelf says of places what their states say, at every moment and after every change."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.ids import id64
from online_features.definitions import PLACE
from online_features.keys import Keys
from online_features.place_shelf import SHELF, TILE_S, PlaceShelf, Rows, ShelvedValues
from online_features.place_unpacking import PlaceUnpacking
from online_features.place_values import PlaceStates, PlaceValues, ReadValues
from online_features.rings import DAY_S, HOUR_S
from online_features.row_index import RowIndex
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


def _id(row: int) -> str:
    """As odd as an id may be."""
    return f"é}}:{{b1}}:P{row}"


def _ids(rows: Rows) -> list[str]:
    return [_id(row) for row in rows]


KEYS = Keys("}:{ü", 3)


def _keys(rows: Sequence[int]) -> list[str]:
    return KEYS.entities("b", _ids(np.array(rows)))


def _key(row: int) -> bytes:
    return _keys([row])[0].encode()


def _shelf(most: int = SHELF) -> PlaceShelf:
    index = RowIndex()
    for row in range(2_000):
        index.put(id64(_id(row)), row)
    return PlaceShelf(KEYS, index.rows, most)


def _put(
    shelf: PlaceShelf,
    rows: Sequence[int],
    packed: Sequence[bytes | None],
    asked_at: int | None = None,
    *,
    watched: bool,
) -> None:
    """Let the shelf take what Redis answered, to a question of now if to no other."""
    at = np.array(rows)
    keys = shelf.keys(at, _ids)
    assert keys == _keys(rows)
    shelf.put(at, keys, packed, shelf.ask() if asked_at is None else asked_at, watched=watched)


def _read(
    shelf: PlaceShelf, rows: Sequence[int], packed: Sequence[bytes | None], now_s: float
) -> ShelvedValues:
    """What the shelf says of places, all of which are read for it."""
    _put(shelf, rows, packed, watched=False)
    return shelf.values(np.array(rows), now_s)


ALL = range(len(PLACES))


@given(histories(), st.integers(0, 120))
def test_a_shelf_says_what_the_states_say(history: list[Event], first: int) -> None:
    """While time passes with no event, and when events have come since."""
    shelf = _shelf()
    begin_s = START_S + SPAN_S - START_S % TILE_S - 1.0
    for known in (history[:first], history):
        states = _folded(known)
        for later_s in LATER_S:
            now_s = begin_s + later_s
            _same(_read(shelf, ALL, PLACE.pack(states), now_s), states, now_s)


def test_values_that_were_read_elsewhere_are_told_by_name() -> None:
    """As the states say that they were read from."""
    states, now_s = _folded(random_history(np.random.default_rng(3), 100, 4, DAY_S)), START_S + 9.0
    _same(ReadValues(PLACE.read(states, now_s)), states, now_s)
    _same(PlaceStates.at(states, now_s), states, now_s)


def test_places_come_in_any_order_and_may_be_unknown() -> None:
    """Each place has its own values, also where it is asked for beside others or twice."""
    states = _folded(random_history(np.random.default_rng(3), 100, 4, DAY_S))
    packed: list[bytes | None] = [*PLACE.pack(states)]
    shelf, now_s = _shelf(), float(START_S + SPAN_S)
    for order in ([4, 1], [0, 1, 2, 3, 4, 5], [5, 4, 4]):
        got = _read(shelf, order, [packed[i] for i in order], now_s)
        _same(got, states[order], now_s)
    for later_s in LATER_S:
        gone = _read(shelf, [1, 3_000], [None, None], now_s + later_s)
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
    shelf, now_s = _shelf(), float(START_S + SPAN_S)
    changed = PLACE.pack(_folded([*history, history[0]]))
    for told, new, at_s in (
        (packed, None, now_s),
        (packed, None, now_s),
        (changed, None, now_s),
        (changed, None, now_s + TILE_S),
        (changed, changed[0], now_s + TILE_S),
        (changed, None, now_s + TILE_S),
    ):
        _read(shelf, [*ALL, 9], [*told, new], at_s)
    assert unpacked == [6, 1, 6, 1, 1]


def test_a_full_shelf_says_so() -> None:
    """Beyond its first arrays, too, and not where those asked for are there already."""
    states = _folded(random_history(np.random.default_rng(7), 100, 4, DAY_S))
    packed, now_s = PLACE.pack(states), float(START_S + SPAN_S)
    shelf = _shelf(most=1_002)
    for turn in range(167):
        rows = np.arange(6 * turn, 6 * turn + 6)
        assert shelf.has_room(rows)
        _same(_read(shelf, rows.tolist(), packed, now_s), states, now_s)
    assert len(shelf) == 1_002
    assert shelf.has_room(np.arange(500, 700))
    assert not shelf.has_room(np.array([1_002]))
    _same(_read(shelf, range(600, 606), packed, now_s), states, now_s)


def _fresh(shelf: PlaceShelf, rows: Sequence[int]) -> bool:
    return not len(shelf.lacking(np.array(rows)))


def test_ids_are_found_in_keys_again() -> None:
    """Whatever prefix and id hold; a shard's own key has none."""
    keys = [key.encode() for key in (*_keys([5, 7]), KEYS.shard("b", 1), KEYS.shard("i", 0))]
    assert KEYS.ids_of(keys) == [_id(5).encode(), _id(7).encode(), b"", b""]
    assert KEYS.ids_of([b"", b"other", KEYS.entity("c", "nyc").encode()]) == [b"", b"", b"nyc"]


def test_what_was_read_is_fresh_until_it_changes() -> None:
    """Each place by itself; what nobody watches over never is."""
    packed = PLACE.pack(_folded(random_history(np.random.default_rng(7), 100, 4, DAY_S)))
    shelf = _shelf()
    assert not _fresh(shelf, ALL)
    _put(shelf, ALL, packed, watched=False)
    assert not _fresh(shelf, ALL)
    _put(shelf, ALL, packed, watched=True)
    assert _fresh(shelf, ALL)
    assert not _fresh(shelf, [*ALL, 9])  # which was never read
    told = [_key(3), _key(1_500), b"other", KEYS.shard("b", 1).encode(), _key(5_000)]
    assert sorted(shelf.changed(told).tolist()) == [3, 1_500]  # others are no rows
    assert not _fresh(shelf, [3])
    assert _fresh(shelf, [0, 1, 2, 4, 5])
    _put(shelf, [3], packed[:1], watched=True)
    assert _fresh(shelf, ALL)
    shelf.all_changed()
    assert len(shelf.lacking(np.array(ALL))) == len(ALL)


def test_that_there_is_no_state_is_known_until_there_is_one() -> None:
    """It takes no room for states, and holds at any moment; a state that goes is known to."""
    states, now_s = _folded(random_history(np.random.default_rng(7), 100, 4, DAY_S)), START_S + 9.0
    packed = PLACE.pack(states)
    shelf = _shelf(most=1)
    many = range(1_000)
    assert shelf.has_room(np.array([0]))
    _put(shelf, many, [None] * len(many), watched=True)
    assert _fresh(shelf, many)
    assert len(shelf) == 0
    _same(shelf.values(np.array(many), now_s), PLACE.empty(len(many)), now_s)
    shelf.changed([_key(7)])
    assert shelf.lacking(np.array(many)).tolist() == [7]
    for value, expected in ((packed[1], states[[1]]), (None, PLACE.empty(1))):
        _put(shelf, [7, 7], [value] * 2, watched=True)
        assert _fresh(shelf, many)
        assert len(shelf) == 1
        _same(shelf.values(np.array([7]), now_s), expected, now_s)
        shelf.changed([_key(7)])
        assert shelf.lacking(np.array(many)).tolist() == [7]
    assert shelf.has_room(np.array([7, 8]))  # of both it is known whether they have one
    assert not shelf.has_room(np.array([7, 8, 1_000]))


def test_a_change_while_it_was_asked_for_counts() -> None:
    """Nobody can know whether the answer holds it."""
    packed: list[bytes | None] = [
        *PLACE.pack(_folded(random_history(np.random.default_rng(7), 100, 4, DAY_S)))
    ]
    packed[4] = None
    shelf = _shelf()
    shelf.lacking(np.array(ALL))
    asked_at = shelf.ask()
    shelf.changed([_key(2), _key(4)])
    _put(shelf, ALL, packed, asked_at, watched=True)
    assert shelf.lacking(np.array(ALL)).tolist() == [2, 4]
    asked_at = shelf.ask()
    shelf.all_changed()
    _put(shelf, [*ALL, 1_999], [*packed, None], asked_at, watched=True)
    assert len(shelf.lacking(np.array([*ALL, 1_999]))) == len(ALL) + 1


@pytest.mark.parametrize("watched", [True, False])
def test_a_late_answer_to_an_older_question_changes_nothing(watched: bool) -> None:
    """Whoever asked later may know better, and what they know stays fresh."""
    states = _folded(random_history(np.random.default_rng(7), 100, 4, DAY_S))
    packed, now_s = PLACE.pack(states), float(START_S + SPAN_S)
    shelf = _shelf()
    shelf.lacking(np.array(ALL))
    older = shelf.ask()
    shelf.changed([_key(2)])
    _put(shelf, [0, 1, 2, 3, 8], [*packed[:4], None], watched=True)
    late = [None, None, None, None, *packed[4:], packed[0]]
    _put(shelf, [*ALL, 8], late, older, watched=watched)
    assert _fresh(shelf, [0, 1, 2, 3, 8])
    assert _fresh(shelf, [4]) == watched
    _same(shelf.values(np.array(ALL), now_s), states, now_s)
    _same(shelf.values(np.array([8]), now_s), PLACE.empty(1), now_s)


def test_a_damaged_state_costs_its_place_alone() -> None:
    """It counts as unknown beside places with their values, is named once, and may be mended."""
    shelf, now_s = _shelf(), float(START_S + SPAN_S)
    states = _folded(random_history(np.random.default_rng(9), 60, 4, DAY_S))
    packed = PLACE.pack(states)
    expected = states.copy()
    expected[[0, 3]] = PLACE.empty(2)
    damaged = [b"\0\0\0\0damaged", *packed[1:3], packed[3][:-1], *packed[4:]]
    with capture_logs() as logs:
        for later_s in (0.0, 1.0, TILE_S):
            _same(_read(shelf, ALL, damaged, now_s + later_s), expected, now_s + later_s)
    assert [line["place_ids"] for line in logs] == [[_id(0), _id(3)]]
    _same(_read(shelf, ALL, packed, now_s), states, now_s)


def test_many_damaged_states_do_not_drown_the_log() -> None:
    """So many are named and no more."""
    unpack = PlaceUnpacking(most_named=3)
    with capture_logs() as logs:
        for first in range(0, 10, 2):
            _, known = unpack([f"p{first}", f"p{first + 1}"], [b"bad", b""])
            assert not known.any()
    assert [line["place_ids"] for line in logs] == [["p0", "p1"], ["p2"]]
    assert [line["more_will_be_named"] for line in logs] == [True, False]
