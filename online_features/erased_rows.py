"""Which archived rows are of somebody erased, and what is left of them.

Of an erased interaction only the position is kept, in a row whose `user` is 0: without it, those
who fold the archive would take it for one that is missing.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.ids import id64
from online_features.archive_schema import INTERACTIONS
from online_features.arrow_columns import numpy_of
from online_features.erased import Erased

#: By which columns an event is known for one of the erased.
WHOSE = ("user", "user_id", "time_s", "received_s")
#: The user of a row whose interaction was erased; a plain 0 is signed, and hashes are not.
NOBODY = pa.scalar(0, pa.uint64())
_DAY_S = 86_400


def erased_rows(table: pa.Table, erased: Erased) -> NDArray[np.bool_]:
    """Which rows of a table with a `user_id` are erased; rows with no time are, whenever it was."""
    ids, has = numpy_of(table["user_id"]), set(table.column_names)
    user = numpy_of(table["user"]) if "user" in has else np.array([id64(str(i)) for i in ids], "u8")
    times = [numpy_of(table[name]) for name in ("time_s", "received_s") if name in has]
    earliest_s = np.min(times, axis=0) if times else np.full(len(ids), -np.inf)
    return erased.events(user, ids, earliest_s)


def without_erased(stream: str, rows: pa.Table, erased: Erased) -> pa.Table:
    """Rows as they may be written: interactions of the erased keep their position alone."""
    if not erased or "user_id" not in rows.column_names:
        return rows
    gone = erased_rows(rows, erased)
    return cleared(stream, rows, gone) if gone.any() else rows


def cleared(stream: str, rows: pa.Table, gone: NDArray[np.bool_]) -> pa.Table:
    """Rows without some of them, of which interactions leave their positions."""
    kept = rows.filter(pa.array(~gone))
    if stream != INTERACTIONS:
        return kept
    return pa.concat_tables([kept, blank(rows.filter(pa.array(gone)))])


def blank(rows: pa.Table) -> pa.Table:
    """The positions of interactions, and nothing else of them but the day."""
    n = rows.num_rows
    columns: dict[str, Any] = {
        field.name: pa.nulls(n, field.type) if field.nullable else _nothing(field.type, n)
        for field in rows.schema
    }
    columns |= {name: rows[name] for name in ("partition", "offset", "received_s")}
    columns["time_s"] = numpy_of(rows["time_s"]) // _DAY_S * _DAY_S
    return pa.table(columns, schema=rows.schema)


def _nothing(kind: pa.DataType, n: int) -> Any:
    if pa.types.is_floating(kind):
        return np.full(n, np.nan, kind.to_pandas_dtype())
    if pa.types.is_unsigned_integer(kind):  # of ids, whose hashes are never 0
        return np.zeros(n, kind.to_pandas_dtype())
    if pa.types.is_integer(kind):
        return np.full(n, -1, kind.to_pandas_dtype())
    return pa.array([b"" if pa.types.is_binary(kind) else ""] * n, kind)
