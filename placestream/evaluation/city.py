"""The evaluation on a simulated city, whose truth is known: run, told, and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from contracts.settings import Settings
from models.bootstrap import Interval
from models.progress import Reporter
from placestream.evaluation.simulated import Regret, measure
from placestream.simulation.city import City
from placestream.simulation.plan import Plan

#: A city's history ends here whenever it is judged: a figure must not depend on the day.
ENDING_S = 1_750_000_000.0
_REGRETS = {
    "first": "regret of the first",
    "of_ten": "regret of ten",
    "chance_in_ten": "chance of the choice in ten",
}
_BUSINESS = {
    "click_through": "click-through",
    "conversion": "conversion",
    "rating": "mean rating",
    "engagement_s": "seconds of looking",
}


def run(
    plan: Plan,
    settings: Settings,
    progress: Reporter,
    console: Console,
    *,
    requests: int,
    seed: int,
) -> dict[str, Any]:
    """Make a city, judge on it, print the tables, and return everything as JSON takes it.

    Args:
        plan: of the city.
        settings: which models, for how long, and the reach of the service.
        progress: where to show how far it is.
        console: takes the tables.
        requests: at most so many, drawn evenly.
        seed: of the city, of the requests and of the chances.

    Raises:
        TooFewEvents: the city is too small to train on.
    """
    city = City(plan, ending_s=ENDING_S, seed=seed)
    found = measure(city, settings, progress, requests=requests, seed=seed)
    for table in tables(found):
        console.print(table)
    return {
        "protocol": "simulated city",
        "users": plan.users,
        "places": plan.places,
        "days": plan.days,
        "seed": seed,
        "requests_at_most": requests,
        "shown": report(found),
    }


def report(found: Mapping[str, Regret]) -> list[dict[str, Any]]:
    """Each way to choose the places shown; a figure that is NaN (nobody rated) is null."""
    return [
        {"name": name}
        | {part: _json(getattr(regret, part)) for part in _REGRETS}
        | {part: _json(getattr(regret.business, part)) for part in _BUSINESS}
        for name, regret in found.items()
    ]


def tables(found: Mapping[str, Regret]) -> list[Table]:
    """Regrets, then what users do who are shown these places."""
    missed = Table(title="regret against the best possible, in utility (1 is e-fold odds)")
    led_to = Table(title="what users do who are shown these places")
    for table, columns in ((missed, _REGRETS), (led_to, _BUSINESS)):
        table.add_column("shown", no_wrap=True)
        for title in columns.values():
            table.add_column(title, justify="right", no_wrap=True)
    for name, regret in found.items():
        missed.add_row(name, *(_bounded(getattr(regret, part)) for part in _REGRETS))
        led_to.add_row(name, *(_bounded(getattr(regret.business, part)) for part in _BUSINESS))
    return [missed, led_to]


def _json(interval: Interval) -> dict[str, float | None]:
    return {k: v if np.isfinite(v) else None for k, v in asdict(interval).items()}


def _bounded(interval: Interval) -> str:
    if not np.isfinite(interval.value):
        return "none"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
