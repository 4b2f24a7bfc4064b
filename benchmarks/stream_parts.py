"""`python -m benchmarks.stream_parts`: CPU of an event by part, and bytes of a state by history.

Times each part of a micro-batch's way on its own, in process: decode, unpack, fold, pack, re-key,
the place's decode and fold. The reference in the same run is msgspec reading the same bytes into
an untyped dict. Kafka's and Redis's own time is not in it: see `benchmarks.stream`.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from benchmarks.bare_loop import Record
from benchmarks.events import events_of
from benchmarks.report import Figure, publish, ratio
from contracts.ids import partition_of
from online_features.definitions import PLACE, USER
from online_features.duplicates import mark_new
from online_features.feature_set import FeatureSet
from streams.decode import Interactions, decode_interactions
from streams.rekeyed import Rekeyed

PARTITIONS = 8
HISTORIES = (1, 10, 100, 1_000)


def records(events: int, entities: int, seed: int) -> list[Record]:
    """Messages as Kafka would hand them over."""
    now_ms = int(time.time() * 1_000)
    return [
        Record("t", partition_of(key, PARTITIONS), i, now_ms, key.encode(), value)
        for i, (key, value) in enumerate(events_of(events, entities, seed))
    ]


def parts(batch: list[Any]) -> dict[str, Callable[[], object]]:
    """Each part of the way of one batch, ready to be called again and again."""
    decoded = decode_interactions(batch, PARTITIONS)
    events = decoded.folded()
    users, rows = np.unique(events.user, return_inverse=True)
    packed = USER.pack(_folded(decoded, rows, len(users)))
    everything = np.arange(len(decoded))

    def rekey() -> list[bytes]:
        counted = Rekeyed.of(decoded, events, everything)
        return [part.encode() for _, part in counted.by_partition(PARTITIONS)]

    sent = rekey()
    places, place_rows = np.unique(events.place, return_inverse=True)
    place_states = PLACE.empty(len(places))
    PLACE.fold(place_states, place_rows, events)
    packed_places = PLACE.pack(place_states)
    states, _ = USER.unpack(packed)
    return {
        "json alone": lambda: [msgspec.json.decode(r.value) for r in batch],
        "decode": lambda: decode_interactions(batch, PARTITIONS),
        "unpack users": lambda: USER.unpack(packed),
        "duplicates": lambda: mark_new(USER.empty(len(users))["seen"], rows, events.event_hash),
        "fold users": lambda: USER.fold(states, rows, events),
        "pack users": lambda: USER.pack(states),
        "rekey": rekey,
        "decode rekeyed": lambda: Rekeyed.joined([Rekeyed.decode(v) for v in sent]).columns(),
        "unpack places": lambda: PLACE.unpack(packed_places),
        "fold places": lambda: PLACE.fold(place_states, place_rows, events),
        "pack places": lambda: PLACE.pack(place_states),
    }


def _folded(batch: Interactions, rows: Any, users: int) -> Any:
    states = USER.empty(users)
    USER.fold(states, rows, batch.folded())
    return states


def states_after(length: int, seed: int) -> Iterator[tuple[str, FeatureSet, Any]]:
    """Yield states of users with so many events each, and of their places, with their names."""
    entities = max(10, 2_000 // length)
    batch: list[Any] = records(length * entities, entities, seed)
    events = decode_interactions(batch, PARTITIONS).folded()
    for features, column in ((USER, events.user), (PLACE, events.place)):
        hashes, rows = np.unique(column, return_inverse=True)
        states = features.empty(len(hashes))
        if features is USER:
            mark_new(states["seen"], rows, events.event_hash)
        features.fold(states, rows, events)
        yield f"{features.entity}_with_{round(len(events) / len(hashes))}_events", features, states


def packed_bytes(features: FeatureSet, states: Any) -> float:
    """Mean bytes of a state as Redis holds it."""
    return round(float(np.mean([len(v) for v in features.pack(states)])), 1)


def bytes_by_history(seed: int) -> dict[str, float]:
    """Mean packed bytes of a user, and of a place, after so many events each."""
    found = (states_after(length, seed) for length in HISTORIES)
    return {f"{n}_bytes": packed_bytes(f, s) for states in found for n, f, s in states}


def bytes_by_feature(seed: int) -> dict[str, float]:
    """What each feature adds to a packed state of a user with 100 events, and of their places."""
    sizes: dict[str, float] = {}
    for name, features, states in states_after(100, seed):
        whole = packed_bytes(features, states)
        for feature in states.dtype.names:
            without = states.copy()
            without[feature] = np.zeros(1, states.dtype[feature])
            sizes[f"{name}_{feature}_bytes"] = round(whole - packed_bytes(features, without), 1)
    return sizes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4_000, help="events of the batch")
    parser.add_argument("--entities", type=int, default=10_000, help="users")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    work = parts(records(options.events, options.entities, 0))
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(options.rounds):
        for name, part in work.items():
            began_s = time.process_time()
            part()
            taken[name].append(1e6 * (time.process_time() - began_s) / options.events)
    figures = {n: Figure(n, "us/event", tuple(values)) for n, values in taken.items()}
    whole = [sum(v) for v in zip(*(taken[n] for n in work if n != "json alone"), strict=True)]
    total = Figure("all parts", "us/event", tuple(whole))
    publish(
        "CPU of one event, by part",
        [*figures.values(), total, ratio("all parts / json alone", total, figures["json alone"])],
        {
            "events": options.events,
            "users": options.entities,
            **bytes_by_history(1),
            **bytes_by_feature(1),
        },
    )


if __name__ == "__main__":
    main()
