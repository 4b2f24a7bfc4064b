"""Training both models of a pair on a data set, by what the settings choose.

Both default models learn from the same choice sets: of the newest choices before the validation
part and, if the archive holds any, of served answers. The plain ones (matrix factorisation, two
towers, wide & deep) learn from the rows of the data set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from models import listwise
from models.backfilled_sets import mark_of, read_sets, sets_folder
from models.calibration import fit_platt
from models.candidates import CandidateModel, ServedTwoTower
from models.choice_sets import SET, ChoiceSets, choice_sets
from models.fitting import Epoch, Schedule
from models.impressions import lessons
from models.leaks import check_parts
from models.listwise_ranker import train_listwise
from models.merged_sets import merged
from models.mf import train_factorisation
from models.place_vectors import place_vectors
from models.progress import Reporter, Stage
from models.ranker import predict, train_ranker
from models.ranking_model import RankingModel
from models.row_store import RowStore
from models.rows import Columns, Rows, gathered, total
from models.scoring import CANDIDATES, RANKER
from models.set_plan import SetPlan, before_test, both, plan_sets
from models.shown_features import ServedAnswers
from models.table_candidates import PastParts, learned, train_tables
from models.training_rows import Dataset
from models.two_tower_training import RATE, train_two_tower
from online_features.catalogue import Catalogue
from online_features.training_log import TrainingLog

#: Epochs of each model that was trained by gradients, by its name.
Curves = dict[str, list[Epoch]]


@dataclass(frozen=True)
class _Sets:
    """Choice sets, ascending by what they know of the log.

    Columns: `places`, `log_expected`, `features` (see `ChoiceSets`), `number` (of the set), and,
    if the candidate model tells any, `parts`, float16[SET, len(PARTS)], out of fold.

    Attributes:
        learn: to learn from.
        judge: to judge by.
        served: what became of the served answers, in numbers; see `Lessons.facts`.
    """

    learn: Rows
    judge: Columns
    served: dict[str, int]


@dataclass(frozen=True)
class Fitted:
    """A pair as trained.

    Attributes:
        candidates, ranker: the models.
        curves: epochs of each that was trained by gradients, by its name.
        served: how many served answers there were, and what they taught; empty if none were given,
            or if neither model learns from choice sets.
    """

    candidates: CandidateModel
    ranker: RankingModel
    curves: Curves
    served: dict[str, int] = field(default_factory=dict)


def needs_rows(settings: Settings) -> bool:
    """Whether one of the chosen models learns from the rows of the train part."""
    return settings.ranker_model != "listwise" or settings.candidate_model == "two-tower"


def fit_pair(
    events: TrainingLog,
    catalogue: Catalogue,
    data: Dataset,
    settings: Settings,
    progress: Reporter,
    served: ServedAnswers | None = None,
) -> Fitted:
    """Train both models on a data set's train part, judged by its validation part.

    Args:
        events, catalogue: what the data set was built from.
        data: the data set.
        settings: which models, and for how long.
        progress: where to show how far it is.
        served: the archive's answers, if it holds any.

    Raises:
        FloatingPointError: a training diverged.
        Leak: a part, or a table, knows what it is to foretell.
    """
    check_parts([data.train.moments, data.validation.moments, data.test.moments])
    curves: Curves = {}
    known = before_test(events, data.test.moments)
    chosen = (settings.candidate_model, settings.ranker_model)
    sets = None
    if "tables" in chosen or "listwise" in chosen:
        sets = _sets(known, catalogue, data, settings, progress, served)
    candidates = _train_candidates(known, catalogue, data, sets, settings, progress, curves)
    ranker = _train_ranker(catalogue, data, sets, settings, progress, curves)
    return Fitted(candidates, ranker, curves, {} if sets is None else sets.served)


def _sets(
    events: TrainingLog,
    catalogue: Catalogue,
    data: Dataset,
    settings: Settings,
    progress: Reporter,
    served: ServedAnswers | None = None,
) -> _Sets:
    plan = plan_sets(
        events,
        data.train.moments.concat(data.validation.moments),
        both(data.train.at, data.validation.at),
        len(data.train.moments),
        settings,
    )
    known, teach, taught = plan.moments.before, plan.teach, None
    if served is not None and len(served.log):
        taught = lessons(served, events, catalogue, settings, plan.judged_s)
        known = np.sort(np.r_[known, taught.moments.before])
        teach += len(taught)
    parts = None
    if settings.candidate_model == "tables":
        parts = PastParts(events, catalogue, known, teach, progress)
    with progress.stage("choice sets", len(plan.moments) * SET) as stage:
        sets = _made(events, catalogue, plan, settings, stage)
        if taught is not None:
            sets = merged(sets, taught.sets())
        rows = RowStore.of(settings).keep(_columns(sets, parts), len(known), cut=teach)
    facts = {} if taught is None else taught.facts
    return _Sets(rows.part(0, teach), gathered(rows.part(teach, len(known))), facts)


def _made(
    events: TrainingLog, catalogue: Catalogue, plan: SetPlan, settings: Settings, stage: Stage
) -> Iterator[ChoiceSets]:
    """The sets of a plan, by whom the settings say."""
    if settings.train_sets_from == "backfill":
        folder = sets_folder(settings.backfill_dir)
        return read_sets(folder, expected=mark_of(events, catalogue, plan), report=stage.advance)
    return choice_sets(events, catalogue, plan.moments, plan.at, plan.rng, stage.advance)


def _columns(sets: Iterator[ChoiceSets], parts: PastParts | None) -> Iterator[Columns]:
    """What is kept of choice sets: what is learned from."""
    done = 0
    for some in sets:
        number = np.arange(done, done + len(some))
        done += len(some)
        kept: Columns = {
            "places": some.places,
            "log_expected": some.log_expected,
            "features": some.features,
            "number": number,
        }
        yield kept if parts is None else kept | {"parts": _parts(some, parts)}


def _parts(sets: ChoiceSets, past: PastParts) -> NDArray[np.float16]:
    """Parts as they were served, which no table knew better, else out of fold."""
    found = past.of(sets)
    if sets.told is None:
        return found
    return np.where(np.isnan(sets.told), found, sets.told)


def _train_candidates(
    events: TrainingLog,
    catalogue: Catalogue,
    data: Dataset,
    sets: _Sets | None,
    settings: Settings,
    progress: Reporter,
    curves: Curves,
) -> CandidateModel:
    if sets is not None and settings.candidate_model == "tables":
        how = listwise.Schedule(epochs=min(settings.train_epochs, listwise.Schedule.epochs))
        parts = learned(events, catalogue, progress)
        vectors = place_vectors(events, catalogue, settings.seed)
        with progress.stage("candidate model", how.epochs, total(sets.learn) * SET) as stage:
            tables, curves[CANDIDATES] = train_tables(
                parts, vectors, sets.learn, sets.judge, how, settings.seed, stage
            )
        return tables
    if settings.candidate_model == "matrix-factorisation":
        return train_factorisation(events, catalogue, settings.seed, progress)
    schedule = Schedule(epochs=settings.train_epochs, rate=RATE)
    with progress.stage("candidate model", schedule.epochs, len(data.train.choices)) as stage:
        model, curves[CANDIDATES] = train_two_tower(
            catalogue,
            data.train.choices,
            data.validation.choices,
            data.near_places,
            schedule,
            settings.seed,
            stage,
            RowStore.of(settings).mixed,
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
        with progress.stage("ranker", how.epochs, total(sets.learn) * SET) as stage:
            ranker, curves[RANKER] = train_listwise(
                sets.learn, sets.judge, catalogue, how, settings.seed, stage
            )
        return ranker
    schedule = Schedule(epochs=settings.train_epochs)
    with progress.stage("ranker", schedule.epochs, len(data.train.ranker)) as stage:
        model, curves[RANKER] = train_ranker(
            data.train.ranker,
            held,
            schedule,
            settings.seed,
            stage,
            RowStore.of(settings).mixed,
        )
    platt = fit_platt(predict(model, held), held.expected, held.label)
    model.calibration.assign(platt)
    return model
