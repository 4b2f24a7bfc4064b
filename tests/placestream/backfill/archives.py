"""Archives of random histories: late, out of order, sent twice, and archived twice."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from contracts.ids import id64, partition_of
from contracts.settings import Settings
from online_features.archive_schema import INTERACTION_SCHEMA, INTERACTIONS
from online_features.arrow_columns import numpy_of
from online_features.columns import occurrence
from placestream.simulation import City, Plan
from placestream.simulation.to_archive import write_archive
from streams.archive import by_day, write_whole
from tests.online_features.histories import random_history
from tests.online_features.oracle import Event
from tests.streams.stream import good_interactions, send
from tests.streams.test_exactness import messy_stream

PARTITIONS = 4
#: When the last event of `stream_and_archive` happened, or a little before.
STREAM_ENDS_S = 1_750_000_000.0


def write_history(archive_dir: Path, seed: int, size: int, users: int) -> None:
    """Write a random history into several files a day, of which some share rows."""
    rng = np.random.default_rng(seed)
    events = random_history(rng, size, users, 9 * 86_400)
    table = _table(events)
    for part in np.array_split(rng.permutation(size), 3):
        again = rng.integers(size, size=size // 20)
        for rows, folder in by_day(
            table.take(pa.array([*part, *again])), archive_dir / INTERACTIONS
        ):
            write_whole(rows, folder)


def _table(events: Sequence[Event]) -> pa.Table:
    users, places = [f"user {e.user}" for e in events], [f"{e.place}" for e in events]
    partition = np.array([partition_of(user, PARTITIONS) for user in users], np.int32)
    offset = np.array([(partition[:i] == partition[i]).sum() for i in range(len(events))])
    columns = {
        "partition": partition,
        "offset": offset,
        "received_s": [e.time_s for e in events],
        "time_s": [e.time_s for e in events],
        "user_id": users,
        "place_id": places,
        "user": [id64(user) for user in users],
        "place": [id64(place) for place in places],
        "kind": [e.kind for e in events],
        "rating": [np.nan if e.rating is None else e.rating for e in events],
        "age_group": [e.age_group for e in events],
        "event_hash": [e.identity for e in events],
        "lat": [np.nan if e.spot is None else e.spot[0] for e in events],
        "lng": [np.nan if e.spot is None else e.spot[1] for e in events],
        "dwell_s": [np.nan if e.dwell_s is None else e.dwell_s for e in events],
        "request_id": [None] * len(events),
        "raw": [b"{}"] * len(events),
    }
    return pa.table(columns, schema=INTERACTION_SCHEMA)


def write_messy_city(archive_dir: Path, seed: int, hot: float = 0.0) -> None:
    """Two weeks of a city with its weather, whose events came late, were repeated, or lie twice.

    Args:
        archive_dir: where to.
        seed: of the city and of the mess.
        hot: so much of all happens at one place.
    """
    rng = np.random.default_rng(seed)
    plan = Plan(users=80, places=150, days=14)
    write_archive(City(plan, ending_s=STREAM_ENDS_S, seed=seed), archive_dir)
    folder = archive_dir / INTERACTIONS
    table = ds.dataset(folder).to_table(columns=INTERACTION_SCHEMA.names)
    shutil.rmtree(folder)
    columns = {name: numpy_of(table[name]) for name in table.column_names}
    there = rng.random(len(table)) < hot
    for name in ("place", "place_id"):
        columns[name] = np.where(there, columns[name][0], columns[name])
    # A twelfth is sent again, each in any order, so that most arrive late.
    sent = rng.permutation(np.r_[: len(table), rng.integers(len(table), size=len(table) // 12)])
    columns = {name: values[sent] for name, values in columns.items()}
    partition = np.array([partition_of(user, PARTITIONS) for user in columns["user_id"]], np.int32)
    columns |= {"partition": partition, "offset": occurrence(partition)}
    messy = pa.table(columns, schema=INTERACTION_SCHEMA)
    for part in np.array_split(np.arange(len(sent)), 3):
        twice = rng.integers(len(sent), size=len(sent) // 20)
        for rows, day in by_day(messy.take(pa.array([*part, *twice])), folder):
            write_whole(rows, day)


def stream_and_archive(settings: Settings, seed: int, messages: int) -> None:
    """Send a messy stream to Kafka, bad events left out, and archive all that the topic holds.

    In two files that share rows, and in a folder of any day.
    """
    made = [m for m in messy_stream(seed, STREAM_ENDS_S) if not (m[1] or b"").endswith(b", ")]
    send(settings, settings.topics.interactions.name, made[:messages])
    good = good_interactions(settings)
    folder = settings.archive_dir / INTERACTIONS / "day=2025-06-01"
    folder.mkdir(parents=True, exist_ok=True)
    for part in (slice(0, 500), slice(400, None)):
        rows = {name: column[part] for name, column in good.columns().items()}
        write_whole(pa.table(rows, schema=INTERACTION_SCHEMA), folder)
