"""Choice sets in files: what is read is what was written, and only sets of the same training."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.settings import Settings
from models import dataset
from models.backfilled_sets import (
    OtherSets,
    mark_of,
    read_sets,
    rows_of,
    sets_folder,
    sets_of,
    write_manifest,
)
from models.choice_sets import ChoiceSets
from models.merged_sets import joined
from models.moments import Moments
from models.set_plan import before_test, both, plan_of_log, plan_sets
from online_features.slim_log import SlimLog
from tests.models.conftest import Data
from tests.models.drawn_sets import drawn_sets

COUNT, TEACH = 60, 40


@pytest.fixture(scope="module")
def sets(data: Data) -> ChoiceSets:
    """Sixty sets from the middle of the log."""
    return drawn_sets(data, COUNT)


@pytest.fixture
def folder(tmp_path: Path, sets: ChoiceSets) -> Path:
    """They, over two days and three files, whose names say nothing of their order."""
    number = np.arange(COUNT)
    for day, name, part in (
        ("2025-01-01", "b", slice(0, 20)),
        ("2025-01-02", "c", slice(20, 45)),
        ("2025-01-02", "a", slice(45, 60)),
    ):
        rows = rows_of(sets.take(part), number[part], TEACH)
        (tmp_path / f"day={day}").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_batches([rows]), tmp_path / f"day={day}" / f"{name}.parquet")
    write_manifest(tmp_path, "mark", COUNT, TEACH)
    return tmp_path


def test_what_is_read_is_what_was_written(folder: Path, sets: ChoiceSets) -> None:
    """To the bit, in the order of the sets, types and shapes too."""
    told: list[int] = []
    read = joined(read_sets(folder, "mark", told.append))
    for name in ChoiceSets.ARRAYS:
        np.testing.assert_array_equal(getattr(read, name), getattr(sets, name))
        assert getattr(read, name).dtype == getattr(sets, name).dtype
    for f in fields(Moments):
        np.testing.assert_array_equal(getattr(read.moments, f.name), getattr(sets.moments, f.name))
        assert getattr(read.moments, f.name).dtype == getattr(sets.moments, f.name).dtype
    assert sum(told) == sets.places.size
    teaches = pq.read_table(folder)["teaches"].to_pylist()
    assert sum(teaches) == TEACH


def test_a_row_of_a_slice_is_its_own(sets: ChoiceSets) -> None:
    """Arrow cuts batches without moving them: what is cut begins inside of the bytes."""
    rows = rows_of(sets, np.arange(COUNT), TEACH)
    some = sets_of(rows.slice(7, 5))
    np.testing.assert_array_equal(some.features, sets.features[7:12])
    np.testing.assert_array_equal(some.places, sets.places[7:12])
    assert len(sets_of(rows.slice(0, 0))) == 0


def test_other_sets_are_refused_and_so_are_none(folder: Path, tmp_path: Path) -> None:
    """With what to do; whoever expects no mark may read any."""
    with pytest.raises(OtherSets, match="another archive or other settings"):
        read_sets(folder, "another")
    with pytest.raises(OtherSets, match="placestream backfill --training-sets"):
        read_sets(tmp_path / "nothing")
    assert len(joined(read_sets(folder))) == COUNT


@pytest.mark.parametrize(("gone", "said"), [("2025-01-01/b", "set 0"), ("2025-01-02/a", "has 45")])
def test_a_file_that_is_missing_is_noticed(folder: Path, gone: str, said: str) -> None:
    """In the middle, and at the end."""
    (folder / f"day={gone}.parquet").unlink()
    with pytest.raises(OtherSets, match=said):
        list(read_sets(folder))


def test_a_mark_tells_what_the_sets_depend_on(data: Data, training: Settings) -> None:
    """The training's own plan and that of the slim log have one; any other log or seed another."""
    built = dataset.build(
        data.log,
        data.catalogue,
        data.context,
        seed=training.seed,
        max_events=training.train_max_rows,
        stale_s=training.context_stale_s,
        train_rows=False,
        judged=lambda count: np.arange(0),
    )
    known = before_test(data.log, built.test.moments)
    plan = plan_sets(
        known,
        built.train.moments.concat(built.validation.moments),
        both(built.train.at, built.validation.at),
        len(built.train.moments),
        training,
    )
    mark = mark_of(known, data.catalogue, plan)
    slim, same = plan_of_log(SlimLog.read(data.archive_dir), data.catalogue, data.context, training)
    assert mark_of(slim, data.catalogue, same) == mark
    seeded = training.model_copy(update={"seed": training.seed + 1})
    _, other = plan_of_log(data.log, data.catalogue, data.context, seeded)
    assert mark_of(known, data.catalogue, other) != mark
    assert mark_of(replace(known, kind=known.kind[::-1]), data.catalogue, plan) != mark
    windy = replace(plan, at=replace(plan.at, temp=plan.at.temp + 1))
    assert mark_of(known, data.catalogue, windy) != mark


def test_a_folder_is_of_a_version_of_the_features() -> None:
    """Other features make another table."""
    assert sets_folder(Path("var")).parent == Path("var")
    assert sets_folder(Path("var")).name.startswith("choice_sets-")
