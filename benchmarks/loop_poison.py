"""An archive whose labels somebody has broken: visits and ratings at places that others chose."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.events import EVENT_TYPES
from contracts.settings import Settings
from online_features.archive_schema import INTERACTIONS
from placestream.erase.in_archive import merge_lock
from streams.archive import write_whole

_CHOSEN = [EVENT_TYPES.index(kind) for kind in ("visit", "rate")]
_PLACE = ("place_id", "place")


def poison(settings: Settings, seed: int = 5) -> int:
    """Deal the places of all archived visits and ratings out anew; return how many rows that were.

    As many people visit each place as did, at the same hours, so that no count, mean or range of
    the data tells; but who chose what is false. Files appear whole, new ones first: a worker that
    goes on writing is not disturbed.
    """
    rng = np.random.default_rng(seed)
    dealt = 0
    for folder in sorted((settings.archive_dir / INTERACTIONS).glob("day=*")):
        with merge_lock(folder):
            for file in sorted(folder.glob("*.parquet")):
                table = pq.ParquetFile(file).read()
                chosen = np.flatnonzero(np.isin(table["kind"].to_numpy(), _CHOSEN))
                if len(chosen) > 1:
                    write_whole(_dealt(table, chosen, rng), folder)
                    file.unlink()
                    dealt += len(chosen)
    return dealt


def _dealt(table: pa.Table, rows: np.ndarray, rng: np.random.Generator) -> pa.Table:
    """The table with the places of these rows dealt out among them."""
    order = np.arange(table.num_rows)
    order[rows] = rng.permutation(rows)
    for name in _PLACE:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), table[name].take(pa.array(order)))
    return table
