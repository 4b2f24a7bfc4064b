"""What is asked of the log for choice sets: how a user, and each place of the set, stood then.

The driver draws the sets and leaves them in files, a block of sets each; tasks make questions of
a block, which stand among the events as rows of one shape: where the first event would that the
set does not know.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.choice_sets import hashes_of
from models.dataset import pick
from models.moments import Moments
from models.row_files import RowFile, RowWriter
from models.set_drawing import DRAWN_AT_ONCE, DrawnSets
from models.set_plan import SetPlan
from online_features.archive_schema import INTERACTION_SCHEMA
from online_features.catalogue import Catalogue
from online_features.context import Situation
from online_features.slim_log import SlimLog
from placestream.backfill.rows import FOLDED, Batches, schema_of

#: Sets of a block, and so of the task that looks at them; divides what is drawn at once.
BLOCK = 256
#: The slot of the question about the user; those about places have their position in the set.
USER_SLOT = -1
_LIKE_EVENTS = (*FOLDED, "partition", "offset")
#: Of Spark, for events and questions: `event` is 0 for a question, so that it is sorted before the
#: event at which it stands.
SCHEMA = f"{schema_of(_LIKE_EVENTS)}, event byte, number long, slot int, now_s double"
#: An event as such a row.
EVENT = (*_LIKE_EVENTS, "1Y event", "-1L number", "-1 slot", "double(0) now_s")
#: What an event's columns hold in a question. Spark has no unsigned integers.
_ZERO = {name: INTERACTION_SCHEMA.field(name).type.to_pandas_dtype()(0) for name in FOLDED}


@dataclass(frozen=True)
class Block:
    """m sets as they were drawn.

    Attributes:
        drawn: the sets.
        at: situation of each.
        until_s, until_partition, until_offset: [m], time and position of the first event that a
            set does not know.
    """

    drawn: DrawnSets
    at: Situation
    until_s: NDArray[np.float64]
    until_partition: NDArray[np.int32]
    until_offset: NDArray[np.int64]

    @classmethod
    def of(cls, drawn: DrawnSets, plan: SetPlan, log: SlimLog) -> Self:
        """Sets of a plan, each of a moment in a log, which is an event's, or before."""
        before = drawn.moments.before
        return cls(
            drawn,
            pick(plan.at, drawn.at),
            log.time_s[before],
            log.partition[before],
            log.offset[before],
        )

    def write(self, folder: Path) -> None:
        """Leave it in a file of a folder."""
        drawn = self.drawn
        columns = {f.name: getattr(drawn.moments, f.name) for f in fields(Moments)}
        columns |= {f"at_{f.name}": getattr(self.at, f.name) for f in fields(Situation)}
        columns |= {name: getattr(self, name) for name in _UNTIL}
        columns |= {"number": drawn.at, "places": drawn.places.astype(np.int32)}
        with RowWriter(_file(folder, int(drawn.at[0]) // BLOCK), BLOCK) as writer:
            writer.append(columns | {"log_expected": drawn.log_expected})

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `write` has left."""
        held = RowFile.open(file).read(0)
        moments = Moments(**{f.name: held[f.name] for f in fields(Moments)})
        places = held["places"].astype(np.int64)
        drawn = DrawnSets(moments, held["number"], places, held["log_expected"])
        at = Situation(**{f.name: held[f"at_{f.name}"] for f in fields(Situation)})
        return cls(drawn, at, **{name: held[name] for name in _UNTIL})

    def __len__(self) -> int:
        return len(self.drawn)


_UNTIL = ("until_s", "until_partition", "until_offset")


def blocks(drawn: Iterator[DrawnSets]) -> Iterator[DrawnSets]:
    """Sets as they are drawn, in blocks whose numbers are `BLOCK` apart."""
    if DRAWN_AT_ONCE % BLOCK:
        raise ValueError(f"blocks of {BLOCK} do not fill {DRAWN_AT_ONCE}")
    for some in drawn:
        yield from some.parts(BLOCK)


def block_of(folder: Path, number: int) -> Block:
    """The block that a set lies in."""
    return Block.read(_file(folder, number // BLOCK))


def _file(folder: Path, block: int) -> Path:
    return folder / f"block-{block:08d}.parquet"


def ask_users(batches: Batches) -> Batches:
    """Questions of the named blocks about users, one a set."""
    for block in _named(batches):
        every = np.arange(len(block))
        slots = np.full(len(block), USER_SLOT, np.int32)
        yield _questions(block, every, slots, user=block.drawn.moments.user)


@dataclass(frozen=True)
class AskPlaces:
    """Questions of the named blocks about places, one a place of a set.

    Attributes:
        catalogue: the `Broadcast` of all places.
    """

    catalogue: Any

    def __call__(self, batches: Batches) -> Batches:
        """Yield rows of `SCHEMA`."""
        catalogue: Catalogue = self.catalogue.value
        for block in _named(batches):
            of, slots = np.nonzero(block.drawn.places >= 0)
            hashes = hashes_of(catalogue, block.drawn.places[of, slots])
            yield _questions(block, of, slots.astype(np.int32), place=hashes)


def _named(batches: Batches) -> Iterator[Block]:
    for batch in batches:
        for path in batch.column("path").to_pylist():
            yield Block.read(Path(path))


def _questions(
    block: Block, of: NDArray[np.int64], slots: NDArray[np.int32], **entity: NDArray[np.uint64]
) -> pa.RecordBatch:
    """Rows of `SCHEMA`: one a set and slot; what only events have is 0."""
    columns = {name: np.full(len(of), zero) for name, zero in _ZERO.items()} | entity
    columns |= {
        "time_s": block.until_s[of],
        "partition": block.until_partition[of],
        "offset": block.until_offset[of],
        "event": np.zeros(len(of), np.int8),
        "number": block.drawn.at[of],
        "slot": slots,
        "now_s": block.at.now_s[of],
    }
    signed = {n: v.view(np.int64) if v.dtype == np.uint64 else v for n, v in columns.items()}
    return pa.RecordBatch.from_pydict({name: pa.array(v) for name, v in signed.items()})
