"""Training of a pair of models, from the archive to exported versions.

`run` is the command line's `train`; the trainer daemon calls `train_pair` and `export_pair`, and
judges the pair in service on the same `pair.holdout` by `answer_version`.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from contracts.settings import Settings
from models import dataset, tracking
from models.candidates import CandidateModel
from models.card import fingerprint, served_reference
from models.export import export, exportables
from models.fit_pair import Curves, fit_pair, needs_rows
from models.holdout import Holdout, Inputs, Ranked, Reach
from models.progress import SILENT, Reporter, reporter_for
from models.ranking_model import RankingModel
from models.scoring import Scorer, load_scorer
from models.split import TooFewEvents
from online_features.archive import EventLog, read_catalogue, read_context, read_interactions
from online_features.catalogue import Catalogue
from online_features.context import ContextLog
from online_features.definitions import FEATURE_SET
from online_features.request import RANKING_COLUMNS

log = structlog.get_logger(__name__)
#: Fewer interactions than this teach nothing; it is said at once, before any work.
LEAST_EVENTS = 500


@dataclass(frozen=True)
class TrainedPair:
    """Two models that belong together, and what is known of them.

    Attributes:
        candidates, ranker: modules with `serve`.
        metrics: on `holdout`, by name; see `models.holdout`.
        nearest_first: the ranking metrics of "nearest place first" on the same requests.
        holdout: to judge another pair on the same requests.
        card: what placestream.json will say.
        candidate_calls, ranker_calls: real inputs, to check and to warm a server with.
        training_s: seconds that it took.
        ranked: its answers to the requests of `holdout`.
        curves: epochs of each model that was trained by gradients, by its name.
    """

    candidates: CandidateModel
    ranker: RankingModel
    metrics: dict[str, float]
    nearest_first: dict[str, float]
    holdout: Holdout
    card: dict[str, Any]
    candidate_calls: tuple[Inputs, ...]
    ranker_calls: tuple[Inputs, ...]
    training_s: float
    ranked: Ranked
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
    holdout = Holdout(
        events,
        catalogue,
        context,
        data.test,
        Reach.of(settings),
        stale_s=settings.context_stale_s,
        seed=settings.seed,
    )
    card: dict[str, Any] = {"columns": list(RANKING_COLUMNS), "feature_set": FEATURE_SET}
    with progress.stage("held-out requests", 1) as stage:
        scorer = Scorer.of(candidates, ranker, card)
        ranked = holdout.answer(scorer)
        metrics = holdout.judge(scorer, ranked)
        stage.advance()
    card |= {
        "candidate_model": settings.candidate_model,
        "ranker_model": settings.ranker_model,
        "metrics": metrics,
        "data": fingerprint(events, catalogue, data),
        "reference": served_reference(ranked, settings.radius_m),
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
        candidate_calls=candidate_calls,
        ranker_calls=ranker_calls,
        training_s=time.perf_counter() - began,
        ranked=ranked,
        curves=curves,
    )


def export_pair(pair: TrainedPair, settings: Settings) -> int:
    """Export a pair, track its training as a run in MLflow, and return its version.

    Raises:
        models.export.NotExportable: it must not reach a server.
    """
    both = exportables(pair.candidates, pair.ranker, pair.candidate_calls, pair.ranker_calls)
    version = export(both, pair.card, settings.models_dir)
    log.info("pair_exported", version=version, training_s=round(pair.training_s, 1))
    tracking.record(pair, version, settings)
    return version


def evaluate_version(models_dir: Path, version: int, holdout: Holdout) -> dict[str, float]:
    """Metrics of an exported pair on held-out requests.

    Raises:
        models.scoring.NoSuchModel: it is not there.
        models.holdout.OtherFeatures: it was trained on other features.
    """
    return answer_version(models_dir, version, holdout)[0]


def answer_version(
    models_dir: Path, version: int, holdout: Holdout
) -> tuple[dict[str, float], Ranked]:
    """Metrics of an exported pair on held-out requests, and its answers to them.

    Raises:
        models.scoring.NoSuchModel: it is not there.
        models.holdout.OtherFeatures: it was trained on other features.
    """
    scorer = load_scorer(models_dir, version)
    ranked = holdout.answer(scorer)
    return holdout.judge(scorer, ranked), ranked


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
