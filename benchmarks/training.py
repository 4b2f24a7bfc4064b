"""`python -m benchmarks.training --checkins FILE`: what a training costs, stage by stage.

Both stages with the default settings on a file of real check-ins, from the archive to exported
models, beside the seconds that New York's check-ins may take; then the curve of time and memory
against the number of interactions, on simulated cities that differ in their people alone (30 days,
5,000 places). Each training runs in a process of its own, so that its memory is its own.

`--large` adds ten million interactions to the curve; `--rows` names any other sizes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Figure, publish
from benchmarks.training_figures import REFERENCE_S, Training, curve, of_city, slopes
from placestream.simulation.checkins import load_checkins
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.simulation.to_archive import write_archive

#: Of the simulated cities. A person leaves 4.35 events a day.
PLACES, DAYS, EVENTS_OF_ONE = 5_000, 30.0, 130.5
SMALL, LARGE = (100_000, 1_000_000), (100_000, 1_000_000, 10_000_000)
#: A city's history ends here whenever the benchmark runs.
ENDING_S = 1_750_000_000.0


def train(archive: Path, models: Path) -> Training:
    """Train from an archive with the default settings, in a child process.

    Raises:
        subprocess.CalledProcessError: it failed; what it said stands on stderr.
    """
    told = _child("train", archive, models)
    return Training.of(json.loads(told))


def _child(what: str, *given: object) -> str:
    command = [sys.executable, "-m", "benchmarks.training_child", what, *map(str, given)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=quiet)
    return done.stdout.splitlines()[-1]


def _city(rows: int, seed: int) -> Training:
    """A training on a simulated city of about so many interactions."""
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        archive = Path(folder) / "archive"
        # Its memory is given back before the training begins.
        _child("write", archive, max(round(rows / EVENTS_OF_ONE), 50), seed)
        return train(archive, Path(folder) / "models")


def _checkins(file: Path, rounds: int) -> list[Training]:
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        archive = Path(folder) / "archive"
        write_archive(load_checkins(file), archive)
        return [train(archive, Path(folder) / f"models-{n}") for n in range(rounds)]


def write_city(archive: Path, users: int, seed: int) -> int:
    """Write a simulated city as the stream would, and return its interactions."""
    plan = Plan(users=users, places=PLACES, days=DAYS)
    return write_archive(City(plan, ending_s=ENDING_S, seed=seed), archive)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkins", type=Path, help="a file of check-ins; without, the curve alone"
    )
    parser.add_argument("--rounds", type=int, default=1, help="trainings on the check-ins")
    parser.add_argument("--large", action="store_true", help="ten million interactions, too")
    parser.add_argument("--rows", type=int, nargs="*", help="sizes of the simulated cities")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    return parser.parse_args()


def main() -> None:
    """Train, measure and print."""
    given = _parsed()
    sizes: Sequence[int] = (
        given.rows if given.rows is not None else (LARGE if given.large else SMALL)
    )
    figures: list[Figure] = []
    facts: dict[str, object] = {"cores": len(os.sched_getaffinity(0))}
    if given.checkins is not None:
        trainings = _checkins(given.checkins, given.rounds)
        figures += of_city(trainings)
        facts |= {"file": given.checkins.name, "reference_s": REFERENCE_S, **trainings[0].facts}
    cities = [_city(rows, given.seed) for rows in sizes]
    figures += curve(cities)
    if len(cities) > 1:
        facts |= slopes(cities)
    publish("Training, from the archive to exported models", figures, facts)


if __name__ == "__main__":
    main()
