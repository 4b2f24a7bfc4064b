"""`placestream replay`: recomputes the features from the archive and compares them with Redis."""

from collections.abc import Iterator

import numpy as np
import redis
from rich.console import Console
from rich.table import Table

from contracts.ids import id64
from contracts.settings import Settings
from online_features.archive import read_interactions
from online_features.definitions import PLACE, USER
from online_features.feature_set import BadState, FeatureSet
from online_features.keys import Keys, ShardKind
from online_features.redis_client import blocking_client_of
from online_features.replay import fold_all

DIFFERENCES_SHOWN = 10
READ_AT_ONCE = 1_000


def run(settings: Settings, console: Console) -> bool:
    """Compare and print; return whether every user and every place agrees."""
    log = read_interactions(settings.archive_dir).in_arrival_order()
    users, user_states, places, place_states = fold_all(log)
    table = Table(title=f"{len(log):,} archived interactions, folded anew")
    for column in ("entity", "recomputed", "equal in Redis", "different", "missing in Redis"):
        table.add_column(column, justify="left" if column == "entity" else "right")
    different: list[str] = []
    sides: tuple[tuple[FeatureSet, ShardKind, np.ndarray, np.ndarray, np.ndarray], ...] = (
        (USER, "i", log.user_id, users, user_states),
        (PLACE, "b", log.place_id, places, place_states),
    )
    with blocking_client_of(settings) as client:
        for features, kind, ids, hashes, states in sides:
            counts = {"equal": 0, "different": 0, "missing": 0}
            for entity_id, verdict in _compare(
                client, Keys.of(settings), features, kind, np.unique(ids), hashes, states
            ):
                counts[verdict] += 1
                if verdict != "equal":
                    different.append(f"{features.entity} {entity_id}: {verdict}")
            table.add_row(features.entity, str(len(hashes)), *(str(n) for n in counts.values()))
    console.print(table)
    for line in different[:DIFFERENCES_SHOWN]:
        console.print(line)
    if len(different) > DIFFERENCES_SHOWN:
        console.print(f"... and {len(different) - DIFFERENCES_SHOWN} more")
    return not different


def _compare(
    client: redis.Redis,
    keys: Keys,
    features: FeatureSet,
    kind: ShardKind,
    ids: np.ndarray,
    hashes: np.ndarray,
    expected: np.ndarray,
) -> Iterator[tuple[str, str]]:
    """Yield each id with `equal`, `different` or `missing`."""
    for start in range(0, len(ids), READ_AT_ONCE):
        part = ids[start : start + READ_AT_ONCE].tolist()
        stored = client.mget([keys.entity(kind, entity_id) for entity_id in part])
        rows = np.searchsorted(hashes, np.array([id64(i) for i in part], np.uint64))
        for entity_id, value, state in zip(part, stored, expected[rows], strict=True):
            yield entity_id, _verdict(features, value, state)


def _verdict(features: FeatureSet, value: object, expected: np.void) -> str:
    if not isinstance(value, bytes):
        return "missing"
    try:
        states, _ = features.unpack([value])
    except BadState:
        return "different"
    return "equal" if states[0].tobytes() == expected.tobytes() else "different"
