"""The interactions of an archive as a training reads them: numbers alone, which files can hold.

Ids are strings of any length, and each is a Python object; of a hundred million events they alone
would fill a machine. A training knows users and places by their hashes, and looks up answers by
theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from online_features.archive import MakeArray, read_sorted, rows_written
from online_features.columns import EventColumns

_HELD = {
    "user": 8,
    "place": 8,
    "kind": 1,
    "time_s": 8,
    "rating": 4,
    "age_group": 1,
    "event_hash": 8,
    "lat": 8,
    "lng": 8,
    "dwell_s": 4,
    "request_id": 8,
}
#: Of an interaction, in memory or in a file.
BYTES_EACH = sum(_HELD.values())


def _in_memory(size_bytes: int) -> MakeArray:
    del size_bytes
    return np.empty


@dataclass(frozen=True)
class TrainingLog(EventColumns):
    """Interactions in order of event time (then partition and offset), each once.

    Attributes:
        request: uint64 hash of the answer that an interaction names (`request_id`); 0 none.
    """

    request: NDArray[np.uint64]

    @classmethod
    def of_columns(cls, columns: EventColumns) -> Self:
        """Interactions that name no answer."""
        return cls(**vars(columns), request=np.zeros(len(columns), np.uint64))

    @classmethod
    def read(cls, archive_dir: Path, arrays: Callable[[int], MakeArray] = _in_memory) -> Self:
        """All interactions of an archive.

        Args:
            archive_dir: root of the archive.
            arrays: told how many bytes the log will take, what makes its columns.
        """
        array = arrays(BYTES_EACH * rows_written(archive_dir))
        held: dict[str, NDArray[Any]] = read_sorted(
            archive_dir, list(_HELD), hashed=("request_id",), array=array
        )
        return cls(request=held.pop("request_id"), **held)
