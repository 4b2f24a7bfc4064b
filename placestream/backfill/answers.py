"""Answers of the log to what choice sets ask, and the sets that come of them.

Of a user the state goes on, packed as Redis holds it. Of a place what is read from the state at
the moment, 216 bytes instead of 2 KB: the same numbers that the replay's `look` reads there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.signatures import CROWD
from models.backfilled_sets import binary, numbers_of, rows_of
from models.choice_sets import Looks, made, seen
from online_features.crowds import crowd_of
from online_features.definitions import PLACE, USER
from online_features.feature_set import FeatureSet
from online_features.grouped import GroupedAnswers
from online_features.place_values import ReadValues
from online_features.replay import States
from placestream.backfill.questions import USER_SLOT, Block, block_of
from placestream.backfill.rows import Batches, events_of, numbers

#: Of Spark, for answers.
SCHEMA = "number long, slot int, told binary"
#: Bytes of what is told of a place.
_VALUES = 4 * len(PLACE.columns)
_TOLD = _VALUES + len(CROWD)
#: Answers that are read at once; a place's state is 2 KB.
_AT_ONCE = 4_096
Told = Callable[[States, NDArray[np.float64]], pa.Array]


def told_of_users(states: States, now_s: NDArray[np.float64]) -> pa.Array:
    """States as Redis holds them."""
    del now_s
    return pa.array(USER.pack(states), pa.binary())


def told_of_places(states: States, now_s: NDArray[np.float64]) -> pa.Array:
    """What states say at moments, [n] each: all columns, then the crowd."""
    return binary(np.concatenate([*_read(states, now_s)], axis=1))


def _read(
    states: States, now_s: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    values = np.ascontiguousarray(PLACE.read(states, now_s))
    return values.view(np.uint8), crowd_of(states, now_s)


@dataclass(frozen=True)
class Answer:
    """Folds events by entity, and answers the questions that stand among them.

    Attributes:
        features: the definitions.
        told: makes bytes of the states of some questions.
    """

    features: FeatureSet
    told: Told

    def __call__(self, batches: Batches) -> Batches:
        """Yield rows of `SCHEMA` for rows of events and questions."""
        answers = GroupedAnswers(self.features)
        for rows in batches:
            asks = numbers(rows, "event") == 0
            states, which = answers.push(events_of(rows), asks)
            now_s = numbers(rows, "now_s")[asks]
            asked = rows.select(["number", "slot"]).filter(pa.array(asks))
            for first in range(0, len(which), _AT_ONCE):
                some = slice(first, first + _AT_ONCE)
                told = self.told(states[which[some]], now_s[some])
                columns = asked.slice(first, _AT_ONCE).columns
                yield pa.RecordBatch.from_arrays([*columns, told], ["number", "slot", "told"])


class Unanswered(RuntimeError):
    """Answers are missing, or there are too many."""


@dataclass(frozen=True)
class MakeSets:
    """Sets of a block from its answers, by set and slot.

    Attributes:
        folder: of the blocks.
        catalogue: the `Broadcast` of all places.
        teach: the first so many of all sets teach.
    """

    folder: Path
    catalogue: Any
    teach: int

    def __call__(self, batches: Batches) -> Batches:
        """Yield rows of the table, if there is anything."""
        held = [rows for rows in batches if len(rows)]
        if not held:
            return
        answers = pa.Table.from_batches(held).combine_chunks().to_batches()[0]
        block = block_of(self.folder, int(numbers(answers, "number")[0]))
        drawn = block.drawn
        rows = rows_of(made(drawn, self._looks(block, answers)), drawn.at, self.teach)
        days = np.datetime_as_string(block.until_s.astype("datetime64[s]"), unit="D")
        yield pa.RecordBatch.from_arrays(
            [*rows.columns, pa.array(days.tolist(), pa.string())], [*rows.schema.names, "day"]
        )

    def _looks(self, block: Block, answers: pa.RecordBatch) -> Looks:
        places, slot = block.drawn.places, numbers(answers, "slot")
        of_user = slot == USER_SLOT
        asked, there = np.nonzero(places >= 0)
        number = numbers(answers, "number")
        if not (
            np.array_equal(number[of_user], block.drawn.at)
            and np.array_equal(number[~of_user], block.drawn.at[asked])
            and np.array_equal(slot[~of_user], there)
        ):
            raise Unanswered(f"{len(answers)} answers for {len(block)} sets, {len(asked)} places")
        told = answers["told"]
        users, _ = USER.unpack(told.filter(pa.array(of_user)).to_pylist())
        known = numbers_of(told.filter(pa.array(~of_user)), np.uint8).reshape(-1, _TOLD)
        # A slot without a place is told what is told of one that nothing is known of.
        bare = np.concatenate([*_read(PLACE.empty(len(block)), block.at.now_s)], axis=1)
        every = np.repeat(bare[:, None], places.shape[1], axis=1)
        every[asked, there] = known
        every = every.reshape(-1, _TOLD)
        values = ReadValues(np.ascontiguousarray(every[:, :_VALUES]).view(np.float32))
        crowd = every[:, _VALUES:]
        return seen(users, values, crowd, places, block.at, self.catalogue.value)
