"""Choice sets in files, as `placestream backfill --training-sets` leaves them, and their reading.

A folder for each day of what the sets know of the log (`day=YYYY-MM-DD`, UTC, of the first event
that a set does not know), in Parquet. Columns of numbers are Parquet's; one that has a shape is a
binary column that holds each row's numbers as they lie in memory (see `models.row_files`; Spark,
which writes these, has no float16 and no fixed-size binary). `_sets.json` beside the days is
written last, and says of which log, catalogue and settings the sets are.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.ids import as_int64
from contracts.signatures import CROWD, features_mark
from models.choice_sets import AT_ONCE, ChoiceSets
from models.moments import Moments
from models.set_drawing import SET
from models.set_plan import SetPlan
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.context import Situation
from online_features.definitions import FEATURE_SET, USER
from online_features.request import RANKING_COLUMNS

MANIFEST = "_sets.json"
MARK = features_mark(RANKING_COLUMNS, FEATURE_SET)
#: Of each column with a shape, the type and shape of a row.
SHAPED: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "places": (np.int32, (SET,)),
    "log_expected": (np.float32, (SET,)),
    "features": (np.float16, (SET, len(RANKING_COLUMNS))),
    "crowd": (np.uint8, (SET, len(CROWD))),
}
#: Columns of what the log says of a set's events, for `mark_of`.
_OF_EVENTS = ("user", "place", "kind", "time_s", "rating")
_OF_CATALOGUE = ("hash", "version", "closed")


class OtherSets(ValueError):
    """There are no sets in files of this log, catalogue and settings."""


def sets_folder(backfill_dir: Path) -> Path:
    """Where they lie: other features, or another order of them, make another table."""
    return backfill_dir / f"choice_sets-{MARK.rpartition('_')[2]}"


def mark_of(events: EventColumns, catalogue: Catalogue, plan: SetPlan) -> str:
    """A fingerprint of all that a training's choice sets depend on, but for the code.

    Args:
        events: all that may be learned from.
        catalogue: all places.
        plan: before any place was drawn.
    """
    mark = hashlib.sha256(f"{MARK} {plan.teach} {plan.rng.bit_generator.state}".encode())
    columns = [getattr(events, name) for name in _OF_EVENTS]
    columns += [catalogue.column(name) for name in _OF_CATALOGUE]
    columns += [
        getattr(catalogue.changes[name], field)
        for name in sorted(catalogue.changes)
        for field in ("row", "since_s", "value")
    ]
    columns += [getattr(plan.moments, f.name) for f in fields(Moments)]
    columns += [getattr(plan.at, f.name) for f in fields(Situation)]
    for column in columns:
        mark.update(np.ascontiguousarray(column).data)
    return mark.hexdigest()


def rows_of(sets: ChoiceSets, number: NDArray[np.int64], teach: int) -> pa.RecordBatch:
    """Sets as rows of the table, but for the day.

    Args:
        sets: drawn ones.
        number: int64[m], their positions among all.
        teach: the first so many of all teach.
    """
    moments = {f.name: getattr(sets.moments, f.name) for f in fields(Moments)}
    columns = {"number": pa.array(number), "teaches": pa.array(number < teach)}
    columns |= {name: pa.array(values) for name, values in moments.items()}
    columns["user"] = pa.array(as_int64(moments["user"]))
    columns |= {name: binary(getattr(sets, name)) for name in SHAPED}
    columns["user_state"] = pa.array(USER.pack(sets.users), pa.binary())
    return pa.RecordBatch.from_pydict(columns)


def sets_of(rows: pa.RecordBatch) -> ChoiceSets:
    """The sets of some rows."""
    moments = {f.name: rows[f.name].to_numpy(zero_copy_only=False) for f in fields(Moments)}
    moments["user"] = moments["user"].view(np.uint64)
    shaped: dict[str, Any] = {
        name: numbers_of(rows[name], dtype).reshape(-1, *shape)
        for name, (dtype, shape) in SHAPED.items()
    }
    users, _ = USER.unpack(rows["user_state"].to_pylist())
    return ChoiceSets(**shaped, users=users, moments=Moments(**moments))


def binary(values: NDArray[Any]) -> pa.Array:
    """The first axis as rows of a binary column, which hold their numbers as they lie in memory."""
    held = np.ascontiguousarray(values)
    width = held[:1].nbytes
    ends = pa.py_buffer(np.arange(len(held) + 1, dtype=np.int32) * np.int32(width))
    return pa.Array.from_buffers(pa.binary(), len(held), [None, ends, pa.py_buffer(held)])


def numbers_of(column: pa.Array, dtype: type[np.generic]) -> NDArray[Any]:
    """The numbers of a binary column, rows after rows, flat; not to be written to."""
    _, ends, data = column.buffers()
    span = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
    if not len(column):
        return np.empty(0, dtype)
    held = np.frombuffer(data, np.uint8)[span[0] : span[-1]]
    numbers: NDArray[Any] = held.view(dtype)
    return numbers


def write_manifest(folder: Path, mark: str, count: int, teach: int) -> None:
    """Say what the sets of a folder are of, and how to read them."""
    shapes = {name: [np.dtype(dtype).str, *shape] for name, (dtype, shape) in SHAPED.items()}
    said = {"mark": mark, "sets": count, "teach": teach, "columns": shapes}
    said |= {"features": RANKING_COLUMNS, "crowd": CROWD, "user_state": USER.version}
    (folder / MANIFEST).write_text(json.dumps(said, indent=1))


def read_sets(
    folder: Path, expected: str | None = None, report: Callable[[int], None] = lambda rows: None
) -> Iterator[ChoiceSets]:
    """All sets of a folder in their order, some at a time.

    Args:
        folder: see `sets_folder`.
        expected: their mark, see `mark_of`; `None`: whatever they are of.
        report: told the number of rows (places of sets) after each step.

    Raises:
        OtherSets: there are none, or they are of another log, catalogue or settings.
    """
    try:
        said = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise OtherSets(
            f"no choice sets in {folder}: `placestream backfill --training-sets`"
        ) from (error)
    if expected is not None and said["mark"] != expected:
        raise OtherSets(
            f"the choice sets in {folder} are of another archive or other settings than this "
            "training: run `placestream backfill --training-sets` again"
        )
    return _read(folder, said["sets"], report)


def _read(folder: Path, count: int, report: Callable[[int], None]) -> Iterator[ChoiceSets]:
    done = 0
    for file in _in_order(folder):
        for rows in file.iter_batches(AT_ONCE, use_threads=False):
            number = rows["number"].to_numpy()
            if not np.array_equal(number, np.arange(done, done + len(rows))):
                raise OtherSets(f"a file of {folder} is missing: set {done} is not where it was")
            done += len(rows)
            yield sets_of(rows)
            report(len(rows) * SET)
    if done != count:
        raise OtherSets(f"{folder} has {done} choice sets of {count}")


def _in_order(folder: Path) -> Iterator[pq.ParquetFile]:
    """Files by day, and within a day by the number of their first set."""
    for day in sorted(folder.glob("day=*")):
        files = [pq.ParquetFile(path) for path in day.glob("*.parquet")]
        yield from sorted((file for file in files if file.metadata.num_rows), key=_first)


def _first(file: pq.ParquetFile) -> int:
    group = file.metadata.row_group(0)
    at = file.schema_arrow.get_field_index("number")
    return int(group.column(at).statistics.min)
