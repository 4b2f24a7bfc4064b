"""Training both models of a pair on a data set, by what the settings choose.

Both default models learn from the same choice sets, of the newest choices before the validation
part; the plain ones (matrix factorisation, two towers, wide & deep) from the rows of the data set.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from models import listwise
from models.calibration import fit_platt
from models.candidates import CandidateModel, ServedTwoTower
from models.choice_sets import SET, ChoiceSets, build_sets
from models.dataset import Dataset, Part, pick
from models.fitting import Epoch, Schedule
from models.listwise_ranker import NETWORKS, train_listwise
from models.mf import train_factorisation
from models.moments import Moments
from models.progress import Reporter
from models.ranker import predict, train_ranker
from models.ranking_model import RankingModel
from models.scoring import CANDIDATES, RANKER
from models.table_candidates import train_tables
from models.two_tower_training import RATE, train_two_tower
from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.context import Situation

#: Epochs of each model that was trained by gradients, by its name.
Curves = dict[str, list[Epoch]]
#: Most choice sets to learn from and to judge by.
MOST_SETS, MOST_HELD = 28_000, 2_000
#: The first choices of a log know too little of their users to be like those to come.
SKIPPED = 0.15


@dataclass(frozen=True)
class _Sets:
    """Choice sets, and which of them (bool[m]) judge and do not teach."""

    sets: ChoiceSets
    held: NDArray[np.bool_]


def needs_rows(settings: Settings) -> bool:
    """Whether one of the chosen models learns from the rows of the train part."""
    return settings.ranker_model != "listwise" or settings.candidate_model == "two-tower"


def fit_pair(
    events: EventLog, catalogue: Catalogue, data: Dataset, settings: Settings, progress: Reporter
) -> tuple[CandidateModel, RankingModel, Curves]:
    """Train both models on a data set's train part, judged by its validation part.

    Returns:
        Both, and the epochs of each that was trained by gradients, by its name.

    Raises:
        FloatingPointError: a training diverged.
    """
    curves: Curves = {}
    chosen = (settings.candidate_model, settings.ranker_model)
    sets = None
    if "tables" in chosen or "listwise" in chosen:
        sets = _sets(events, catalogue, data, settings, progress)
    candidates = _train_candidates(events, catalogue, data, sets, settings, progress, curves)
    ranker = _train_ranker(catalogue, data, sets, settings, progress, curves)
    return candidates, ranker, curves


def _sets(
    events: EventLog, catalogue: Catalogue, data: Dataset, settings: Settings, progress: Reporter
) -> _Sets:
    rng = np.random.default_rng(settings.seed)
    learn, judge = (
        _drawn(part, most, skip, rng)
        for part, most, skip in (
            (data.train, MOST_SETS, SKIPPED),
            (data.validation, MOST_HELD, 0.0),
        )
    )
    moments = learn[0].concat(judge[0])
    at = Situation(
        **{
            name: np.concatenate([values, getattr(judge[1], name)])
            for name, values in vars(learn[1]).items()
        }
    )
    with progress.stage("choice sets", len(moments) * SET) as stage:
        sets = build_sets(events, catalogue, moments, at, rng, stage.advance)
    return _Sets(sets, np.arange(len(moments)) >= len(learn[0]))


def _drawn(
    part: Part, most: int, skip: float, rng: np.random.Generator
) -> tuple[Moments, Situation]:
    later = np.arange(int(skip * len(part.moments)), len(part.moments))
    kept = np.sort(rng.choice(later, min(most, len(later)), replace=False))
    return part.moments.take(kept), pick(part.at, kept)


def _train_candidates(
    events: EventLog,
    catalogue: Catalogue,
    data: Dataset,
    sets: _Sets | None,
    settings: Settings,
    progress: Reporter,
    curves: Curves,
) -> CandidateModel:
    until = int(data.validation.moments.before.min())
    if settings.candidate_model == "tables" and sets is not None:
        how = listwise.Schedule(epochs=min(settings.train_epochs, listwise.Schedule.epochs))
        with progress.stage("candidate model", how.epochs) as stage:
            tables, curves[CANDIDATES] = train_tables(
                events, catalogue, sets.sets, sets.held, until, how, settings.seed, stage
            )
        return tables
    if settings.candidate_model == "matrix-factorisation":
        seen = events.take(slice(0, until))
        return train_factorisation(seen, catalogue, settings.seed, progress)
    schedule = Schedule(epochs=settings.train_epochs, rate=RATE)
    with progress.stage("candidate model", schedule.epochs) as stage:
        model, curves[CANDIDATES] = train_two_tower(
            catalogue,
            data.train.choices,
            data.validation.choices,
            data.near_places,
            schedule,
            settings.seed,
            stage,
        )
    return ServedTwoTower(model)


def _train_ranker(
    catalogue: Catalogue,
    data: Dataset,
    sets: _Sets | None,
    settings: Settings,
    progress: Reporter,
    curves: Curves,
) -> RankingModel:
    held = data.validation.ranker
    if settings.ranker_model == "listwise" and sets is not None:
        how = listwise.Schedule(epochs=min(settings.train_epochs, listwise.Schedule.epochs))
        with progress.stage("ranker", NETWORKS * how.epochs) as stage:
            ranker, curves[RANKER] = train_listwise(
                sets.sets, sets.held, catalogue, how, settings.seed, stage
            )
        ranker.calibration.assign(fit_platt(predict(ranker, held), held.expected, held.label))
        return ranker
    schedule = Schedule(epochs=settings.train_epochs)
    with progress.stage("ranker", schedule.epochs) as stage:
        model, curves[RANKER] = train_ranker(
            data.train.ranker, held, schedule, settings.seed, stage
        )
    platt = fit_platt(predict(model, held), held.expected, held.label)
    model.calibration.assign(platt)
    return model
