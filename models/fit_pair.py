"""Training both models of a pair on a data set, by what the settings choose.

Both default models learn from the same choice sets: of the newest choices before the validation
part and, if the archive holds any, of served answers. The plain ones (matrix factorisation, two
towers, wide & deep) learn from the rows of the data set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from models import listwise
from models.calibration import fit_platt
from models.candidates import CandidateModel, ServedTwoTower
from models.choice_sets import SET, ChoiceSets, choice_sets
from models.dataset import pick
from models.fitting import Epoch, Schedule
from models.impressions import lessons
from models.leaks import check_parts
from models.listwise_ranker import NETWORKS, train_listwise
from models.merged_sets import merged
from models.mf import train_factorisation
from models.moments import Moments
from models.progress import Reporter
from models.ranker import predict, train_ranker
from models.ranking_model import RankingModel
from models.row_store import RowStore
from models.rows import Columns, Rows, gathered, total
from models.scoring import CANDIDATES, RANKER
from models.shown_features import ServedAnswers
from models.table_candidates import PastParts, learned, train_tables
from models.training_rows import Dataset
from models.two_tower_training import RATE, train_two_tower
from online_features.archive import EventLog
from online_features.catalogue import Catalogue
from online_features.context import Situation
from online_features.rings import DAY_S, HOUR_S

#: Epochs of each model that was trained by gradients, by its name.
Curves = dict[str, list[Epoch]]
#: Most choice sets to judge by, out of a large validation part.
MOST_HELD = 2_000
#: The first choices of a log know too little of their users to be like those to come.
SKIPPED = 0.15


#: So many of the sets know nothing of the newest up to so many days: the stream may lag behind,
#: and what is left then (where, when, the habits of last month) must be read rightly, too.
LAGGING, MOST_LAG_S = 0.08, 36 * DAY_S
#: So many are asked as if by somebody who is here for the first time; drawn from those that so
#: long a pause went before, since nobody comes in the middle of an outing.
STRANGERS, STRANGER, PAUSE_S = 0.05, np.uint64(0), 12 * HOUR_S


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
    events: EventLog,
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
    # What is judged in the end must be known to no model; all before it may be.
    test = data.test.moments.before
    known = events.take(slice(0, int(test.min()))) if len(test) else events
    chosen = (settings.candidate_model, settings.ranker_model)
    sets = None
    if "tables" in chosen or "listwise" in chosen:
        sets = _sets(known, catalogue, data, settings, progress, served)
    candidates = _train_candidates(known, catalogue, data, sets, settings, progress, curves)
    ranker = _train_ranker(catalogue, data, sets, settings, progress, curves)
    return Fitted(candidates, ranker, curves, {} if sets is None else sets.served)


def _sets(
    events: EventLog,
    catalogue: Catalogue,
    data: Dataset,
    settings: Settings,
    progress: Reporter,
    served: ServedAnswers | None = None,
) -> _Sets:
    rng = np.random.default_rng(settings.seed)
    moments = data.train.moments.concat(data.validation.moments)
    at = Situation(
        **{
            name: np.concatenate([values, getattr(data.validation.at, name)])
            for name, values in vars(data.train.at).items()
        }
    )
    learn, judge = _chosen(moments, len(data.train.moments), settings.train_sets, rng)
    before = _lagging(events, moments.take(learn), rng)
    order = np.argsort(before, kind="stable")
    kept = np.r_[learn[order], judge]
    known = np.r_[before[order], moments.before[judge]]
    held = np.arange(len(kept)) >= len(learn)
    strange = _drawn(_begins(moments)[kept] & ~held, STRANGERS * len(kept), rng)
    user = np.where(strange, STRANGER, moments.user[kept])
    judged_s = float(moments.time_s[judge].min(initial=np.inf))
    moments = replace(moments.take(kept), before=known, user=user)
    taught = None
    if served is not None and len(served.log):
        taught = lessons(served, events, catalogue, settings, judged_s)
        known = np.sort(np.r_[known, taught.moments.before])
    teach = len(known) - len(judge)
    parts = None
    if settings.candidate_model == "tables":
        parts = PastParts(events, catalogue, known, teach, progress)
    with progress.stage("choice sets", len(kept) * SET) as stage:
        sets = choice_sets(events, catalogue, moments, pick(at, kept), rng, stage.advance)
        if taught is not None:
            sets = merged(sets, taught.sets())
        rows = RowStore.of(settings).keep(_columns(sets, parts), len(known), cut=teach)
    facts = {} if taught is None else taught.facts
    return _Sets(rows.part(0, teach), gathered(rows.part(teach, len(known))), facts)


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


def _chosen(
    moments: Moments, validation: int, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which moments teach and which judge: the newest of the validation part, if it is large.

    What became known only after the first that judges does not teach.
    """
    first = max(validation, len(moments) - MOST_HELD)
    known = moments.known_s[:first] <= moments.time_s[first:].min(initial=np.inf)
    known[: int(SKIPPED * validation)] = False
    teach = np.flatnonzero(known)
    return (
        np.sort(rng.choice(teach, min(most, len(teach)), replace=False)),
        np.arange(first, len(moments)),
    )


def _drawn(among: NDArray[np.bool_], most: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """So many of the marked ones, or all, by chance; bool[m]."""
    share = most / max(int(among.sum()), 1)
    drawn: NDArray[np.bool_] = among & (rng.random(len(among)) < share)
    return drawn


def _begins(moments: Moments) -> NDArray[np.bool_]:
    """Which moments follow a pause of their user, or are the first; bool[m]."""
    order = np.lexsort((moments.time_s, moments.user))
    user, time_s = moments.user[order], moments.time_s[order]
    goes_on = (user[1:] == user[:-1]) & (time_s[1:] - time_s[:-1] < PAUSE_S)
    begins = np.ones(len(order), bool)
    begins[order[1:]] = ~goes_on
    return begins


def _lagging(events: EventLog, moments: Moments, rng: np.random.Generator) -> NDArray[np.int64]:
    """What each moment knows of the log, for some less than there was; int64[m]."""
    lag_s = MOST_LAG_S * rng.random(len(moments))
    behind = np.searchsorted(events.time_s, moments.time_s - lag_s)
    lags = rng.random(len(moments)) < LAGGING
    return np.where(lags, np.minimum(behind, moments.before), moments.before)


def _train_candidates(
    events: EventLog,
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
        with progress.stage("candidate model", how.epochs, total(sets.learn) * SET) as stage:
            tables, curves[CANDIDATES] = train_tables(
                parts, sets.learn, sets.judge, how, settings.seed, stage
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
        steps = NETWORKS * how.epochs
        with progress.stage("ranker", steps, total(sets.learn) * SET) as stage:
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
