"""The processes of `benchmarks.training`: one writes a simulated city, one trains.

Each prints one line of JSON at the end. A training is the command line's `train`: archive, tables,
both stages, held-out requests, export, the run in MLflow.
"""

import json
import sys
from pathlib import Path

from contracts.settings import Settings
from placestream import logs


def _train(archive: Path, models: Path) -> dict[str, object]:
    from models.costs import Metered, total
    from models.progress import SILENT
    from models.train import export_pair, train_from_archive

    settings = Settings(_env_file=None, archive_dir=archive, models_dir=models, log_level="WARNING")
    logs.configure(settings, "benchmark")
    metered = Metered(SILENT)
    pair = train_from_archive(settings, metered)
    export_pair(pair, settings, metered)
    stages = {
        cost.stage: {
            "seconds": cost.seconds,
            "cpu_s": cost.cpu_s,
            "rows": cost.rows,
            "peak_rss_mb": cost.peak_rss_mb,
        }
        for cost in (*metered.costs, total(metered.costs))
    }
    return {"interactions": pair.card["data"]["events"], "stages": stages}


def main() -> None:
    """Do as the arguments say: `train ARCHIVE MODELS`, or `write ARCHIVE USERS SEED`."""
    what, archive, *rest = sys.argv[1:]
    if what == "write":
        from benchmarks.training import write_city

        print(json.dumps({"interactions": write_city(Path(archive), int(rest[0]), int(rest[1]))}))
        return
    print(json.dumps(_train(Path(archive), Path(rest[0]))))


if __name__ == "__main__":
    main()
