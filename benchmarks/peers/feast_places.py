"""Feast reads the same rows from its Redis online store; runs in its own environment.

As its guide to performance has it: one feature view, read through a feature service, the registry
cached for good. Two ways to keep a row: a feature for each column, or one feature that is the
whole row as an array. The answer is taken as Feast gives it (`to_dict`), not made a matrix.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStoreConfig
from feast.repo_config import RegistryConfig
from feast.types import Array, Float32, String
from feast.value_type import ValueType

from benchmarks.peers.turns import Task, take_turns, timed_ms

#: Ways to keep a row.
COLUMNS, ROWS = "columns", "rows"


def store_of(task: Task) -> Any:
    """A feature store of its own, its registry in a file."""
    registry = RegistryConfig(path=f"{task.folder}/registry.db", cache_ttl_seconds=0)
    connection = f"{task.redis_host}:{task.redis_port}"
    return FeatureStore(
        config=RepoConfig(
            project="peers",
            provider="local",
            registry=registry,
            online_store=RedisOnlineStoreConfig(connection_string=connection),
            entity_key_serialization_version=3,
        )
    )


def filled(store: Any, task: Task, ids: list[str], columns: list[str], values: Any) -> None:
    """Define both ways, and write the rows in each."""
    place = Entity(name="place", join_keys=["place_id"], value_type=ValueType.STRING)
    source = FileSource(path=f"{task.folder}/never-read.parquet", timestamp_field="at")
    at = datetime.now(UTC)
    frames = {
        COLUMNS: pd.DataFrame(values, columns=columns),
        ROWS: pd.DataFrame({"row": list(values)}),
    }
    schemas = {
        COLUMNS: [Field(name=column, dtype=Float32) for column in columns],
        ROWS: [Field(name="row", dtype=Array(Float32))],
    }
    for way, frame in frames.items():
        view = FeatureView(
            name=f"place_{way}",
            entities=[place],
            ttl=timedelta(0),  # never too old
            schema=[Field(name="place_id", dtype=String), *schemas[way]],
            source=source,
        )
        store.apply([place, view, FeatureService(name=way, features=[view])])
        store.write_to_online_store(view.name, frame.assign(place_id=ids, at=at))


def main() -> None:
    """Fill the store, leave what is read of each way, take turns."""
    task = Task.given()
    with np.load(Path(task.folder) / "rows.npz") as rows:
        ids = [str(place) for place in rows["ids"]]
        columns, values = [str(column) for column in rows["columns"]], rows["values"]
    store = store_of(task)
    filled(store, task, ids, columns, values)
    services = {way: store.get_feature_service(way) for way in (COLUMNS, ROWS)}

    def read(way: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = store.get_online_features(
            features=services[way], entity_rows={"place_id": ids}
        ).to_dict()
        return found

    by_column, by_row = read(COLUMNS), read(ROWS)
    by_columns = np.array([by_column[column] for column in columns], np.float32).T
    np.save(Path(task.folder) / f"{task.name}-{COLUMNS}.npy", by_columns)
    np.save(Path(task.folder) / f"{task.name}-{ROWS}.npy", np.array(by_row["row"], np.float32))
    take_turns(lambda way, times: timed_ms(lambda: read(way), times))


if __name__ == "__main__":
    main()
