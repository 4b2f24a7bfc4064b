"""The tasks of the training sets one after the other, without Spark, cut anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from contracts.settings import Settings
from models.backfilled_sets import sets_of
from models.choice_sets import ChoiceSets, choice_sets
from models.merged_sets import joined
from models.set_drawing import draw_sets
from models.set_plan import plan_of_log
from online_features.archive import read_catalogue, read_context, read_interactions
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.definitions import PLACE, USER
from online_features.slim_log import SlimLog
from placestream.backfill.answers import (
    Answer,
    MakeSets,
    Unanswered,
    told_of_places,
    told_of_users,
)
from placestream.backfill.questions import AskPlaces, Block, ask_users, blocks
from placestream.backfill.rows import FOLDED
from placestream.simulation import City, Plan
from placestream.simulation.to_archive import write_archive
from tests.placestream.backfill.archives import STREAM_ENDS_S


@dataclass(frozen=True)
class Broadcast:
    """As Spark hands one thing to all tasks."""

    value: Catalogue


@dataclass(frozen=True)
class Made:
    """Sets of a small city.

    Attributes:
        expected: as the replay makes them.
        answers: by set and slot.
        task: makes sets of them.
    """

    expected: ChoiceSets
    answers: pa.Table
    task: MakeSets


def in_order(rows: Sequence[pa.RecordBatch], *columns: str) -> pa.Table:
    """As Spark sorts them."""
    by = [(column, "ascending") for column in columns]
    return pa.Table.from_batches(rows).sort_by(by).combine_chunks()


def events_as_rows(log: EventColumns, schema: pa.Schema) -> pa.RecordBatch:
    """What counts of a log, in the shape of questions; a simulated city repeats nothing."""
    columns = {name: getattr(log, name) for name in (*FOLDED, "partition", "offset")}
    columns = {n: v.view(np.int64) if v.dtype == np.uint64 else v for n, v in columns.items()}
    count = len(log)
    columns |= {"event": np.ones(count, np.int8), "number": np.full(count, -1)}
    columns |= {"slot": np.full(count, -1, np.int32), "now_s": np.zeros(count)}
    return pa.RecordBatch.from_pydict(columns, schema)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Sixty people; 100 sets that teach, and those that judge."""
    root = tmp_path_factory.mktemp("city")
    archive, folder = root / "archive", root / "blocks"
    folder.mkdir()
    write_archive(City(Plan(users=60, places=80, days=8), ending_s=STREAM_ENDS_S), archive)
    settings = Settings(_env_file=None, archive_dir=archive, train_sets=100)
    catalogue, context = read_catalogue(archive), read_context(archive)
    slim = SlimLog.read(archive)
    known, plan = plan_of_log(slim, catalogue, context, settings)
    for drawn in blocks(draw_sets(known, catalogue, plan.moments, plan.rng)):
        Block.of(drawn, plan, slim).write(folder)
    held = Broadcast(catalogue)
    files = [pa.RecordBatch.from_pydict({"path": [str(path)]}) for path in folder.iterdir()]
    log, answers = read_interactions(archive), []
    for features, asked, told in (
        (USER, [*ask_users(iter(files))], told_of_users),
        (PLACE, [*AskPlaces(held)(iter(files))], told_of_places),
    ):
        rows = [events_as_rows(log, asked[0].schema), *asked]
        both = in_order(rows, features.entity, "time_s", "partition", "offset", "event")
        answers += [*Answer(features, told)(iter(both.to_batches(max_chunksize=333)))]
    known_too, again = plan_of_log(log, catalogue, context, settings)
    sets = choice_sets(known_too, catalogue, again.moments, again.at, again.rng)
    task = MakeSets(folder, held, plan.teach)
    return Made(joined(sets), in_order(answers, "number", "slot"), task)


def test_sets_of_answered_questions_are_the_replays(made: Made) -> None:
    """Value for value; the day is that of the first event that a set does not know."""
    (rows,) = made.task(iter(made.answers.to_batches(max_chunksize=100)))
    got = sets_of(rows)
    for name in ChoiceSets.ARRAYS:
        np.testing.assert_array_equal(getattr(got, name), getattr(made.expected, name))
    for name in vars(got.moments):
        np.testing.assert_array_equal(
            getattr(got.moments, name), getattr(made.expected.moments, name)
        )
    assert sum(rows["teaches"].to_pylist()) == 100 < len(rows)
    days = np.datetime_as_string(got.moments.time_s.astype("datetime64[s]"), unit="D")
    lags = np.array(rows["day"].to_pylist()) != days
    assert (np.array(rows["day"].to_pylist()) <= days).all()
    assert 0 < lags.mean() < 0.2


@pytest.mark.parametrize("gone", [0, 7])
def test_an_answer_that_is_missing_ends_the_run(made: Made, gone: int) -> None:
    """Of a user, or of a place: no set is made of less than was asked."""
    fewer = made.answers.filter(pa.array(np.arange(len(made.answers)) != gone))
    with pytest.raises(Unanswered, match="answers for"):
        list(made.task(iter(fewer.to_batches())))


def test_nothing_makes_nothing(made: Made) -> None:
    """A task that gets no rows."""
    assert not list(made.task(iter(made.answers.slice(0, 0).to_batches())))
