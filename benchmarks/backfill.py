"""`python -m benchmarks.backfill`: all features over an archive, by Spark, beside the replay.

With `--sets` the choice sets of a training instead of the tables, in sets a second and core.

The tables of `placestream backfill` (users by the day, places by the hour) of simulated cities that
differ in their people alone (30 days, 5,000 places), and the same values asked of the replay in one
process. Events a second and core: Spark's by its wall clock and the cores that it may use, without
its start; the replay's by its wall clock. Memory is the most that all processes of a run held
together, pages that they share counted once. `--large` adds ten million events.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.report import Figure, publish, ratio
from benchmarks.training import EVENTS_OF_ONE

SMALL, LARGE = (100_000, 1_000_000), (100_000, 1_000_000, 10_000_000)
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True)
class Run:
    """One run over one archive.

    Attributes:
        seconds: from the first event read to the end.
        ready_s: before that.
        rows: of both tables, or sets.
        peak_mb: most memory of all its processes together.
    """

    seconds: float
    ready_s: float
    rows: int
    peak_mb: float


class Peak:
    """Watches a process and its children."""

    def __init__(self, pid: int) -> None:
        self._process, self._done, self.mb = psutil.Process(pid), threading.Event(), 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_EVERY_S):
            self.mb = max(self.mb, self._now_mb())

    def _now_mb(self) -> float:
        total = 0
        try:
            family = [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return 0.0
        for process in family:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:  # it has just ended
                continue
        return total / 1e6


def child(module: str, *given: object) -> Run:
    """Run a child to its end.

    Raises:
        subprocess.CalledProcessError: it failed; what it said stands on stderr.
    """
    command = [sys.executable, "-m", module, *map(str, given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = Peak(process.pid)
        said, _ = process.communicate()
        peak.close()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    told = json.loads(said.splitlines()[-1])
    return Run(told["seconds"], told["ready_s"], int(told["rows"]), peak.mb)


def measured(
    events: int, rounds: int, seed: int, cores: int, of: str = ""
) -> tuple[int, list[Run], list[Run]]:
    """Interactions of a city, and the runs over it by Spark and by the replay, in turn.

    `of` is "" for the tables, "-sets" for the sets.
    """
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        archive, people = Path(folder) / "archive", max(round(events / EVENTS_OF_ONE), 50)
        writes = [sys.executable, "-m", "benchmarks.training_child", "write"]
        said = subprocess.run(
            [*writes, str(archive), str(people), str(seed)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        written = int(json.loads(said.stdout.splitlines()[-1])["interactions"])
        spark, replay = [], []
        for number in range(rounds):
            tables = Path(folder) / f"tables-{number}"
            spark.append(child("benchmarks.backfill_child", f"spark{of}", archive, tables, cores))
            replay.append(child("benchmarks.backfill_child", f"replay{of}", archive))
            assert spark[-1].rows == replay[-1].rows
    return written, spark, replay


def figures(
    events: int, spark: Sequence[Run], replay: Sequence[Run], cores: int, *, sets: bool = False
) -> list[Figure]:
    """Of one size; rates in events, or in sets."""
    name, unit = f"{events} events", f"{'sets' if sets else 'events'}/s/core"
    done = spark[0].rows if sets else events
    by_spark = Figure(f"{name} backfill", unit, tuple(done / r.seconds / cores for r in spark))
    by_replay = Figure(f"{name} replay", unit, tuple(done / r.seconds for r in replay))
    return [
        by_spark,
        by_replay,
        ratio(f"{name} backfill / replay", by_spark, by_replay),
        Figure(f"{name} backfill", "s", tuple(r.seconds for r in spark)),
        Figure(f"{name} backfill starts in", "s", tuple(r.ready_s for r in spark)),
        Figure(f"{name} backfill", "peak MB", tuple(r.peak_mb for r in spark)),
        Figure(f"{name} replay", "peak MB", tuple(r.peak_mb for r in replay)),
    ]


def slope(sizes: Sequence[int], runs: Sequence[Sequence[Run]]) -> float:
    """Bytes of memory for each further event, from the least size to the greatest."""
    peaks = [max(run.peak_mb for run in its) for its in runs]
    return round(1e6 * (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0]), 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="ten million events, too")
    parser.add_argument("--events", type=int, nargs="*", help="sizes of the cities")
    parser.add_argument("--sets", action="store_true", help="training sets instead of tables")
    parser.add_argument("--rounds", type=int, default=3, help="at the least size; others once")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    given = parser.parse_args()
    sizes: Sequence[int] = given.events or (LARGE if given.large else SMALL)
    cores = len(os.sched_getaffinity(0))
    found: list[Figure] = []
    facts: dict[str, object] = {"cores": cores}
    written: list[int] = []
    by_spark: list[list[Run]] = []
    by_replay: list[list[Run]] = []
    for number, size in enumerate(sizes):
        rounds = given.rounds if number == 0 else 1
        events, spark, replay = measured(
            size, rounds, given.seed, cores, "-sets" if given.sets else ""
        )
        found += figures(events, spark, replay, cores, sets=given.sets)
        facts[f"rows_of_{events}_events"] = spark[0].rows
        written.append(events)
        by_spark.append(spark)
        by_replay.append(replay)
    if len(sizes) > 1:
        facts["backfill_slope_bytes_per_event"] = slope(written, by_spark)
        facts["replay_slope_bytes_per_event"] = slope(written, by_replay)
    publish("Backfill by Spark, and the replay in one process", found, facts)


if __name__ == "__main__":
    main()
