"""The published protocol run on our system and the baselines, beside the published figures.

How much of the past a method may read is what such figures differ in, so three levels are told
apart: "train" (the first part, and the trajectory so far: GETNext's), "frozen" (train and
validation, and the trajectory so far), "stream" (everything before the moment: STHGCN's, whose
hypergraph holds all trajectories that ended earlier). Weights know train and validation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from contracts.settings import Settings
from models.bootstrap import Interval
from models.progress import Reporter
from models.quality.baselines import recipes
from models.quality.metrics import as_json, summary
from models.quality.ranks import rank_all
from models.quality.requests import Mode, Requests
from models.quality.trajectories import Trajectories, find_trajectories
from models.quality.tuning import tune
from online_features.definitions import USER
from placestream.evaluation.contestants import OURS, fitted, serve
from placestream.evaluation.material import Material
from placestream.evaluation.next_place import Options
from placestream.evaluation.served import Asked, ask

Level = Literal["train", "frozen", "stream"]
LEVELS: tuple[Level, ...] = ("train", "frozen", "stream")
METRICS = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr")
#: On New York (TSMC2014), all of it: Acc@1, @5, @10 and MRR as printed in the papers.
PRINTED = {
    "GETNext, as printed": (0.244, 0.509, 0.614, 0.362),
    "STHGCN, as printed": (0.273, 0.536, 0.624, 0.392),
}


@dataclass(frozen=True)
class Row:
    """One method at one level."""

    name: str
    level: Level
    ours: bool
    metrics: dict[str, Interval]


@dataclass(frozen=True)
class Found:
    """All rows, and what they were found on."""

    rows: list[Row]
    material: Material
    trajectories: Trajectories


def evaluate(material: Material, options: Options, settings: Settings, progress: Reporter) -> Found:
    """Judge our system and the baselines.

    Raises:
        ValueError: the file is too small, or no trajectory can be judged.
        TooFewEvents: too little lies before the cuts for a training.
    """
    found = find_trajectories(material.visits, options.shares, options.part)
    if not len(found.at):
        raise ValueError(f"no trajectory of the {options.part} part can be judged")
    kept = material.take(found.kept)
    rows: list[Row] = []
    if options.contestants != "baselines":
        rows += _ours(kept, found, options, settings, progress)
    if options.contestants != "ours":
        rows += _baselines(kept, found, options, progress)
    return Found(rows, kept, found)


def requests_at(material: Material, found: Trajectories, level: Level) -> tuple[Requests, Mode]:
    """The requests of a level, and the mode that it is asked in."""
    cut = found.cuts.train if level == "train" else found.cuts.known
    mode: Mode = "stream" if level == "stream" else "frozen"
    return Requests.at_positions(material.visits, found.at, cut), mode


def with_trajectory(asked: Asked, material: Material, found: Trajectories, cut: int) -> Asked:
    """Frozen requests whose users' states know the trajectory so far, too."""
    visits = material.visits
    rows, past = visits.by_user.before(visits.user[found.at], found.at)
    own = past >= np.maximum(found.start[rows], cut)
    states = asked.states.copy()
    USER.fold(states, rows[own], material.events.take(past[own]))
    return replace(asked, states=states)


def _ours(
    material: Material,
    found: Trajectories,
    options: Options,
    settings: Settings,
    progress: Reporter,
) -> Iterator[Row]:
    served = serve(material, fitted(material, found.cuts, settings, progress), settings)
    with progress.stage("trajectories", len(LEVELS)) as stage:
        for level in LEVELS:
            requests, mode = requests_at(material, found, level)
            asked = ask(material, requests.questions(mode))
            if mode == "frozen":
                asked = with_trajectory(asked, material, found, requests.cut)
            ranks = served.rank(asked).ranks(requests.target)
            stage.advance(note=level)
            yield _row(OURS, level, ranks, requests, options, ours=True)


def _baselines(
    material: Material, found: Trajectories, options: Options, progress: Reporter
) -> Iterator[Row]:
    made = recipes(options.seed)
    with progress.stage("baselines", len(made)) as stage:
        for recipe in made:
            method = tune(recipe, material.visits, found.cuts, options.seed).method
            for level in LEVELS if method.streams else LEVELS[:2]:
                cut = found.cuts.train if level == "train" else found.cuts.known
                method = method.fit(material.visits.first(cut))
                requests, mode = requests_at(material, found, level)
                ranks = rank_all(method, requests, mode).all
                yield _row(method.name, level, ranks, requests, options, ours=False)
            stage.advance(note=method.name)


def _row(
    name: str,
    level: Level,
    ranks: NDArray[np.float64],
    requests: Requests,
    options: Options,
    *,
    ours: bool,
) -> Row:
    metrics = summary(ranks, requests.user, options.seed)
    return Row(name, level, ours, {metric: metrics[metric] for metric in METRICS})


def report(found: Found, options: Options) -> dict[str, Any]:
    """Everything as JSON takes it."""
    visits, cuts = found.material.visits, found.trajectories.cuts
    return {
        "protocol": "trajectories",
        "part": options.part,
        "shares": options.shares,
        "seed": options.seed,
        "check_ins": len(visits),
        "users": len(np.unique(visits.user)),
        "places": len(np.unique(visits.place)),
        "train_check_ins": cuts.train,
        "known_check_ins": cuts.known,
        "trajectories_judged": len(found.trajectories.at),
        "contestants": [
            {"name": r.name, "level": r.level, "ours": r.ours, **as_json(r.metrics)}
            for r in found.rows
        ],
        "printed": {
            name: dict(zip(METRICS, values, strict=True)) for name, values in PRINTED.items()
        },
    }


def table(found: Found) -> Table:
    """The same for the eye, with the published figures at the end."""
    table = Table(title=f"last check-in of {len(found.trajectories.at):,} trajectories of 24 h")
    table.add_column("method")
    table.add_column("may read")
    for column in ("Acc@1", "Acc@5", "Acc@10", "MRR"):
        table.add_column(column, justify="right")
    for row in found.rows:
        cells = [_cell(row.metrics[metric]) for metric in METRICS]
        table.add_row(row.name, row.level, *cells, style="bold" if row.ours else "")
    for name, values in PRINTED.items():
        table.add_row(name, "", *(f"{value:.3f}" for value in values), style="dim")
    return table


def _cell(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
