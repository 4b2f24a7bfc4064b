"""Training of a pair of models, from the archive to exported versions.

`run` is the command line's `train`; the trainer daemon calls `train_pair` and `export_pair`, and
judges the pair in service on the same `pair.holdout` by `evaluate_version`.
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
from models import dataset, tracking
from models.candidates import CandidateModel
from models.card import SERVED_COLUMNS, fingerprint, served_answers
from models.export import export, exportables
from models.fit_pair import Curves, fit_pair, needs_rows
from models.holdout import Holdout, Inputs, Ranked, Reach
from models.progress import SILENT, Reporter, reporter_for
from models.ranking_model import RankingModel
from models.reference import Reference, reference_of
from models.scoring import Scorer, load_scorer
from models.served_answers import Answers
from models.split import TooFewEvents
from online_features.archive import EventLog, read_catalogue, read_context, read_interactions
from online_features.catalogue import Catalogue
from online_features.context import ContextLog
from online_features.definitions import FEATURE_SET
from online_features.request import RANKING_COLUMNS

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
        curves: epochs of each model that was trained by gradients, by its name.
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
    curves: Curves


def train_pair(
    events: EventLog,
    catalogue: Catalogue,
    context: ContextLog,
    settings: Settings,
    *,
    progress: Reporter = SILENT,
) -> TrainedPair:
    """Train both models on a log, and judge them on its newest part.

    Args:
        events: sorted by time, as `read_interactions` gives it.
        progress: where to show how far it is.

    Raises:
        TooFewEvents: too little was chosen to train and to judge.
        FloatingPointError: a training diverged.
    """
    began = time.perf_counter()
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
            report=stage.advance,
        )
    candidates, ranker, curves = fit_pair(events, catalogue, data, settings, progress)
    held_out = partial(
        Holdout,
        events,
        catalogue,
        context,
        reach=Reach.of(settings),
        stale_s=settings.context_stale_s,
        seed=settings.seed,
    )
    holdout = held_out(data.test)
    card: dict[str, Any] = {"columns": list(RANKING_COLUMNS), "feature_set": FEATURE_SET}
    with progress.stage("held-out requests", 1) as stage:
        scorer = Scorer.of(candidates, ranker, card)
        ranked = holdout.answer(scorer)
        metrics = holdout.judge(scorer, ranked)
        stage.advance()
    with progress.stage("reference of drift", 1) as stage:
        # The test part may be a day or two; the week's rhythm needs more days.
        before = held_out(data.validation, requests=REFERENCE_REQUESTS)
        reference = _reference([(before, before.answer(scorer)), (holdout, ranked)], settings)
        stage.advance()
    card |= {
        "candidate_model": settings.candidate_model,
        "ranker_model": settings.ranker_model,
        "metrics": metrics,
        "data": fingerprint(events, catalogue, data),
        "rows": len(data.train.moments),
    }
    candidate_calls, ranker_calls = holdout.calls(ranked)
    return TrainedPair(
        candidates=candidates,
        ranker=ranker,
        metrics=metrics,
        nearest_first=holdout.nearest_first(),
        holdout=holdout,
        card=card,
        reference=reference,
        candidate_calls=candidate_calls,
        ranker_calls=ranker_calls,
        training_s=time.perf_counter() - began,
        curves=curves,
    )


def _reference(answered: Sequence[tuple[Holdout, Ranked]], settings: Settings) -> Reference:
    parts = [served_answers(ranked, held.moments, settings.radius_m) for held, ranked in answered]
    rng = np.random.default_rng(settings.seed)
    # By the sun: an hour off the clock is near enough for a weekend's begin.
    offset_s = 240.0 * float(np.median(np.concatenate([held.moments.lng for held, _ in answered])))
    return reference_of(SERVED_COLUMNS, Answers.joined(parts), rng, offset_s=offset_s)


def export_pair(pair: TrainedPair, settings: Settings) -> int:
    """Export a pair, track its training as a run in MLflow, and return its version.

    Raises:
        models.export.NotExportable: it must not reach a server.
    """
    both = exportables(pair.candidates, pair.ranker, pair.candidate_calls, pair.ranker_calls)
    version = export(both, pair.card, settings.models_dir, pair.reference)
    log.info("pair_exported", version=version, training_s=round(pair.training_s, 1))
    tracking.record(pair, version, settings)
    return version


def evaluate_version(models_dir: Path, version: int, holdout: Holdout) -> dict[str, float]:
    """Metrics of an exported pair on held-out requests.

    Raises:
        models.scoring.NoSuchModel: it is not there.
        models.holdout.OtherFeatures: it was trained on other features.
    """
    return holdout.evaluate(load_scorer(models_dir, version))


def run(settings: Settings, console: Console | None = None) -> int:
    """Train from the archive, export, print what came of it, and return the version.

    Raises:
        TooFewEvents: the archive holds too little; says how much.
    """
    console = console or Console()
    events = read_interactions(settings.archive_dir)
    log.info("archive_read", interactions=len(events))
    if len(events) < LEAST_EVENTS:
        raise TooFewEvents(
            f"the archive in {settings.archive_dir} holds {len(events)} interactions; "
            f"a training needs at least {LEAST_EVENTS}"
        )
    pair = train_pair(
        events,
        read_catalogue(settings.archive_dir),
        read_context(settings.archive_dir),
        settings,
        progress=reporter_for(console),
    )
    version = export_pair(pair, settings)
    console.print(summary(pair, version))
    return version


def summary(pair: TrainedPair, version: int) -> Table:
    """A table of a pair's metrics."""
    table = Table(title=f"version {version}, trained in {pair.training_s:.0f} s")
    for column in ("held-out metric", "pair", "nearest first"):
        table.add_column(column, justify="left" if column.startswith("held") else "right")
    for name, value in pair.metrics.items():
        plain = pair.nearest_first.get(name)
        table.add_row(name, f"{value:.4f}", "" if plain is None else f"{plain:.4f}")
    return table
