"""`python -m benchmarks.scoring`: what one answer costs the exported models, on one core.

Trains a pair on a simulated city, exports and loads it as a server would, and asks the loaded
signatures: 50,000 places for one user of the candidate model, 200 places of the ranker. Beside
them in the same run the least that their answers could cost: one product of the user's vector with
50,000 place vectors, and the layers of the plain wide & deep model (256 and 128) as bare matrix
products of 200 rows.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cores import split
from benchmarks.report import Figure, publish, ratio

PLACES, RANKED = 50_000, 200
#: Of the candidate model's vectors, and of the plain ranker's layers.
WIDTH, LAYERS = 48, (256, 128, 1)
CALLS = 20


def tiled(call: dict[str, Any], axis: int, length: int) -> dict[str, Any]:
    """The same inputs with their places repeated until there are so many.

    Args:
        call: real inputs; `place_ids` (axis 1) or `place_id` (axis 0) tells how many places.
        axis: along which places lie.
        length: places wanted.
    """
    import numpy as np

    name = "place_ids" if axis == 1 else "place_id"
    places = call[name].shape[axis]
    return {
        key: np.take(value, np.arange(length) % places, axis=axis)
        if value.ndim > axis and value.shape[axis] == places
        else value
        for key, value in call.items()
    }


def median_ms(work: Callable[[], object]) -> float:
    """Median wall time of a call, milliseconds, after one that does not count."""
    work()
    taken = []
    for _ in range(CALLS):
        began_s = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - began_s))
    return sorted(taken)[CALLS // 2]


def contenders(root: Path, users: int, places: int, days: int) -> tuple[Any, dict[str, Any]]:
    """What is timed, by name, and facts of the models; trains a pair on the way."""
    import numpy as np
    import tensorflow as tf

    from contracts.settings import Settings
    from models.scoring import CANDIDATES, CARD, RANKER, load_scorer
    from models.train import export_pair, train_pair
    from online_features.archive import read_catalogue, read_context
    from online_features.training_log import TrainingLog
    from placestream.simulation.city import City
    from placestream.simulation.plan import Plan
    from placestream.simulation.to_archive import write_archive

    settings = Settings(_env_file=None, archive_dir=root / "archive", models_dir=root / "models")
    city = City(Plan(users=users, places=places, days=days), ending_s=time.time())
    write_archive(city, settings.archive_dir)
    archive = settings.archive_dir
    pair = train_pair(
        TrainingLog.read(archive), read_catalogue(archive), read_context(archive), settings
    )
    version = export_pair(pair, settings)
    scorer = load_scorer(settings.models_dir, version)
    asked = tiled(dict(pair.candidate_calls[0]), 1, PLACES)
    ranked = tiled(dict(pair.ranker_calls[0]), 0, RANKED)
    many = {name: tf.constant(value) for name, value in asked.items()}
    few = {name: tf.constant(value) for name, value in ranked.items()}
    rng = np.random.default_rng(0)
    table, user = rng.random((PLACES, WIDTH), np.float32), rng.random(WIDTH, np.float32)
    sizes = (ranked["features"].shape[1], *LAYERS)
    weights = [rng.random(shape, np.float32) for shape in itertools.pairwise(sizes)]

    def layers() -> Any:
        x = ranked["features"]
        for weight in weights:
            x = np.maximum(x @ weight, 0)
        return x

    work = {
        "candidates of 50,000 places": lambda: scorer.candidate_fn(**many)["scores"].numpy(),
        "one product with 50,000 vectors": lambda: table @ user,
        "ranking 200 places": lambda: scorer.ranker_fn(**few)["score"].numpy(),
        "bare layers, 200 rows": layers,
    }
    facts: dict[str, Any] = {"training_s": round(pair.training_s, 1)}
    for name in (CANDIDATES, RANKER):
        card = json.loads((settings.models_dir / name / str(version) / CARD).read_text())
        facts |= {f"{name}_size_mb": card["size_mb"], f"{name}_load_s": card["load_s"]}
    return work, facts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--places", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=21)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    core, _ = split()
    os.sched_setaffinity(0, core)  # before TensorFlow and BLAS count the cores
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        work, facts = contenders(Path(folder), options.users, options.places, options.days)
        taken: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(options.rounds):
            for name, call in work.items():
                taken[name].append(median_ms(call))
    figures = {name: Figure(name, "ms", tuple(values)) for name, values in taken.items()}
    candidates, product, ranking, bare = figures.values()
    publish(
        "Exported models on one core",
        [
            *figures.values(),
            ratio("candidates / one product", candidates, product),
            ratio("ranking / bare layers", ranking, bare),
        ],
        {"users": options.users, "places": options.places, "days": options.days, **facts},
    )


if __name__ == "__main__":
    main()
