"""The choice sets that Spark makes of an archive, against those of a training, value for value."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from contracts.settings import Settings
from models import dataset, fit_pair
from models.backfilled_sets import OtherSets, mark_of, read_sets, sets_folder
from models.choice_sets import ChoiceSets, choice_sets
from models.merged_sets import joined
from models.moments import Moments
from models.progress import SILENT
from models.rows import gathered
from models.set_plan import SetPlan, before_test, plan_of_log
from online_features.archive import read_catalogue, read_context, read_interactions
from online_features.catalogue import Catalogue
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.training_log import TrainingLog
from placestream.backfill.engine import session
from placestream.backfill.questions import BLOCK
from placestream.backfill.training_sets import write_sets
from placestream.simulation.checkins import load_checkins
from placestream.simulation.to_archive import write_archive
from tests.placestream.backfill.archives import write_messy_city

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]
pytest.importorskip("pyspark", reason="`.ci/setup.sh test-all` brings Spark")

#: A file of real check-ins.
CHECKINS = os.environ.get("CHECKINS", "")


@pytest.fixture(scope="module")
def spark() -> Iterator["SparkSession"]:
    """The real engine, in this process's Java, its batches cut small."""
    with session(Settings(_env_file=None, spark_master="local[2]")) as made:
        made.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "2011")
        yield made


def settings_of(root: Path, **more: object) -> Settings:
    """Of an archive, and of tables beside it."""
    folders = {"archive_dir": root / "archive", "backfill_dir": root / "tables"}
    return Settings(_env_file=None, **folders, models_dir=root / "models", **more)  # type: ignore[arg-type]


def planned(settings: Settings) -> tuple[TrainingLog, Catalogue, SetPlan]:
    """What a training on the archive would make sets of."""
    archive = settings.archive_dir
    log, catalogue = TrainingLog.read(archive), read_catalogue(archive)
    known, plan = plan_of_log(log, catalogue, read_context(archive), settings)
    return known, catalogue, plan


def assert_equal_to_the_replays(settings: Settings) -> ChoiceSets:
    """Every value of every column, and the mark that the training would ask for."""
    known, catalogue, plan = planned(settings)
    mark = mark_of(known, catalogue, plan)
    got = joined(read_sets(sets_folder(settings.backfill_dir), mark))
    expected = joined(choice_sets(known, catalogue, plan.moments, plan.at, plan.rng))
    for name in ChoiceSets.ARRAYS:
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    for name in vars(expected.moments):
        values = getattr(got.moments, name), getattr(expected.moments, name)
        np.testing.assert_array_equal(*values, err_msg=name)
    return got


@pytest.fixture(scope="module")
def messy(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A random history whose sets were made."""
    settings = settings_of(tmp_path_factory.mktemp("messy"), train_sets=400)
    write_messy_city(settings.archive_dir, 1)
    write_sets(spark, settings)
    return settings


def test_random_histories_with_weather(messy: Settings) -> None:
    """Late, repeated and twice archived events; lagging sets and strangers; several blocks."""
    sets = assert_equal_to_the_replays(messy)
    assert len(sets) > BLOCK
    log, _, plan = planned(messy)
    _, rows = np.unique(log.user, return_inverse=True)
    repeated = ~mark_new(np.zeros(rows.max() + 1, SEEN_DTYPE), rows, log.event_hash)
    assert repeated.mean() > 0.03
    assert (np.diff(read_interactions(messy.archive_dir).offset) < 0).mean() > 0.3
    assert np.isfinite(plan.at.temp).mean() > 0.9
    assert (sets.moments.user == 0).any()
    assert (log.time_s[sets.moments.before] < sets.moments.time_s).any()


def test_a_skewed_key(spark: "SparkSession", tmp_path: Path) -> None:
    """Most of all happens at one place: its questions and events fill many batches."""
    settings = settings_of(tmp_path, train_sets=300)
    write_messy_city(settings.archive_dir, 2, hot=0.7)
    write_sets(spark, settings)
    sets = assert_equal_to_the_replays(settings)
    places, count = np.unique(sets.places[sets.places >= 0], return_counts=True)
    assert count.max() > 2 * len(sets), "one place fills the draws by popularity"
    assert len(places) > 100


def test_a_training_on_them_is_the_training_on_its_own(messy: Settings) -> None:
    """The rows that both models learn from and are judged by are the same, to the bit."""
    archive, rows = messy.archive_dir, []
    log, catalogue = TrainingLog.read(archive), read_catalogue(archive)
    data = dataset.build(
        log,
        catalogue,
        read_context(archive),
        seed=messy.seed,
        max_events=messy.train_max_rows,
        stale_s=messy.context_stale_s,
        train_rows=False,
    )
    known = before_test(log, data.test.moments)
    for source in ("replay", "backfill"):
        settings = messy.model_copy(update={"train_sets_from": source})
        sets = fit_pair._sets(known, catalogue, data, settings, SILENT)
        rows.append((gathered(sets.learn), sets.judge))
    for own, read in zip(*rows, strict=True):
        assert own.keys() == read.keys() >= {"places", "log_expected", "features", "parts"}
        for name in own:
            np.testing.assert_array_equal(read[name], own[name], err_msg=name)
    other = settings.model_copy(update={"seed": 99})
    with pytest.raises(OtherSets, match="backfill --training-sets"):
        fit_pair._sets(known, catalogue, data, other, SILENT)


def test_a_run_again_replaces_all_days(spark: "SparkSession", tmp_path: Path) -> None:
    """What a broken run has left is no hindrance, and nothing of the sets before remains."""
    settings = settings_of(tmp_path, train_sets=300)
    write_messy_city(settings.archive_dir, 3)
    folder = sets_folder(settings.backfill_dir)
    (folder / "day=1999-01-01").mkdir(parents=True)
    (folder / "day=1999-01-01" / "old.parquet").write_bytes(b"of another time")
    broken = folder.with_name(f".{folder.name}.making")
    (broken / "blocks").mkdir(parents=True)
    (broken / "blocks" / "block-99999999.parquet").write_bytes(b"half")
    write_sets(spark, settings)
    assert [path.name for path in settings.backfill_dir.iterdir()] == [folder.name]
    assert not (folder / "day=1999-01-01").exists()
    first = assert_equal_to_the_replays(settings)
    fewer = settings.model_copy(update={"train_sets": 100})
    assert write_sets(spark, fewer) < len(first)
    assert_equal_to_the_replays(fewer)
    with pytest.raises(OtherSets, match="other settings"):
        assert_equal_to_the_replays(settings)


def test_the_days_are_those_of_what_a_set_knows(messy: Settings) -> None:
    """A set lies in the day of the first event that it does not know, in UTC."""
    log, _, _ = planned(messy)
    folder = sets_folder(messy.backfill_dir)
    days = sorted(path.name for path in folder.glob("day=*"))
    moments: list[Moments] = [sets.moments for sets in read_sets(folder)]
    before = np.concatenate([some.before for some in moments])
    stamps = np.datetime_as_string(log.time_s[before].astype("datetime64[s]"), unit="D")
    assert days == [f"day={day}" for day in np.unique(stamps)]


@pytest.mark.skipif(not CHECKINS, reason="CHECKINS names no file of real check-ins")
def test_new_york(spark: "SparkSession", tmp_path: Path) -> None:
    """All check-ins of a real city are folded; some sets of all its time are asked."""
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "10000")
    settings = settings_of(tmp_path, train_sets=2_000)
    write_archive(load_checkins(Path(CHECKINS)), settings.archive_dir)
    made = write_sets(spark, settings)
    assert len(assert_equal_to_the_replays(settings)) == made > 2_000
