"""Reading features online beside Feast: the same 200 places, the same values, the same Redis.

placestream's reader (`online_features/reader.py`) brings packed states in one MGET and makes a
float32 matrix of them, windows aged to the moment; Feast brings the same values as features of its
own, written there before. Each reads in one process on one core; Redis has the others. They take
turns. What they read is compared: it must be the same, to the bit.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cores import Cores, pin
from benchmarks.peers.children import child
from benchmarks.peers.environments import Peer, Ready
from benchmarks.peers.turns import Task, answer, ask
from benchmarks.report import Figure, ratio
from benchmarks.stream_parts import PARTITIONS, records
from contracts.settings import Settings
from online_features.definitions import PLACE
from online_features.keys import Keys
from placestream.stack.ports import LOCALHOST
from placestream.stack.redis import RedisServer
from streams.decode import decode_interactions

#: Place features come of so many events each, and the moment is just after them.
EVENTS_OF_A_PLACE = 200
OWN, FEAST_COLUMNS, FEAST_ROWS = "placestream", "Feast by column", "Feast by array"
#: What reads: its name, its process, and the way that it is asked for.
READERS = {OWN: ("own", "own"), FEAST_COLUMNS: ("feast", "columns"), FEAST_ROWS: ("feast", "rows")}
MODULES = {"own": "benchmarks.peers.own_places", "feast": "benchmarks.peers.feast_places"}
PERCENTILES = (50, 99)
#: Reads before anything counts.
WARM_UP = 20


@dataclass(frozen=True)
class Load:
    """What all of them are given: in each round so many turns of so many reads."""

    places: int
    rounds: int
    turns: int
    reads: int


class OtherValues(RuntimeError):
    """A reader read something else than what placestream's folds say."""


def rows_of(places: int, at_s: float) -> tuple[list[str], list[bytes], NDArray[np.float32]]:
    """Ids of places, their packed states, and their features as of a moment."""
    # There are half as many places as users.
    batch: Any = records(EVENTS_OF_A_PLACE * places, 2 * places, 0)
    events = decode_interactions(batch, PARTITIONS).folded()
    hashes, rows = np.unique(events.place, return_inverse=True)
    states = PLACE.empty(len(hashes))
    PLACE.fold(states, rows, events)
    ids = [f"place-{number:05}" for number in range(len(hashes))]
    return ids, PLACE.pack(states), PLACE.read(states, at_s)


def times(
    load: Load, ready: Mapping[Peer, Ready], own: Path, root: Path, cores: Cores
) -> dict[str, list[Any]]:
    """Milliseconds of reads by reader, a list for each round.

    Args:
        load: how much.
        ready: Feast's environment, if it is there.
        own: our own Python.
        root: folder for what passes between the processes.
        cores: the core of the reader whose turn it is, and the others.

    Raises:
        ChildFailed: a reader ended early.
        OtherValues: one read something else.
    """
    core, others = cores
    root.mkdir(parents=True)
    pythons = {"own": own} | {peer.package: its.python for peer, its in ready.items()}
    readers = {name: its for name, its in READERS.items() if its[0] in pythons}
    found: dict[str, list[Any]] = {name: [] for name in readers}
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(root / "redis"))
        for process in server.children:
            pin(process.process.pid, others)
        at_s = time.time()
        ids, packed, values = rows_of(load.places, at_s)
        keys = Keys.of(Settings(_env_file=None))
        server.client().mset({keys.entity("b", i): s for i, s in zip(ids, packed, strict=True)})
        np.savez(root / "rows.npz", ids=ids, columns=PLACE.columns, values=values)
        children = {}
        for name, python in pythons.items():
            task = Task(LOCALHOST, server.port, str(root), at_s, name).as_argument()
            log = root / f"{name}.log"
            running = child(python, MODULES[name], task, core, log)
            children[name] = stack.enter_context(running)
            answer(children[name])
        for name, way in readers.values():
            ask(children[name], way, WARM_UP)
        for path in root.glob("*.npy"):
            if not np.array_equal(np.load(path), values):
                raise OtherValues(path.stem)
        for _ in range(load.rounds):
            took: dict[str, list[float]] = {name: [] for name in readers}
            for _ in range(load.turns):
                for name, (who, way) in readers.items():
                    took[name] += ask(children[who], way, load.reads)
            for name, its in took.items():
                found[name].append(its)
                print(f"{name}: median {np.median(its):.3g} ms", file=sys.stderr)
    return found


def figures(found: Mapping[str, Sequence[Sequence[float]]]) -> list[Figure]:
    """Percentiles of each reader, and how many times placestream's each peer's is."""
    every = {
        name: [
            Figure(f"{name} p{p}", "ms", tuple(float(np.percentile(its, p)) for its in rounds))
            for p in PERCENTILES
        ]
        for name, rounds in found.items()
    }
    own, *_ = every.values()
    others = [figure for its in list(every.values())[1:] for figure in zip(its, own, strict=True)]
    return [
        *(figure for its in every.values() for figure in its),
        *(ratio(f"{peer.name} / placestream", peer, ours) for peer, ours in others),
    ]


def facts() -> dict[str, object]:
    """What each reads."""
    return {
        "placestream_reads": f"a packed state a place, to a float32 matrix of {len(PLACE.columns)}",
        "feast_reads": f"{len(PLACE.columns)} Float32 a place, or one array of them, to a dict",
    }
