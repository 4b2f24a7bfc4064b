"""The choice sets that the default models learn from, over the whole archive.

Chance has one sequence of random numbers over the whole log, so the driver draws, by the code of
the training (`models.set_plan`, `models.set_drawing`), in 57 bytes an event and what drawing takes
beside. What is expensive, how users and places stood at each moment, Spark answers: questions
stand among the events of their entity, in the order of the log, and are answered by the same
folds. A block of sets is then seen by the same function as in the replay.
"""

import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.settings import Settings
from models.backfilled_sets import SHAPED, mark_of, sets_folder, write_manifest
from models.moments import Moments
from models.set_drawing import draw_sets
from models.set_plan import plan_of_log
from online_features.archive import read_catalogue, read_context
from online_features.catalogue import Catalogue
from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.slim_log import SlimLog
from placestream.backfill import answers, questions
from placestream.backfill.answers import Answer, MakeSets, Told, told_of_places, told_of_users
from placestream.backfill.engine import tasks
from placestream.backfill.questions import BLOCK, AskPlaces, Block, ask_users, blocks
from placestream.backfill.steps import BY_TIME, Log, Task, mapped, named, read_log

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: What a question weighs in a shuffle, bytes; for how finely work is cut.
_QUESTION_BYTES = 64
_TYPES = {"before": "long", "user": "long", "place": "long"}
#: Of Spark, for the table.
SCHEMA = ", ".join(
    [
        "number long, teaches boolean",
        *(f"`{f.name}` {_TYPES.get(f.name, 'double')}" for f in fields(Moments)),
        *(f"`{name}` binary" for name in SHAPED),
        "user_state binary, day string",
    ]
)


@dataclass(frozen=True)
class Drawn:
    """What the driver has left for Spark.

    Attributes:
        files: of the blocks.
        users: int64[u], whoever is asked about, as Spark has hashes.
        sets, places: how many.
        ends: of each partition, the offset before which events are read.
        mark: of the sets, see `mark_of`.
        teach: the first so many sets teach.
    """

    files: tuple[Path, ...]
    users: NDArray[np.int64]
    sets: int
    places: int
    ends: tuple[int, ...]
    mark: str
    teach: int


def write_sets(spark: "SparkSession", settings: Settings) -> int:
    """Write the choice sets of a training with these settings; return how many there are.

    The table is replaced as a whole, and only when all of it is there.

    Raises:
        TooFewEvents: the archive holds too little to train on.
    """
    folder = sets_folder(settings.backfill_dir)
    work = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(work, ignore_errors=True)
    blocks_dir, made = work / "blocks", work / "sets"
    blocks_dir.mkdir(parents=True)
    catalogue = read_catalogue(settings.archive_dir)
    drawn = _draw(settings, catalogue, blocks_dir)
    log = read_log(spark, settings.archive_dir, BY_TIME, drawn.ends)
    try:
        _make(spark, log, drawn, catalogue, made)
    finally:
        log.rows.unpersist()
    write_manifest(made, drawn.mark, drawn.sets, drawn.teach)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)
    shutil.rmtree(work)
    return drawn.sets


def _draw(settings: Settings, catalogue: Catalogue, blocks_dir: Path) -> Drawn:
    """Choose the moments, draw the places, and leave them in files."""
    log = SlimLog.read(settings.archive_dir)
    context = read_context(settings.archive_dir)
    known, plan = plan_of_log(log, catalogue, context, settings)
    mark = mark_of(known, catalogue, plan)
    places = 0
    for sets in blocks(draw_sets(known, catalogue, plan.moments, plan.rng)):
        Block.of(sets, plan, log).write(blocks_dir)
        places += int((sets.places >= 0).sum())
    files = tuple(sorted(blocks_dir.iterdir()))
    users = as_int64(np.unique(plan.moments.user))
    return Drawn(files, users, len(plan.moments), places, log.ends, mark, plan.teach)


def _make(spark: "SparkSession", log: Log, drawn: Drawn, catalogue: Catalogue, made: Path) -> None:
    """Ask, answer and see, and write the sets by day."""
    from pyspark.sql.functions import broadcast, expr

    held: Any = spark.sparkContext.broadcast(catalogue)
    number = max(log.tasks, tasks(spark, _QUESTION_BYTES * drawn.places))
    files = named(spark, drawn.files, number)
    # Most people are in no set, and need not be folded; most places are in some.
    asked = broadcast(spark.createDataFrame(pa.table({"user": drawn.users})))
    theirs = log.rows.join(asked, "user", "left_semi")
    of_users = _answered(theirs, files, USER, ask_users, told_of_users, number)
    of_places = _answered(log.rows, files, PLACE, AskPlaces(held), told_of_places, number)
    by_block = (
        of_users.union(of_places)
        .repartitionById(len(drawn.files), expr(f"int(number div {BLOCK})"))
        .sortWithinPartitions("number", "slot")
    )
    task = MakeSets(drawn.files[0].parent, held, drawn.teach)
    by_day = mapped(by_block, task, SCHEMA).sortWithinPartitions("day", "number")
    written = by_day.write.option("compression", "zstd").partitionBy("day")
    written.mode("overwrite").parquet(str(made))
    held.destroy()


def _answered(
    events: "DataFrame",
    files: "DataFrame",
    features: FeatureSet,
    ask: Task,
    told: Told,
    number: int,
) -> "DataFrame":
    """Answers to the questions about users, or places."""
    asked = mapped(files, ask, questions.SCHEMA)
    order = (features.entity, *BY_TIME, "event")
    both = events.selectExpr(*questions.EVENT).union(asked)
    ordered = both.repartition(number, features.entity).sortWithinPartitions(*order)
    return mapped(ordered, Answer(features, told), answers.SCHEMA)
