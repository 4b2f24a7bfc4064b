"""`python -m benchmarks.quality --checkins FILE`: how good the answers are, beside the baselines.

One run of the protocol of docs/evaluation.md on a file of real check-ins, and one of the regret on
a simulated city, where the truth is known. Writes the table and the plot that the README shows.
Bounds are 95 % intervals, users drawn with replacement; not rounds, as in the other benchmarks.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from benchmarks.quality_figures import figures, markdown, of_city
from benchmarks.quality_plot import draw
from benchmarks.report import publish
from contracts.settings import Settings
from models.progress import reporter_for
from placestream import logs
from placestream.evaluation import next_place, tables
from placestream.evaluation.city import ENDING_S
from placestream.evaluation.material import Material
from placestream.evaluation.next_place import Options, Outcome
from placestream.evaluation.simulated import Regret, measure
from placestream.simulation.checkins import load_checkins
from placestream.simulation.city import City
from placestream.simulation.plan import Plan

ROOT = Path(__file__).parents[1]


def _city_regret(given: argparse.Namespace, settings: Settings) -> dict[str, Regret]:
    plan = Plan(users=given.city_users, places=given.city_places, days=given.city_days)
    city = City(plan, ending_s=ENDING_S, seed=given.seed)
    progress = reporter_for(Console(stderr=True))
    return measure(city, settings, progress, requests=given.city_requests, seed=given.seed)


def _facts(
    given: argparse.Namespace, outcome: Outcome, material: Material, began_s: float
) -> Mapping[str, object]:
    sizes, visits = outcome.verdict.sizes, material.visits
    return {
        "file": given.checkins.name,
        "check_ins": len(visits),
        "users": visits.users,
        "places": visits.places,
        "requests": sizes["all"],
        "requests_to_new_places": sizes.get("new", 0),
        "bounds": "95 % intervals, users drawn with replacement",
        "cores": len(os.sched_getaffinity(0)),
        "seconds": round(time.perf_counter() - began_s),
    }


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkins", type=Path, required=True, help="a file of check-ins")
    parser.add_argument("--most", type=int, help="judge at most so many requests")
    parser.add_argument(
        "--plain",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="matrix factorisation and wide & deep take part",
    )
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "quality.svg")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "quality.md")
    parser.add_argument("--city-users", type=int, default=500)
    parser.add_argument("--city-places", type=int, default=1_000)
    parser.add_argument("--city-days", type=float, default=21)
    parser.add_argument("--city-requests", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=50, help="most epochs of a training")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    return parser.parse_args()


def main() -> None:
    """Judge, draw and print."""
    given, began_s = _parsed(), time.perf_counter()
    settings = Settings(
        _env_file=None, train_epochs=given.epochs, seed=given.seed, log_level="WARNING"
    )
    logs.configure(settings, "benchmark")
    material = Material.of(load_checkins(given.checkins))
    options = Options(plain=given.plain, seed=given.seed, most=given.most)
    outcome = next_place.evaluate(material, options, settings, reporter_for(Console(stderr=True)))
    regrets = _city_regret(given, settings)
    tables.show(outcome, Console(width=180))
    draw(outcome, given.plot)
    given.table.write_text(markdown(outcome, regrets))
    publish(
        "Next place, from here, now",
        figures(outcome) + of_city(regrets),
        _facts(given, outcome, material, began_s),
    )


if __name__ == "__main__":
    main()
