"""Training sets: what a row knows, and when."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.ids import as_int64
from models.dataset import EACH, NEAR_EACH, build, situations
from models.moments import find_moments
from models.training_rows import NO_EVENT, Dataset
from online_features.columns import VISIT
from online_features.context import ContextLog, ContextState
from online_features.geo import distance_m
from online_features.history import history
from online_features.replay import fold_all
from online_features.request import RANKING_COLUMNS, ranking_features
from tests.models.conftest import Data
from tests.models.logs import START_S, catalogue_of, log_of

STALE_S = 3 * 3_600.0


def _build(data: Data, **changes: object) -> Dataset:
    full = {"seed": 5, "max_events": 10**9, "stale_s": STALE_S} | changes
    return build(data.log, data.catalogue, data.context, **full)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def dataset(data: Data) -> Dataset:
    return _build(data)


def test_rows_equal_a_fold_of_the_past_alone(data: Data, dataset: Dataset) -> None:
    """Features and histories of some rows, recomputed from only the events before the moment."""
    part = dataset.test
    for i in (0, len(part.moments) // 2, len(part.moments) - 1):
        moment = part.moments.take(slice(i, i + 1))
        users, user_states, places, place_states = fold_all(
            data.log.take(slice(0, int(moment.before[0])))
        )
        user = user_states[users == moment.user[0]]
        rows = part.ranker.take(slice(EACH * i, EACH * (i + 1)))
        by_place = dict(zip(places.tolist(), place_states, strict=True))
        empty = np.zeros((), place_states.dtype)
        states = np.array([by_place.get(place, empty) for place in rows.place.tolist()])
        at = situations(data.context, data.catalogue, moment, stale_s=STALE_S)
        catalogue_rows = data.catalogue.rows_of(rows.place)
        expected = ranking_features(user, states, catalogue_rows, at, data.catalogue)
        np.testing.assert_array_equal(rows.features, expected)
        past = history(user)
        choice = part.choices.take(slice(i, i + 1))
        np.testing.assert_array_equal(choice.history_age_s, past.age_s(moment.time_s))
        np.testing.assert_array_equal(choice.history_kind, past.kind)
        known = past.ids != 0
        held = data.catalogue.rows_of(past.ids[known])
        np.testing.assert_array_equal(choice.history_row[known], held)
        assert (choice.history_row[~known] == NO_EVENT).all()


def test_a_leak_from_the_future_would_be_seen(data: Data, dataset: Dataset) -> None:
    """Planted: all visits after the training part go elsewhere. No training row may notice."""
    cut = int(dataset.validation.moments.before.min())
    place = data.log.place.copy()
    place[cut:] = data.log.place[0]
    lied_to = replace(data, log=replace(data.log, place=place))
    honest, misled = dataset.train, _build(lied_to).train
    common = min(len(honest.moments), len(misled.moments))
    assert common > 100
    # The same moments up to those whose visit lies past the cut; the same draws of chance.
    same = honest.moments.before[:common] == misled.moments.before[:common]
    sure = int(np.argmin(same)) if not same.all() else common
    assert sure > 100
    positives = slice(0, EACH * sure, EACH)
    for name in ("features", "user", "place", "time_s"):
        before, after = getattr(honest.ranker, name), getattr(misled.ranker, name)
        np.testing.assert_array_equal(before[positives], after[positives])


def test_each_choice_stands_beside_four_others(dataset: Dataset) -> None:
    """One positive first, four negatives of the same request, user and moment."""
    for part in (dataset.train, dataset.validation, dataset.test):
        rows = part.ranker
        assert len(rows) == EACH * len(part.moments) == EACH * len(part.choices)
        assert rows.label.reshape(-1, EACH).tolist() == [[True, *[False] * 4]] * len(part.moments)
        for column in (rows.group, rows.user, rows.time_s):
            assert (column.reshape(-1, EACH) == column[::EACH, None]).all()
        assert (rows.place.reshape(-1, EACH)[:, 1:] != rows.place[::EACH, None]).all()
        assert rows.features.shape[1] == len(RANKING_COLUMNS)
        assert np.isfinite(rows.features).all()
        assert (rows.expected > 0).all()


def test_parts_lie_one_after_the_other(dataset: Dataset) -> None:
    """Also what a training row is labelled by was known before the next part begins."""
    first, second, third = (p.moments for p in (dataset.train, dataset.validation, dataset.test))
    assert first.known_s.max() < second.time_s.min()
    assert second.known_s.max() < third.time_s.min()


def test_choices_say_where_the_request_was(data: Data, dataset: Dataset) -> None:
    """Distances and near places belong to the request's own location."""
    choices, catalogue = dataset.test.choices, data.catalogue
    to_choice = distance_m(
        choices.lat, choices.lng, catalogue.lat[choices.place], catalogue.lng[choices.place]
    )
    np.testing.assert_allclose(choices.distance_m, to_choice, rtol=1e-5)
    assert choices.near.shape == (len(choices), NEAR_EACH)
    metres = distance_m(
        choices.lat[:, None],
        choices.lng[:, None],
        catalogue.lat[choices.near],
        catalogue.lng[choices.near],
    )
    # A cell's centre lies at most some 80 m from its points.
    assert (metres <= choices.near_reach_m[:, None] + 160).all()


def test_the_seed_decides(data: Data, dataset: Dataset) -> None:
    """The same seed gives the same rows, another one other negatives."""
    again, other = _build(data), _build(data, seed=6)
    np.testing.assert_array_equal(again.train.ranker.features, dataset.train.ranker.features)
    np.testing.assert_array_equal(again.train.choices.near, dataset.train.choices.near)
    assert (other.train.ranker.place[:500] != dataset.train.ranker.place[:500]).any()


def test_only_the_newest_interactions_are_trained_on(data: Data) -> None:
    """But their features still know the older ones."""
    newest = len(data.log) // 2
    half = _build(data, max_events=newest)
    assert half.train.moments.before.min() >= len(data.log) - newest
    never_here = RANKING_COLUMNS.index("never_here")
    assert (half.train.ranker.features[::EACH, never_here] == 0).any()


def test_the_weather_is_that_of_the_nearest_places_region() -> None:
    """Two cities, one rainy: each request gets its own, and a region without context none."""
    catalogue = catalogue_of({"a": (40.0, -74.0), "b": (40.001, -74.0)})
    log = log_of([("u", "a", "visit", 0), ("u", "b", "visit", 600)])
    moments = find_moments(log, catalogue, np.random.default_rng(0))
    wet = ContextState(START_S, temp=8.0, condition="rain", congestion=0.7)
    dry = ContextState(START_S, temp=30.0, condition="sunny")
    here = situations(
        ContextLog([("city", wet), ("elsewhere", dry)]), catalogue, moments, stale_s=STALE_S
    )
    assert (here.temp.tolist(), here.congestion.tolist()) == ([8.0], [0.7])
    assert here.context_age_s.tolist() == [600.0]
    nowhere = situations(ContextLog([("elsewhere", dry)]), catalogue, moments, stale_s=STALE_S)
    assert np.isnan(nowhere.temp).all()


def test_ids_of_rows_are_those_of_the_catalogue(data: Data, dataset: Dataset) -> None:
    """Place and category hashes belong together, and every user is one of the log's."""
    rows = dataset.train.ranker
    at = data.catalogue.rows_of(rows.place)
    assert (at >= 0).all()
    np.testing.assert_array_equal(rows.category, data.catalogue.category_hash[at])
    visitors = np.unique(data.log.user[data.log.kind == VISIT])
    assert np.isin(as_int64(rows.user), as_int64(visitors)).mean() > 0.9


def test_models_that_learn_from_sets_need_rows_of_the_test_part_alone(
    data: Data, dataset: Dataset
) -> None:
    """The same moments in all parts; rows, of the right moments, only where they are judged by."""
    bare = _build(data, train_rows=False)
    for name in ("train", "validation"):
        mine, full = getattr(bare, name), getattr(dataset, name)
        np.testing.assert_array_equal(mine.moments.before, full.moments.before)
        np.testing.assert_array_equal(mine.at.temp, full.at.temp)
        assert len(mine.ranker) == len(mine.choices) == len(mine.shown) == 0
    mine, full = bare.test, dataset.test
    np.testing.assert_array_equal(mine.moments.before, full.moments.before)
    chosen = mine.ranker.label
    np.testing.assert_array_equal(mine.ranker.place[chosen], full.ranker.place[chosen])
    np.testing.assert_array_equal(mine.ranker.features[chosen], full.ranker.features[chosen])
    np.testing.assert_array_equal(mine.choices.history_row, full.choices.history_row)


@pytest.mark.parametrize("train_rows", [True, False])
def test_rows_of_some_of_the_test_part_are_those_of_all(data: Data, train_rows: bool) -> None:
    """Negatives and features too: how many are judged changes nothing of what they are."""
    full = _build(data, train_rows=train_rows)
    wanted = np.array([0, 3, 4, 17])
    some = _build(data, train_rows=train_rows, judged=lambda count: wanted)
    np.testing.assert_array_equal(some.test.shown, wanted)
    assert len(some.test.moments) == len(full.test.moments)
    rows = (EACH * wanted[:, None] + np.arange(EACH)).ravel()
    for name in ("features", "place", "expected", "label", "time_s"):
        mine, every = getattr(some.test.ranker, name), getattr(full.test.ranker, name)
        np.testing.assert_array_equal(mine, every[rows])
    np.testing.assert_array_equal(some.test.choices.near, full.test.choices.near[wanted])
    np.testing.assert_array_equal(
        some.test.choices_of(np.array([3, 17])).history_row, full.test.choices.history_row[[3, 17]]
    )
    np.testing.assert_array_equal(some.train.ranker.features, full.train.ranker.features)
    with pytest.raises(LookupError, match="no rows"):
        some.test.choices_of(np.array([3, 5]))
