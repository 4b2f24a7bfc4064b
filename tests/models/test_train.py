"""Training as a whole, from an archive to versions that can be judged again."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from contracts.settings import Settings
from models.card import SERVED_COLUMNS, served_answers
from models.holdout import LISTED, OtherFeatures
from models.mf import ServedFactorisation
from models.reference_file import read_reference
from models.scoring import NoSuchModel, Scorer, versions
from models.split import TooFewEvents
from models.train import TrainedPair, evaluate_version, export_pair, run, train_pair
from online_features.request import RANKING_COLUMNS
from tests.models.conftest import Data


def test_a_trained_pair_beats_the_nearest_place(pair: TrainedPair) -> None:
    """On held-out requests of a city in which people have tastes and habits."""
    assert pair.metrics["auc"] > 0.8
    assert pair.metrics["ndcg_at_10"] > 2 * pair.nearest_first["ndcg_at_10"]
    assert pair.metrics["candidate_recall_at_50"] > 0.7
    assert pair.metrics["calibration_error"] < 0.08


@pytest.mark.slow
def test_training_repeats_by_its_seed(data: Data, training: Settings, pair: TrainedPair) -> None:
    """The same metrics, all of them, to the last digit."""
    again = train_pair(data.log, data.catalogue, data.context, training)
    assert again.metrics == pair.metrics
    assert again.card["data"] == pair.card["data"]


def test_the_card_says_what_each_stage_cost(pair: TrainedPair) -> None:
    """Every long part has a name, and together they are what the training took."""
    told = pair.card["training"]
    assert [*told["stages"]] == [
        "features as they were",
        "tables",
        "choice sets",
        "candidate model",
        "ranker",
        "held-out requests",
        "reference of drift",
        "importance of inputs",
    ]
    assert all(stage["cpu_cores"] > 0 for stage in told["stages"].values())
    assert told["stages"]["choice sets"]["rows_per_s"] > 0
    assert 0.9 * pair.training_s < told["seconds"] <= pair.training_s


def test_probabilities_over_the_city_sum_to_about_one(pair: TrainedPair) -> None:
    """Each request leads to one place: the served probabilities must mean that."""
    ranked = pair.holdout.answer(Scorer.of(pair.candidates, pair.ranker, pair.card))
    assert 0.5 < float(ranked.probability.sum(axis=1).mean()) < 1.6


@pytest.mark.slow
def test_run_trains_from_the_archive_exports_and_tells(training: Settings, tmp_path: Path) -> None:
    """The command line's `train`, on the plain candidate model."""
    settings = training.model_copy(
        update={
            "models_dir": tmp_path,
            "train_epochs": 1,
            "candidate_model": "matrix-factorisation",
        }
    )
    told = io.StringIO()
    assert run(settings, Console(file=told, width=100)) == 1
    assert versions(tmp_path) == [1]
    assert "ndcg_at_10" in told.getvalue()
    assert "nearest first" in told.getvalue()
    assert "archive" in told.getvalue()
    assert "peak MB" in told.getvalue()


@pytest.mark.slow
def test_matrix_factorisation_is_judged_like_any_pair(
    training: Settings, pair: TrainedPair, data: Data, tmp_path: Path
) -> None:
    """Exported, loaded, and asked the requests of another training."""
    settings = training.model_copy(
        update={
            "models_dir": tmp_path,
            "train_epochs": 1,
            "candidate_model": "matrix-factorisation",
        }
    )
    plain = train_pair(data.log, data.catalogue, data.context, settings)
    assert isinstance(plain.candidates, ServedFactorisation)
    version = export_pair(plain, settings)
    again = evaluate_version(tmp_path, version, pair.holdout)
    assert again == pytest.approx(plain.metrics, abs=1e-6)
    assert again["candidate_recall_at_50"] > 0.25


def test_too_little_data_is_told(training: Settings, data: Data, tmp_path: Path) -> None:
    """An empty archive, and a log too short to be parted."""
    nowhere = training.model_copy(update={"archive_dir": tmp_path / "none"})
    with pytest.raises(TooFewEvents, match="holds 0 interactions; a training needs at least 500"):
        run(nowhere, Console(file=io.StringIO()))
    short = data.log.take(slice(0, 600))
    with pytest.raises(TooFewEvents, match="need at least 20 each"):
        train_pair(short, data.catalogue, data.context, training)


def test_a_version_that_is_not_there_is_told(pair: TrainedPair, tmp_path: Path) -> None:
    """Not a TensorFlow error about a file."""
    with pytest.raises(NoSuchModel, match="candidates"):
        evaluate_version(tmp_path, 3, pair.holdout)


@pytest.mark.slow
def test_a_pair_of_other_features_is_told(
    training: Settings, pair: TrainedPair, tmp_path: Path
) -> None:
    """Its card says so; it is not asked."""
    stale = TrainedPair(**{**vars(pair), "card": pair.card | {"feature_set": "other"}})
    settings = training.model_copy(update={"models_dir": tmp_path})
    version = export_pair(stale, settings)
    with pytest.raises(OtherFeatures, match="other"):
        evaluate_version(tmp_path, version, pair.holdout)


def test_the_reference_is_of_the_places_that_would_be_served(pair: TrainedPair) -> None:
    """The first ten within the usual radius; with no place in it, of all."""
    ranked = pair.holdout.answer(Scorer.of(pair.candidates, pair.ranker, pair.card))
    served = served_answers(ranked, pair.holdout.moments, 1_000.0)
    column = RANKING_COLUMNS.index("distance_log_km")
    near = [
        row[metres <= 1_000][:LISTED]
        for row, metres in zip(ranked.features[:, :, column], ranked.distance_m, strict=True)
    ]
    assert served.values[:, column] == pytest.approx(np.concatenate(near))
    assert np.diff(served.first).tolist() == [len(row) for row in near if len(row)]
    assert served.values.shape[1] == len(SERVED_COLUMNS)
    everywhere = served_answers(ranked, pair.holdout.moments, 0.0)
    assert len(everywhere.values) == (ranked.rows >= 0).sum()


def test_the_reference_holds_more_than_the_test_part(
    pair: TrainedPair, training: Settings, tmp_path: Path
) -> None:
    """The days before it too, and it lies beside the exported ranker."""
    assert pair.reference.columns == SERVED_COLUMNS
    assert pair.reference.answers > len(pair.holdout.moments)
    # By the city's longitude.
    assert pair.reference.offset_s == pytest.approx(
        240 * np.median(pair.holdout.moments.lng), abs=60
    )
    settings = training.model_copy(update={"models_dir": tmp_path})
    version = export_pair(pair, settings)
    saved = read_reference(tmp_path / "ranker" / str(version))
    assert saved.columns == SERVED_COLUMNS
