"""Places as they were known at each moment: what is stated of them later changes nothing before."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from contracts.events import encode
from models.choice_sets import choice_sets
from models.dataset import build, situations
from models.merged_sets import joined
from models.moments import find_moments
from models.set_drawing import NOT_THERE
from models.training_rows import Dataset
from online_features.archive import read_catalogue, read_updates
from online_features.archive_schema import PLACE_UPDATES, RAW_SCHEMA
from online_features.catalogue import Catalogue
from online_features.past import CataloguePast
from online_features.request import RANKING_COLUMNS
from streams.archive import by_day, write_whole
from tests.models.conftest import ENDING_S, Data
from tests.models.drawn_sets import drawn_sets

REVIEWS = RANKING_COLUMNS.index("review_count_log")


def _archive_with(data: Data, folder: Path, later: list[tuple[str, float, bytes | None]]) -> Path:
    """The places of an archive, and updates that come after all the others: key, seconds, event."""
    shutil.copytree(data.archive_dir / PLACE_UPDATES, folder / PLACE_UPDATES)
    rows = [
        {"partition": 0, "offset": 10**6 + i, "received_s": t, "time_s": t, "key": key, "raw": raw}
        for i, (key, t, raw) in enumerate(later)
    ]
    for part, day in by_day(pa.Table.from_pylist(rows, RAW_SCHEMA), folder / PLACE_UPDATES):
        write_whole(part, day)
    return folder


@pytest.fixture(scope="module")
def reviewed(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The catalogue, had every place been given a thousand reviews in the hour after the log."""
    after_s = max(ENDING_S, float(data.log.time_s[-1])) + 3_600.0
    said = {"rating": 1.0, "review_count": 1_000}
    later: list[tuple[str, float, bytes | None]] = [
        (place, after_s, encode({"place_id": place, "updates": said}))
        for place in data.catalogue.ids
    ]
    folder = tmp_path_factory.mktemp("reviewed")
    catalogue = read_catalogue(_archive_with(data, folder, later))
    assert (catalogue.review_count == 1_000).all()
    return catalogue


def test_the_planted_reviews_come_last(data: Data, reviewed: Catalogue) -> None:
    """Else the tests below plant nothing: no moment lies after them, and one update a place did."""
    newest = max(
        received_s for _, _, received_s, _, _ in read_updates(data.archive_dir, PLACE_UPDATES)
    )
    rows, now = np.arange(len(reviewed)), np.full(len(reviewed), newest)
    known = reviewed.column_at("review_count", rows, now)
    np.testing.assert_array_equal(known, data.catalogue.review_count)
    assert (known != reviewed.review_count).all()


def test_sets_do_not_know_reviews_of_later(data: Data, reviewed: Catalogue) -> None:
    """Every place gets a thousand reviews after the log: no feature of an earlier choice moves."""
    before, after = drawn_sets(data, 60), drawn_sets(_with(data, reviewed), 60)
    np.testing.assert_array_equal(after.places, before.places)
    np.testing.assert_array_equal(after.features, before.features)
    assert before.features[:, :, REVIEWS].max() > 0


def _built(data: Data) -> Dataset:
    return build(
        data.log,
        data.catalogue,
        data.context,
        seed=1,
        max_events=1_500,
        stale_s=10_800.0,
        judged=lambda count: np.arange(min(count, 100)),
    )


def test_rows_and_held_out_rows_do_not_either(data: Data, reviewed: Catalogue) -> None:
    """Train, validation and test part."""
    before, after = _built(data), _built(_with(data, reviewed))
    for part in ("train", "validation", "test"):
        one, other = getattr(before, part).ranker, getattr(after, part).ranker
        np.testing.assert_array_equal(other.features, one.features)


def test_a_choice_sees_what_the_service_saw_at_its_moment(data: Data) -> None:
    """As `skew` plays a service's catalogue forward, update by update, to each moment."""
    moments = find_moments(data.log, data.catalogue, np.random.default_rng(1))
    moments = moments.take(slice(0, None, len(moments) // 60))
    at = situations(data.context, data.catalogue, moments, stale_s=10_800.0)
    rng = np.random.default_rng(2)
    sets = joined(choice_sets(data.log, data.catalogue, moments, at, rng))
    past, of_set, changed = CataloguePast(data.archive_dir), np.arange(len(moments)), 0
    for i in of_set[sets.moments.time_s >= past.received_s[0]]:
        known = past.play(int(np.searchsorted(past.received_s, moments.time_s[i], side="right")))
        places = sets.places[i][sets.places[i] >= 0]
        rows = known.rows_of(data.catalogue.hash[places])
        expected = np.log1p(known.review_count[rows])
        features = sets.features[i][sets.places[i] >= 0]
        np.testing.assert_allclose(features[:, REVIEWS], expected, rtol=1e-3)
        changed += int((known.review_count[rows] != data.catalogue.review_count[places]).sum())
    assert changed > 0


def test_what_closes_later_was_there_and_what_opens_later_was_not(
    data: Data, tmp_path: Path
) -> None:
    """A third of the places close after the log, others open: earlier sets and answers stay."""
    after_s, ids = float(data.log.time_s[-1]) + 3_600.0, data.catalogue.ids
    said = {"category": "bar", "location": {"lat": 40.0, "lng": -74.0}}
    later: list[tuple[str, float, bytes | None]] = [(place, after_s, None) for place in ids[::3]]
    later.append(("new", after_s, encode({"place_id": "new", "updates": said})))
    catalogue = read_catalogue(_archive_with(data, tmp_path, later))
    assert catalogue.closed.sum() == len(ids[::3])
    moments = find_moments(data.log, catalogue, np.random.default_rng(1))
    assert len(moments) == len(find_moments(data.log, data.catalogue, np.random.default_rng(1)))
    sets = drawn_sets(_with(data, catalogue), 60)
    counts = sets.log_expected < NOT_THERE
    shown = sets.places[counts]
    assert not (shown == catalogue.row_of("new")).any()
    # Closed ones are chosen, known, and drawn: about as many as they are.
    assert catalogue.closed[sets.places[:, 0]].any()
    assert 0.2 < catalogue.closed[shown].mean() < 0.5
    for lat, lng, at_s in zip(moments.lat[:20], moments.lng[:20], moments.time_s[:20], strict=True):
        before, _ = data.catalogue.near(lat, lng, 5_000.0, 100)
        after, _ = catalogue.near(lat, lng, 5_000.0, 100, at_s)
        np.testing.assert_array_equal(after, before)


def _with(data: Data, catalogue: Catalogue) -> Data:
    return Data(data.archive_dir, data.log, catalogue, data.context)
