"""The interactions of an archive in few bytes: what drawing reads, and no feature."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from online_features.archive import read_sorted
from online_features.columns import EventColumns

_HELD = ("user", "place", "kind", "time_s", "rating", "lat", "lng", "partition", "offset")


@dataclass(frozen=True)
class SlimLog(EventColumns):
    """Interactions in the order of `read_interactions`, each once, in 57 bytes each.

    `age_group`, `dwell_s` and `event_hash` are not held: they have one value for all.

    Attributes:
        partition, offset: position in Kafka.
    """

    partition: NDArray[np.int32]
    offset: NDArray[np.int64]

    @classmethod
    def read(cls, archive_dir: Path) -> Self:
        """All interactions of an archive."""
        held = read_sorted(archive_dir, list(_HELD))
        shape = held["time_s"].shape
        return cls(
            **held,
            age_group=np.broadcast_to(np.int8(-1), shape),
            dwell_s=np.broadcast_to(np.float32(np.nan), shape),
            event_hash=np.broadcast_to(np.uint64(0), shape),
        )

    @property
    def ends(self) -> tuple[int, ...]:
        """Of each partition, the offset behind the last one held."""
        ends = np.zeros(int(self.partition.max(initial=-1)) + 1, np.int64)
        np.maximum.at(ends, self.partition, self.offset + 1)
        return tuple(ends.tolist())
