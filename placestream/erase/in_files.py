"""Some people in Parquet files: which rows are theirs, and a file without them in its place."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.ids import as_int64, id64
from online_features.erased_rows import cleared
from streams.archive import write_whole

READ_BYTES = 2**20
#: Columns that say whose a row is: ids, and their 64-bit hashes.
WHOSE = ("user_id", "user")


@dataclass(frozen=True)
class Rewritten:
    """One file that held rows of theirs, and the one in its place.

    Attributes:
        stream: whose folder it lies in.
        before, after: paths below the root; `after` is empty where nothing was left.
        sha256_before, sha256_after: of the whole files.
        rows_before, rows_removed: interactions that were removed leave a row with their position.
    """

    stream: str
    before: str
    sha256_before: str
    rows_before: int
    rows_removed: int
    after: str
    sha256_after: str


@dataclass
class RemovedFromFiles:
    """What was done; grows as it is, so that it is known where something breaks off.

    Attributes:
        files_looked_at: by stream.
        rewritten: those that held rows of theirs.
        leftovers_removed: half-written files of crashed writers, which no reader sees.
    """

    files_looked_at: dict[str, int] = field(default_factory=dict)
    rewritten: list[Rewritten] = field(default_factory=list)
    leftovers_removed: int = 0

    def looked_at(self, stream: str) -> None:
        """One file more."""
        self.files_looked_at[stream] = self.files_looked_at.get(stream, 0) + 1


@dataclass(frozen=True)
class People:
    """Whom to look for.

    Attributes:
        ids: canonical ids.
        hashes: uint64, of the same.
        signed: int64, of the same bits: Spark has no unsigned integers.
    """

    ids: pa.Array
    hashes: pa.Array
    signed: pa.Array

    @classmethod
    def of(cls, user_ids: Sequence[str]) -> Self:
        """People by their canonical ids."""
        hashes = np.array([id64(user_id) for user_id in user_ids], np.uint64)
        return cls(pa.array(user_ids, pa.string()), pa.array(hashes), pa.array(as_int64(hashes)))

    def rows(self, table: pa.Table) -> NDArray[np.bool_]:
        """Which rows of a table are theirs; none where it does not say whose they are."""
        theirs = np.zeros(table.num_rows, bool)
        if "user_id" in table.column_names:
            theirs |= _is_in(table["user_id"].cast(pa.string()), self.ids)
        if "user" in table.column_names:
            column = table["user"]
            if column.type == pa.uint64():
                theirs |= _is_in(column, self.hashes)
            elif column.type == pa.int64():
                theirs |= _is_in(column, self.signed)
        return theirs


def read(file: Path, wanted: Sequence[str]) -> pa.Table:
    """Those of some columns that a file has.

    Raises:
        ValueError: it cannot be understood, so nobody knows whose rows are in it.
    """
    try:
        with pq.ParquetFile(file) as opened:
            has = opened.schema_arrow.names
            return opened.read(columns=[name for name in wanted if name in has])
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{file} is no whole Parquet file ({error}): mend or remove it, and run this again"
        ) from error


def rewrite(root: Path, stream: str, file: Path, gone: NDArray[np.bool_]) -> Rewritten:
    """Put a file without some rows in the place of one; the new one appears first, and whole.

    Args:
        root: of all files.
        stream: whose file it is.
        file: below the root.
        gone: bool[rows of the file].
    """
    with pq.ParquetFile(file) as opened:
        before = opened.read()
    digest = _sha256(file)
    kept = cleared(stream, before, gone)
    after = write_whole(kept, file.parent) if kept.num_rows else None
    file.unlink()
    return Rewritten(
        stream=stream,
        before=str(file.relative_to(root)),
        sha256_before=digest,
        rows_before=before.num_rows,
        rows_removed=int(gone.sum()),
        after="" if after is None else str(after.relative_to(root)),
        sha256_after="" if after is None else _sha256(after),
    )


def _is_in(column: Any, values: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.is_in(column, value_set=values).to_numpy()
    return found


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
