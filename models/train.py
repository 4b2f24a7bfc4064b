"""Training of a pair of models, from the archive to exported versions.

`run` is the command line's `train`; the trainer daemon calls `train_pair` and `export_pair`, and
judges the pair in service on the same `pair.holdout` by `judge_version`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from rich.console import Console
from rich.table import Table

from contracts.settings import Settings
from contracts.signatures import PARTS
from models import dataset, tracking
from models.candidates import CandidateModel
from models.card import (
    SERVED_COLUMNS,
    costs_told,
    fingerprint,
    limits,
    served_answers,
    served_chances,
)
from models.costs import Cost, Metered, total
from models.export import export, exportables
from models.fit_pair import Curves, fit_pair, needs_rows
from models.holdout import Holdout, Inputs, Judged, Ranked, Reach, asked, judged
from models.importance import Importance, importances
from models.progress import SILENT, Reporter, reporter_for
from models.ranking_model import RankingModel
from models.reference import Reference, reference_of
from models.report.training import report_path, write_report
from models.row_store import RowStore
from models.scoring import Scorer, load_scorer
from models.served_answers import Answers
from models.shown_features import ServedAnswers
from models.split import TooFewEvents
from models.targets import Chances, Targets
from online_features.archive import read_catalogue, read_context
from online_features.catalogue import Catalogue
from online_features.context import ContextLog
from online_features.definitions import FEATURE_SET
from online_features.request import RANKING_COLUMNS
from online_features.training_log import TrainingLog

log = structlog.get_logger(__name__)
#: Fewer interactions than this teach nothing; it is said at once, before any work.
LEAST_EVENTS = 500
#: Requests of the validation part that the reference of drift is made of, beside the test part's.
REFERENCE_REQUESTS = 1_200


@dataclass(frozen=True)
class TrainedPair:
    """Two models that belong together, and what is known of them.

    Attributes:
        candidates, ranker: modules with `serve`.
        metrics: on `holdout`, by name; see `models.holdout`.
        nearest_first: the ranking metrics of "nearest place first" on the same requests.
        holdout: to judge another pair on the same requests.
        card: what placestream.json will say.
        reference: what it would have served, to judge drift by.
        candidate_calls, ranker_calls: real inputs, to check and to warm a server with.
        training_s: seconds that it took.
        judged: its answers to the requests of `holdout`, and its scores of the rows.
        curves: epochs of each model that was trained by gradients, by its name.
        importances: of the ranker's inputs, the greatest first.
        costs: of each stage, in the order in which they ended.
    """

    candidates: CandidateModel
    ranker: RankingModel
    metrics: dict[str, float]
    nearest_first: dict[str, float]
    holdout: Holdout
    card: dict[str, Any]
    reference: Reference
    candidate_calls: tuple[Inputs, ...]
    ranker_calls: tuple[Inputs, ...]
    training_s: float
    judged: Judged
    curves: Curves
    importances: list[Importance]
    costs: tuple[Cost, ...]


def train_pair(
    events: TrainingLog,
    catalogue: Catalogue,
    context: ContextLog,
    settings: Settings,
    *,
    served: ServedAnswers | None = None,
    progress: Reporter = SILENT,
) -> TrainedPair:
    """Train both models on a log, and judge them on its newest part.

    Args:
        events: sorted by time, as `TrainingLog.read` gives it.
        served: the archive's answers, if it holds any.
        progress: where to show how far it is.

    Raises:
        TooFewEvents: too little was chosen to train and to judge.
        FloatingPointError: a training diverged.
    """
    began = time.perf_counter()
    progress = progress if isinstance(progress, Metered) else Metered(progress)
    if len(events) < LEAST_EVENTS:
        raise TooFewEvents(f"{len(events)} interactions; a training needs at least {LEAST_EVENTS}")
    with progress.stage("features as they were", None) as stage:
        data = dataset.build(
            events,
            catalogue,
            context,
            seed=settings.seed,
            max_events=settings.train_max_rows,
            stale_s=settings.context_stale_s,
            train_rows=needs_rows(settings),
            judged=lambda count: judged(count, settings.seed),
            answered=lambda count: asked(count, settings.seed, REFERENCE_REQUESTS),
            array=RowStore.of(settings).array,
            report=stage.advance,
        )
    fitted = fit_pair(events, catalogue, data, settings, progress, served)
    candidates, ranker = fitted.candidates, fitted.ranker
    held_out = partial(
        Holdout,
        events,
        catalogue,
        context,
        reach=Reach.of(settings),
        stale_s=settings.context_stale_s,
        seed=settings.seed,
    )
    card: dict[str, Any] = {
        "columns": list(RANKING_COLUMNS),
        "parts": list(PARTS),
        "feature_set": FEATURE_SET,
    }
    with progress.stage("held-out requests", 1, 0) as stage:
        holdout = held_out(data.test)
        scorer = Scorer.of(candidates, ranker, card)
        result = holdout.judge(scorer)
        metrics = result.metrics
        nearest_first = holdout.nearest_first()
        card |= {
            "candidate_model": settings.candidate_model,
            "ranker_model": settings.ranker_model,
            "metrics": metrics,
            "data": fingerprint(events, catalogue, data),
            "rows": len(data.train.moments),
            "limits": limits(events, catalogue, metrics, settings.candidates),
            "served_answers": fitted.served,
        }
        candidate_calls, ranker_calls = holdout.calls(result.ranked)
        stage.advance()
    with progress.stage("reference of drift", 1, 0) as stage:
        # The test part may be a day or two; the week's rhythm needs more days.
        before = held_out(data.validation, requests=REFERENCE_REQUESTS)
        reference = _reference(
            [(before, before.answer(scorer)), (holdout, result.ranked)], settings
        )
        stage.advance()
    inputs = len(RANKING_COLUMNS) + len(PARTS)
    with progress.stage("importance of inputs", inputs, 0) as stage:
        leaned_on = importances(
            holdout, result.ranked, scorer, seed=settings.seed, report=stage.advance
        )
    card["training"] = costs_told(progress.costs)
    return TrainedPair(
        candidates=candidates,
        ranker=ranker,
        metrics=metrics,
        nearest_first=nearest_first,
        holdout=holdout,
        card=card,
        reference=reference,
        candidate_calls=candidate_calls,
        ranker_calls=ranker_calls,
        training_s=time.perf_counter() - began,
        judged=result,
        curves=fitted.curves,
        importances=leaned_on,
        costs=progress.costs,
    )


def _reference(answered: Sequence[tuple[Holdout, Ranked]], settings: Settings) -> Reference:
    parts = [served_answers(ranked, held.moments, settings.radius_m) for held, ranked in answered]
    rng = np.random.default_rng(settings.seed)
    # By the sun: an hour off the clock is near enough for a weekend's begin.
    offset_s = 240.0 * float(np.median(np.concatenate([held.moments.lng for held, _ in answered])))
    chances = [served_chances(ranked, held.moments, settings.radius_m) for held, ranked in answered]
    return reference_of(
        SERVED_COLUMNS,
        Answers.joined(parts),
        rng,
        offset_s=offset_s,
        targets=Targets.of(Chances.joined(chances)),
    )


def export_pair(pair: TrainedPair, settings: Settings, metered: Metered | None = None) -> int:
    """Export a pair, write its report, track its training in MLflow, and return its version.

    Args:
        pair: as it was trained.
        settings: of the training.
        metered: measures it, too; the run tells what the pair's training and the export cost.

    Raises:
        models.export.NotExportable: it must not reach a server.
    """
    metered = metered or Metered(SILENT)
    with metered.stage("export", None):
        calls, places = (pair.candidate_calls, pair.ranker_calls), pair.holdout.catalogue
        both = exportables(pair.candidates, pair.ranker, *calls, places)
        version = export(both, pair.card, settings.models_dir, pair.reference)
    log.info("pair_exported", version=version, training_s=round(pair.training_s, 1))
    exported = tuple(cost for cost in metered.costs if cost.stage == "export")
    costs = (*pair.costs, *exported)
    with metered.stage("report", None):
        _report(pair, version, settings, costs)
    with metered.stage("tracking", None):
        tracking.record(pair, version, settings, costs)
    return version


def _report(pair: TrainedPair, version: int, settings: Settings, costs: Sequence[Cost]) -> None:
    """Write the report; a pair without one is worth no less."""
    try:
        out = write_report(pair, version, settings, costs)
    except Exception as error:  # whatever the disk or the plotting library raise
        log.warning("no_report", version=version, cause=f"{type(error).__name__}: {error}")
    else:
        log.info("report_written", version=version, report=str(out))


def evaluate_version(models_dir: Path, version: int, holdout: Holdout) -> dict[str, float]:
    """Metrics of an exported pair on held-out requests.

    Raises:
        models.scoring.NoSuchModel: it is not there.
        models.holdout.OtherFeatures: it was trained on other features.
    """
    return judge_version(models_dir, version, holdout).metrics


def judge_version(models_dir: Path, version: int, holdout: Holdout) -> Judged:
    """An exported pair on held-out requests.

    Raises:
        models.scoring.NoSuchModel: it is not there.
        models.holdout.OtherFeatures: it was trained on other features.
    """
    return holdout.judge(load_scorer(models_dir, version))


def run(settings: Settings, console: Console | None = None) -> int:
    """Train from the archive, export, print what came of it, and return the version.

    Raises:
        TooFewEvents: the archive holds too little; says how much.
    """
    console = console or Console()
    metered = Metered(reporter_for(console))
    pair = train_from_archive(settings, metered)
    version = export_pair(pair, settings, metered)
    console.print(summary(pair, version))
    console.print(costs_table(metered.costs))
    console.print(f"report: {report_path(settings.models_dir, version)}", soft_wrap=True)
    return version


def train_from_archive(settings: Settings, metered: Metered) -> TrainedPair:
    """Train both models on all that the archive holds.

    Raises:
        TooFewEvents: it holds too little; says how much.
    """
    archive = settings.archive_dir
    with metered.stage("archive", None) as stage:
        events = TrainingLog.read(archive, RowStore.of(settings).arrays)
        log.info("archive_read", interactions=len(events))
        if len(events) < LEAST_EVENTS:
            raise TooFewEvents(
                f"the archive in {archive} holds {len(events)} interactions; "
                f"a training needs at least {LEAST_EVENTS}"
            )
        catalogue, context = read_catalogue(archive), read_context(archive)
        served = ServedAnswers.read(settings, events, context)
        stage.advance(len(events))
    return train_pair(events, catalogue, context, settings, served=served, progress=metered)


def summary(pair: TrainedPair, version: int) -> Table:
    """A table of a pair's metrics."""
    table = Table(title=f"version {version}, trained in {pair.training_s:.0f} s")
    for column in ("held-out metric", "pair", "nearest first"):
        table.add_column(column, justify="left" if column.startswith("held") else "right")
    for name, value in pair.metrics.items():
        plain = pair.nearest_first.get(name)
        table.add_row(name, f"{value:.4f}", "" if plain is None else f"{plain:.4f}")
    return table


def costs_table(costs: Sequence[Cost]) -> Table:
    """A table of what each stage took."""
    table = Table()
    table.add_column("stage")
    for column in ("seconds", "rows/s", "cores", "peak MB"):
        table.add_column(column, justify="right")
    for cost in (*costs, total(costs)):
        table.add_row(
            cost.stage,
            f"{cost.seconds:.1f}",
            f"{cost.rows_per_s:,.0f}" if cost.rows else "",
            f"{cost.cpu_cores:.2f}",
            f"{cost.peak_rss_mb:,.0f}",
        )
    return table
