"""What the ranker sees: derived by hand for one small history."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from contracts.events import Location, PlaceDocument
from contracts.ids import as_int64, id64
from contracts.signatures import PARTS
from online_features import pair_columns, ranking_columns, ranking_matrix
from online_features.catalogue import Catalogue
from online_features.columns import CLICK, VISIT, EventColumns
from online_features.context import ContextLog, ContextState, Situation, situation
from online_features.definitions import PLACE, USER
from online_features.habits import HOUR_SIGMA, INTENT_TAU_S, TASTE_TAU_S
from online_features.history import history
from online_features.request import (
    RANKING_COLUMNS,
    candidate_inputs,
    pair_features,
    parts_at,
    ranker_inputs,
    ranking_features,
    sides_of_requests,
)

NOW_S = 1_753_444_800.0  # 2025-07-25 12:00 UTC
HOUR_S, DAY_S = 3_600.0, 86_400.0


@pytest.fixture
def catalogue() -> Catalogue:
    """Two cafes and a gym on a meridian, a hundredth of a degree apart."""
    catalogue = Catalogue()
    for i, (category, price) in enumerate([("cafe", 1), ("cafe", 3), ("gym", None)]):
        where = Location(40.0 + i / 100, -74.0)
        catalogue.upsert(
            PlaceDocument(
                place_id=f"p{i}", category=category, price_level=price, location=where, rating=4.0
            )
        )
    return catalogue


def states(events: list[tuple[str, int, float]]) -> np.ndarray:
    """State of one user after (place, kind, seconds ago)."""
    state = USER.empty(1)
    columns = EventColumns.of(
        user=[1] * len(events),
        place=[id64(place) for place, _, _ in events],
        kind=[kind for _, kind, _ in events],
        time_s=[NOW_S - ago for _, _, ago in events],
    )
    USER.fold(state, np.zeros(len(events), np.int64), columns)
    return state


def features(catalogue: Catalogue, user: np.ndarray, lat: float = 40.0) -> dict[str, np.ndarray]:
    """Columns by name, for all three places."""
    at = situation(lat, -74.0, NOW_S, None, stale_s=DAY_S)
    matrix = ranking_features(user, PLACE.empty(3), np.arange(3), at, catalogue)
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()
    return dict(zip(RANKING_COLUMNS, matrix.T, strict=True))


def test_the_users_own_past_at_a_place(catalogue: Catalogue) -> None:
    """Shares are of faded weights; a visit at this hour counts fully, others by a kernel."""
    got = features(catalogue, states([("p0", VISIT, DAY_S), ("p2", VISIT, 2 * DAY_S + 3 * HOUR_S)]))
    cafe, gym = np.exp(-DAY_S / TASTE_TAU_S), np.exp(-(2 * DAY_S + 3 * HOUR_S) / TASTE_TAU_S)
    assert got["visits_here_log"] == pytest.approx(np.log1p([1, 0, 1]))
    assert got["visits_here_share"] == pytest.approx(np.array([cafe, 0, gym]) / (cafe + gym))
    assert got["category_share"] == pytest.approx(np.array([cafe, cafe, gym]) / (cafe + gym))
    near_hour = np.array([cafe, 0, gym * np.exp(-0.5 * (3 / HOUR_SIGMA) ** 2)])
    assert got["visits_here_this_hour"] == pytest.approx(near_hour / near_hour.sum())
    assert got["since_here_log"][[0, 2]] == pytest.approx(np.log1p([24, 51]))
    assert got["never_here"].tolist() == [0, 1, 0]


def test_a_users_features_do_not_depend_on_whose_are_worked_out_beside(
    catalogue: Catalogue,
) -> None:
    """A long history beside a short one, and beside none."""
    often = [("p0", VISIT, 3 * HOUR_S * (i + 1)) for i in range(100)] + [("p1", CLICK, HOUR_S)]
    users = [states(often), states([("p2", VISIT, DAY_S)]), USER.empty(1)]
    alone = [np.stack(list(features(catalogue, user).values()), axis=1) for user in users]
    one = situation(40.0, -74.0, NOW_S, None, stale_s=DAY_S)
    at = Situation(*(np.repeat(getattr(one, field.name), 3) for field in fields(one)))
    together = ranking_features(
        np.concatenate(users),
        PLACE.empty(9),
        np.tile(np.arange(3), 3),
        at,
        catalogue,
        np.repeat(np.arange(3), 3),
    )
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_what_was_just_looked_at(catalogue: Catalogue) -> None:
    """Intent fades within the hour and works by category at once."""
    got = features(catalogue, states([("p0", VISIT, DAY_S), ("p2", CLICK, 60.0)]))
    strength = np.exp(-60.0 / INTENT_TAU_S)
    assert got["category_intent_strength"][2] == pytest.approx(np.log1p(strength))
    assert got["looked_here"][2] == pytest.approx(np.log1p(strength))
    assert got["category_intent"][0] < 1e-3 < got["category_intent"][2]


def test_distances_prices_and_ratings(catalogue: Catalogue) -> None:
    """Against the location, the last place, the centre and the usual price."""
    got = features(catalogue, states([("p0", VISIT, DAY_S)]), lat=40.01)
    step_km = 1.11195
    assert got["distance_log_km"] == pytest.approx(np.log1p([step_km, 0, step_km]), abs=1e-4)
    assert got["from_last_place_log_km"] == pytest.approx(
        np.log1p([0, step_km, 2 * step_km]), abs=1e-4
    )
    assert got["from_centre_log_km"] == pytest.approx(got["from_last_place_log_km"])
    assert got["distance_here"] == pytest.approx([0, 1, 0], abs=1e-6)
    assert got["price_difference"] == pytest.approx([0, 2, 0])
    assert got["price_known"].tolist() == [1, 1, 0]
    assert got["rating"] == pytest.approx([4, 4, 4])


def test_a_stranger_in_an_unknown_place_has_neutral_features(catalogue: Catalogue) -> None:
    """No history, a row of -1: nothing is not-a-number, nothing is invented."""
    at = situation(40.0, -74.0, NOW_S, None, stale_s=DAY_S)
    matrix = ranking_features(USER.empty(1), PLACE.empty(1), np.array([-1]), at, catalogue)
    got = dict(zip(RANKING_COLUMNS, matrix[0].tolist(), strict=True))
    assert np.isfinite(matrix).all()
    assert got["never_here"] == 1
    assert got["visits_here_share"] == got["category_share"] == got["rating_known"] == 0


def test_context_counts_while_it_is_fresh() -> None:
    """Older than allowed is the same as unknown; the log answers point in time."""
    rain = ContextState(NOW_S - HOUR_S, temp=9.0, condition="rain", congestion=0.8)
    fresh = situation(0, 0, NOW_S, rain, stale_s=2 * HOUR_S)
    stale = situation(0, 0, NOW_S, rain, stale_s=0.5 * HOUR_S)
    assert (fresh.temp[0], fresh.condition[0], fresh.congestion[0]) == (9.0, 2, 0.8)
    assert np.isnan(stale.temp[0])
    assert stale.condition[0] == -1
    log = ContextLog([("x", rain), ("x", ContextState(NOW_S, temp=20.0))])
    times = NOW_S + np.array([-2 * HOUR_S, -1.0, 1.0, 5 * HOUR_S])
    past = log.at("x", np.zeros(4), np.zeros(4), times, stale_s=2 * HOUR_S)
    assert past.temp.tolist() == pytest.approx([np.nan, 9.0, 20.0, np.nan], nan_ok=True)


def test_parts_are_found_by_position() -> None:
    """In the order that is wanted; what was not told is unknown."""
    told = np.arange(3 * len(PARTS), dtype=np.float32).reshape(3, -1)
    found = parts_at(np.array([7, 2, 4]), told, np.array([4, 9, 7]))
    np.testing.assert_array_equal(found[[0, 2]], told[[2, 0]])
    assert np.isnan(found[1]).all()
    nothing = parts_at(np.zeros(0, np.int32), told[:0], np.array([0, 1]))
    assert np.isnan(nothing).all()


def test_model_inputs_have_the_documented_shapes(catalogue: Catalogue) -> None:
    """Names, types and shapes of the signatures."""
    rows, metres = catalogue.near(40.0, -74.0, 5_000, 10)
    user = states([("p0", VISIT, DAY_S), ("p1", CLICK, HOUR_S)])
    crowd = np.arange(12, dtype=np.uint8).reshape(3, 4)
    inputs = candidate_inputs(history(user), rows, metres, NOW_S, catalogue, crowd)
    assert {name: (value.shape, str(value.dtype)) for name, value in inputs.items()} == {
        "history_ids": ((1, 144), "int64"),
        "history_age_s": ((1, 144), "float32"),
        "history_kind": ((1, 144), "int64"),
        "place_ids": ((1, 3), "int64"),
        "distance_m": ((1, 3), "float32"),
        "moment_s": ((1,), "int64"),
        "crowd": ((1, 3, 4), "uint8"),
    }
    newest_first = as_int64(np.array([id64("p1"), id64("p0")], np.uint64))
    assert inputs["history_ids"][0, :2].tolist() == newest_first.tolist()
    assert inputs["history_age_s"][0, :2] == pytest.approx([HOUR_S, DAY_S])
    parts = np.zeros((3, 2), np.float32)
    ranker = ranker_inputs(np.zeros((3, 4), np.float32), parts, id64("u"), rows, catalogue)
    assert ranker["category_id"].tolist() == as_int64(catalogue.category_hash[rows]).tolist()


def test_what_does_not_go_together_is_refused(catalogue: Catalogue) -> None:
    """Compiled loops trust their positions: a wrong one must not get to them."""
    users, here = USER.empty(2), situation(40.0, -74.0, NOW_S, None, stale_s=HOUR_S)
    now_s, lat, lng = [NOW_S] * 2, [40.0] * 2, [-74.0] * 2
    sides = sides_of_requests(users, history(users), now_s, lat, lng, catalogue)

    def asked(of: list[int], rows: tuple[int, ...] = (0, 1, 2), states: int = 3) -> None:
        places = PLACE.empty(states)
        pair_features(sides, places, np.array(rows), here, catalogue, np.array(of))

    with pytest.raises(ValueError, match="1 histories of 2 users"):
        sides_of_requests(users, history(USER.empty(1)), now_s, lat, lng, catalogue)
    with pytest.raises(ValueError, match="2 users, but 1 moments"):
        sides_of_requests(users, history(users), [NOW_S], lat, lng, catalogue)
    with pytest.raises(ValueError, match="2 pairs of 3 places"):
        asked([0, 1])
    with pytest.raises(ValueError, match="states of 2 places for 3 rows"):
        asked([0, 1, 1], states=2)
    for wrong in ([0, 1, 2], [-1, 0, 1]):
        with pytest.raises(ValueError, match="a pair of no request"):
            asked(wrong)
    for row in (-2, 3):
        with pytest.raises(ValueError, match="a row that the catalogue has not: it has 3"):
            asked([0, 1, 1], rows=(0, 1, row))


def test_requests_of_another_catalogue_are_refused(catalogue: Catalogue) -> None:
    """The user was last at a place whose row the other one has not."""
    been, here = states([("p2", VISIT, DAY_S)]), situation(40, -74, NOW_S, None, stale_s=HOUR_S)
    sides = sides_of_requests(been, history(been), [NOW_S], [40.0], [-74.0], catalogue)
    other, first = Catalogue(), np.zeros(1, np.int64)
    other.upsert(PlaceDocument(place_id="p0", location=Location(40.0, -74.0)))
    with pytest.raises(ValueError, match="of another catalogue"):
        pair_features(sides, PLACE.empty(1), first, here, other, first)


def test_a_column_that_nobody_works_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold whatever the memory held."""
    monkeypatch.setitem(ranking_columns.COLUMNS, "new_one", ranking_columns.OfPair())
    with pytest.raises(ValueError, match="does not work out new_one"):
        ranking_matrix._plan()


def test_every_column_is_written(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stranger in an unknown place, too, where most is nothing."""
    nobody_says = -77.0
    tell = pair_columns.tell

    def told(*given: Any) -> None:
        given[-1][:] = nobody_says
        tell(*given)

    monkeypatch.setattr(ranking_matrix, "tell", told)
    at = situation(40.0, -74.0, NOW_S, None, stale_s=DAY_S)
    for user in (USER.empty(1), states([("p0", VISIT, DAY_S), ("p2", CLICK, 60.0)])):
        matrix = ranking_features(user, PLACE.empty(3), np.array([0, 2, -1]), at, catalogue)
        assert not (matrix == nobody_says).any()
