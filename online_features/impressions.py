"""Served answers as the archive holds them: columns for joining, features only where asked for.

The features of all answers of a month are many gigabytes, and a training takes those of a few
thousand: so they are read apart, batch by batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.ids import id64
from online_features.archive import looking_again, open_stream, read_columns, time_filter
from online_features.archive_schema import IMPRESSION_SCHEMA, IMPRESSIONS

#: `degradation` of an answer behind which every stage stood.
WHOLE = "none"
_APART = {"raw", "features", "parts", "scores", "variant", "received_s"}
_BATCH_ROWS = 2_000


@dataclass(frozen=True)
class ImpressionLog:
    """n served answers in order of time, and the r places that they showed, answer by answer.

    Attributes:
        partition, offset: int32[n], int64[n], position in Kafka.
        time_s: float64[n], when it was answered, Unix seconds.
        request_id: object[n].
        user: uint64[n], hash of the user.
        lat, lng: float64[n], of the request, degrees.
        whole: bool[n], whether no part of the service had to be stood in for.
        candidates: int64[n], version of the candidate model that chose its places; -1 none.
        ranker: int64[n], version of the ranker that ordered it; -1 none.
        feature_set: object[n], version of the definitions behind the features.
        first: int64[n + 1], where the places of each answer begin among the r.
        place: uint64[r], hash of each place, in the order shown.
        position: int32[r], 0 is the top.
        propensity: float64[r], the chance with which it stood there.
    """

    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    time_s: NDArray[np.float64]
    request_id: NDArray[np.object_]
    user: NDArray[np.uint64]
    lat: NDArray[np.float64]
    lng: NDArray[np.float64]
    whole: NDArray[np.bool_]
    candidates: NDArray[np.int64]
    ranker: NDArray[np.int64]
    feature_set: NDArray[np.object_]
    first: NDArray[np.int64]
    place: NDArray[np.uint64]
    position: NDArray[np.int32]
    propensity: NDArray[np.float64]

    OF_PLACES = ("place", "position", "propensity")

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def answer(self) -> NDArray[np.int64]:
        """int64[r], which answer showed each place."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def rows_of(self, answers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of the r places some answers showed, answer by answer."""
        count = np.diff(self.first)[answers]
        ends = np.cumsum(count)
        within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count, count)
        rows: NDArray[np.int64] = np.repeat(self.first[answers], count) + within
        return rows

    def take(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """The answers at some positions, or under a mask, with their places."""
        at = np.arange(len(self))[chosen]
        rows = self.rows_of(at)
        of_answers = {
            f.name: getattr(self, f.name)[at]
            for f in fields(self)
            if f.name not in (*self.OF_PLACES, "first")
        }
        of_places = {name: getattr(self, name)[rows] for name in self.OF_PLACES}
        first = np.r_[0, np.cumsum(np.diff(self.first)[at])].astype(np.int64)
        return type(self)(**of_answers, **of_places, first=first)


def read_impressions(
    archive_dir: Path, since_s: float | None = None, until_s: float | None = None
) -> ImpressionLog:
    """Served answers in order of time (then partition and offset), each once; no features.

    Args:
        archive_dir: root of the archive.
        since_s, until_s: only answers in `[since_s, until_s)`, Unix seconds.
    """
    columns = [name for name in IMPRESSION_SCHEMA.names if name not in _APART]
    table = read_columns(archive_dir, IMPRESSIONS, columns, since_s, until_s)
    order = [(name, "ascending") for name in ("time_s", "partition", "offset")]
    table = table.sort_by(order).combine_chunks()
    count = _numpy(pc.list_value_length(table["place_ids"]))
    candidates, ranker = (_version(table["models"], name) for name in ("candidates", "ranker"))
    return ImpressionLog(
        partition=_numpy(table["partition"]),
        offset=_numpy(table["offset"]),
        time_s=_numpy(table["time_s"]),
        request_id=_numpy(table["request_id"]),
        user=_hashes(table["user_id"]),
        lat=_numpy(table["lat"]),
        lng=_numpy(table["lng"]),
        whole=_numpy(pc.equal(table["degradation"], WHOLE)),
        candidates=candidates,
        ranker=ranker,
        feature_set=_numpy(table["feature_set"]),
        first=np.r_[0, np.cumsum(count)].astype(np.int64),
        place=_hashes(pc.list_flatten(table["place_ids"])),
        position=_numpy(pc.list_flatten(table["positions"])),
        propensity=_numpy(pc.list_flatten(table["propensities"])),
    )


@looking_again
def read_seen(
    archive_dir: Path, log: ImpressionLog, widths: Mapping[str, int]
) -> dict[str, NDArray[np.float32]]:
    """What the ranker saw of the places of some answers, of the r places of a log.

    Args:
        archive_dir: root of the archive.
        log: the answers.
        widths: of the columns to read: `features`, `parts`.

    Returns:
        float32[r, width] of each column; rows of NaN where nothing of this width was logged.
    """
    found = {
        name: np.full((len(log.place), width), np.nan, np.float32) for name, width in widths.items()
    }
    data = open_stream(archive_dir, IMPRESSIONS)
    if data is None or not len(log):
        return found
    by_position = np.lexsort((log.offset, log.partition))
    keys = _key(log.partition, log.offset)[by_position]
    wanted = time_filter(float(log.time_s.min()), float(np.nextafter(log.time_s.max(), np.inf)))
    columns = ["partition", "offset", *widths]
    for batch in data.to_batches(columns=columns, filter=wanted, batch_size=_BATCH_ROWS):
        own = _key(_numpy(batch["partition"]), _numpy(batch["offset"]))
        at = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
        for i in np.flatnonzero(keys[at] == own).tolist():
            answer = by_position[at[i]]
            rows = slice(*log.first[answer : answer + 2])
            for name, width in widths.items():
                flat = _flat(batch[name][i].values, width, rows.stop - rows.start)
                if flat is not None:
                    found[name][rows] = flat
    return found


def _flat(by_place: pa.Array | None, width: int, places: int) -> NDArray[np.float32] | None:
    """What was logged of the places of an answer, float32[places, width], if that is its shape."""
    if by_place is None or len(by_place) != places:
        return None
    if set(_numpy(by_place.value_lengths()).tolist()) != {width}:
        return None
    values: NDArray[np.float32] = _numpy(by_place.flatten()).reshape(-1, width)
    return values


def _version(models: pa.ChunkedArray, name: str) -> NDArray[np.int64]:
    """The version of a model behind each answer; -1 where it had none."""
    found: NDArray[np.int64] = _numpy(
        pc.fill_null(pc.map_lookup(models, pa.scalar(name), "first"), -1)
    )
    return found


def _key(partition: NDArray[np.int32], offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for a position in Kafka: partitions have under 2^15, offsets under 2^48."""
    return (partition.astype(np.int64) << 48) | offset


def _hashes(ids: pa.ChunkedArray | pa.Array) -> NDArray[np.uint64]:
    """Hash each distinct id once."""
    coded = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    coded = coded.dictionary_encode()
    distinct = np.array([id64(name) for name in coded.dictionary.to_pylist()], np.uint64)
    hashes: NDArray[np.uint64] = distinct[_numpy(coded.indices)]
    return hashes


def _numpy(column: Any) -> Any:
    return column.to_numpy(zero_copy_only=False)
