"""Export: exactly the promised signatures, whole or not at all."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logit
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import prediction_log_pb2

from contracts.ids import as_int64
from contracts.signatures import BY_STRING, PARTS, features_mark
from models.candidates import scores_alone
from models.export import Exportable, NotExportable, export
from models.listwise_ranker import BENEFIT, ListwiseRanker
from models.place_vectors import WIDTH
from models.ranker import Inputs, Ranker
from models.scoring import CARD, load_scorer, next_version, versions
from models.table_candidates import TableCandidates
from models.train import TrainedPair
from models.vocabulary import Vocabulary
from models.warmup import WARMUP_FILE
from online_features.definitions import FEATURE_SET, NEVER_S
from online_features.request import RANKING_COLUMNS
from online_features.rings import HOUR_S
from placestream.erase.in_models import InModels
from tests.inference.model_server.conftest import model_config, running, server_settings
from tests.inference.model_server.test_lifecycle import cut_off
from tests.models.conftest import Data, exportable


def _signature(
    models_dir: Path, name: str, which: str = "serving_default"
) -> tuple[dict[str, Any], dict[str, Any]]:
    loaded = tf.saved_model.load(str(models_dir / name / "1"))
    assert features_mark(RANKING_COLUMNS, FEATURE_SET) in loaded.signatures  # what it learned from
    signature = loaded.signatures[which]
    takes, gives = signature.structured_input_signature[1], signature.structured_outputs
    return tuple(  # type: ignore[return-value]
        {n: (spec.dtype.name, spec.shape.as_list()) for n, spec in side.items()}
        for side in (takes, gives)
    )


def test_the_signatures_are_the_promised_ones(exported: Path) -> None:
    """Names, types and shapes, as the service sends and reads them."""
    takes, gives = _signature(exported, "candidates")
    assert takes == {
        "history_ids": ("int64", [None, 144]),
        "history_age_s": ("float32", [None, 144]),
        "history_kind": ("int64", [None, 144]),
        "place_ids": ("int64", [None, None]),
        "distance_m": ("float32", [None, None]),
        "moment_s": ("int64", [None]),
        "crowd": ("uint8", [None, None, 4]),
    }
    assert gives == {
        "scores": ("float32", [None, None]),
        "best": ("int32", [None, None]),
        "parts": ("float32", [None, None, len(PARTS)]),
    }
    takes, gives = _signature(exported, "candidates", "vectors")
    assert takes == {"place_ids": ("int64", [None])}
    assert gives == {"vectors": ("float32", [None, WIDTH])}
    takes, gives = _signature(exported, "ranker")
    assert takes == {
        "features": ("float32", [None, len(RANKING_COLUMNS)]),
        "parts": ("float32", [None, len(PARTS)]),
        "user_id": ("int64", [None]),
        "place_id": ("int64", [None]),
        "category_id": ("int64", [None]),
    }
    assert gives == {"probability": ("float32", [None]), "score": ("float32", [None])}


@pytest.mark.parametrize(
    ("name", "beside"),
    [("candidates", ["vectors", "by_string_id"]), ("ranker", ["by_string_id"])],
)
def test_warm_up_records_are_calls_that_the_model_answers(
    exported: Path, name: str, beside: list[str]
) -> None:
    """Read back as TensorFlow Serving does, and asked; each signature is warmed."""
    directory = exported / name / "1"
    loaded = tf.saved_model.load(str(directory))
    records = list(tf.data.TFRecordDataset(str(directory / WARMUP_FILE)).as_numpy_iterator())
    asked = []
    for record in records:
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == name
        asked.append(request.model_spec.signature_name)
        signature = loaded.signatures[asked[-1]]
        # TensorFlow writes a tensor of one value as a value.
        one = [name for name in request.inputs if name == "moment_s"]
        texts = [n for n, t in request.inputs.items() if t.dtype == types_pb2.DT_STRING]
        assert bool(texts) == (asked[-1] == "by_string_id")
        others = (t for n, t in request.inputs.items() if n not in one + texts)
        assert all(tensor.tensor_content for tensor in others)
        answer = signature(**{n: tf.make_ndarray(t) for n, t in request.inputs.items()})
        assert all(np.isfinite(values.numpy()).all() for values in answer.values())
    assert asked == ["serving_default"] * 3 + beside


def _warmed(
    models_dir: Path, name: str, signature: str = "serving_default"
) -> list[dict[str, np.ndarray]]:
    """Inputs of the warm-up records of a model's signature."""
    file = str(models_dir / name / "1" / WARMUP_FILE)
    requests = [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator()
    ]
    return [
        {n: tf.make_ndarray(t) for n, t in request.inputs.items()}
        for request in requests
        if request.model_spec.signature_name == signature
    ]


def test_warm_up_records_are_about_nobody(exported: Path, pair: TrainedPair) -> None:
    """They stay on disk when a person is erased: no hash of an id, nobody's way, no time of day."""
    assert any(call["user_id"].any() for call in pair.ranker_calls)  # the real ones have it
    for record in _warmed(exported, "ranker"):
        assert not record["user_id"].any()
    (by_string,) = _warmed(exported, "ranker", BY_STRING)
    assert {*by_string["user_id"].tolist()} == {b""}
    same = []
    for record, call in zip(_warmed(exported, "candidates"), pair.candidate_calls, strict=True):
        there = call["history_ids"] != 0
        np.testing.assert_array_equal(record["history_ids"] != 0, there)  # as much work
        same += (record["history_ids"] == call["history_ids"])[there].tolist()
        assert not np.isin(record["history_age_s"][there], call["history_age_s"]).any()
        assert (np.diff(record["history_age_s"][there]) >= 0).all()  # newest first, as ever
        assert record["moment_s"].item() % 86_400 == 0
    assert len(same) > 20
    assert np.mean(same) < 0.2  # one of some two hundred places is the real one now and then


@pytest.mark.parametrize("name", ["candidates", "ranker"])
def test_the_card_says_what_the_model_is(exported: Path, pair: TrainedPair, name: str) -> None:
    """Columns, feature set, metrics, data, and a distribution of every column."""
    card = json.loads((exported / name / "1" / CARD).read_text())
    assert (card["model"], card["version"]) == (name, 1)
    assert card["columns"] == list(RANKING_COLUMNS)
    assert card["feature_set"] == FEATURE_SET
    assert card["metrics"] == pytest.approx(pair.metrics)
    assert card["data"]["events"] > 1_000
    assert len(card["data"]["sha256"]) == 64
    assert card["size_mb"] > 0
    assert card["load_s"] > 0


def _wide_and_deep(users: int) -> Ranker:
    """Untrained, with a row for each of some persons."""
    width = len(RANKING_COLUMNS)
    inputs = Inputs(
        users=Vocabulary(np.arange(1, users + 1, dtype=np.uint64)),
        places=Vocabulary(np.array([11], np.uint64)),
        categories=Vocabulary(np.array([21], np.uint64)),
        mean=np.zeros(width, np.float32),
        scale=np.ones(width, np.float32),
        edges=(np.array([0.0], np.float32),) * 3,
    )
    return Ranker(inputs, np.random.default_rng(1))


def test_the_cards_say_of_how_many_persons_the_models_know(
    exported: Path, pair: TrainedPair, tmp_path: Path
) -> None:
    """Nobody in the default pair; in wide & deep each with a row. An erasure's proof reads it."""
    assert InModels.under(exported) == InModels(str(exported), {}, (), others=2)
    both = exportable(replace(pair, ranker=_wide_and_deep(3)))
    export(both, pair.card, tmp_path)
    assert InModels.under(tmp_path) == InModels(str(tmp_path), {"ranker/1": 3}, (), others=1)


def test_a_loaded_pair_scores_like_the_one_in_memory(exported: Path, pair: TrainedPair) -> None:
    """Both signatures, through `load_scorer`."""
    scorer = load_scorer(exported, 1)
    for call in pair.candidate_calls:
        expected = pair.candidates.serve(**{n: tf.constant(v) for n, v in call.items()})["scores"]
        found = scorer.candidates(**call)["scores"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for call in pair.ranker_calls:
        expected = pair.ranker.serve(**{n: tf.constant(v) for n, v in call.items()})["probability"]
        found = scorer.rank(**call)["probability"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_exported_vectors_are_those_of_the_places(
    exported: Path, pair: TrainedPair, data: Data
) -> None:
    """Row by row of the catalogue, for most places of a visited city; 0 for an unknown place."""
    assert isinstance(pair.candidates, TableCandidates)
    expected = pair.candidates._vectors.numpy()
    hashes = np.r_[data.catalogue.hash, np.uint64(12_345)][::-1]
    loaded = tf.saved_model.load(str(exported / "candidates" / "1"))
    found = loaded.signatures["vectors"](place_ids=tf.constant(as_int64(hashes)))["vectors"].numpy()
    np.testing.assert_array_equal(found, expected[::-1])
    assert (found[0] == 0).all()
    assert (np.linalg.norm(found[1:], axis=1) > 0).mean() > 0.5


def test_versions_count_up_past_whatever_either_model_had(
    pair: TrainedPair, tmp_path: Path
) -> None:
    """Half a pair at 7, left by a crash, is no version, and 7 is not used again."""
    (tmp_path / "ranker" / "7").mkdir(parents=True)
    (tmp_path / "candidates" / "not-a-version").mkdir(parents=True)
    assert versions(tmp_path) == []
    assert next_version(tmp_path) == 8
    assert export(exportable(pair), pair.card, tmp_path) == 8
    assert versions(tmp_path) == [8]
    assert not list(tmp_path.glob(".*"))


class _Broken(tf.Module):  # type: ignore[misc]
    """A candidate model with weights of one's own and any outputs."""

    def __init__(self, weight: float, outputs: dict[str, float]) -> None:
        super().__init__()
        self.weight = tf.Variable(weight)
        self._outputs = outputs

    def serve(
        self,
        history_ids: Any,
        history_age_s: Any,
        history_kind: Any,
        place_ids: Any,
        distance_m: Any,
        moment_s: Any,
        crowd: Any,
    ) -> dict[str, Any]:
        """Give each output as the distance times a number, and what else there must be."""
        del history_ids, history_age_s, history_kind, place_ids, moment_s, crowd
        said = {n: self.weight * 0.0 + distance_m * by for n, by in self._outputs.items()}
        return scores_alone(distance_m) | said if "scores" in said else said

    def vectors(self, place_ids: Any) -> dict[str, Any]:
        """Tell nothing of any place."""
        return {"vectors": tf.zeros([tf.shape(place_ids)[0], 1])}


def _with(pair: TrainedPair, module: Any) -> Sequence[Exportable]:
    candidates, ranker = exportable(pair)
    return replace(candidates, module=module), ranker


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (_Broken(float("nan"), {"scores": 1.0}), "is not finite"),
        (_Broken(1.0, {"scores": float("inf")}), "output 'scores' is not finite"),
        (_Broken(1.0, {"score": 1.0}), "promised were"),
        (_Broken(1.0, {"scores": 1.0, "more": 1.0}), "promised were"),
    ],
)
def test_a_broken_model_leaves_nothing_behind(
    pair: TrainedPair, tmp_path: Path, module: _Broken, message: str
) -> None:
    """Weights or answers that are no numbers, or another signature: no version, no litter."""
    with pytest.raises(NotExportable, match=message):
        export(_with(pair, module), pair.card, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert versions(tmp_path) == []


def test_a_ranker_with_nan_weights_is_not_exported(pair: TrainedPair, tmp_path: Path) -> None:
    """The second of the two fails: the first is not left behind alone."""
    calibration = pair.ranker.calibration.numpy()
    pair.ranker.calibration.assign([float("nan"), 0.0])
    try:
        with pytest.raises(NotExportable, match="ranker"):
            export(exportable(pair), pair.card, tmp_path)
    finally:
        pair.ranker.calibration.assign(calibration)
    assert versions(tmp_path) == []
    assert not (tmp_path / "candidates").exists()


def test_nothing_to_check_with_is_refused(pair: TrainedPair, tmp_path: Path) -> None:
    """An export that nobody asked anything has not been tried."""
    candidates, ranker = exportable(pair)
    untried = [replace(candidates.signatures[0], calls=()), *candidates.signatures[1:]]
    with pytest.raises(NotExportable, match="nothing to check"):
        export((replace(candidates, signatures=untried), ranker), pair.card, tmp_path)


def test_the_pair_is_tables_and_a_listwise_ranker(pair: TrainedPair) -> None:
    """The default; the plain models are asked for by setting."""
    assert isinstance(pair.candidates, TableCandidates)
    assert isinstance(pair.ranker, ListwiseRanker)


def test_places_that_nobody_has_visited_get_what_the_newest_choices_say(pair: TrainedPair) -> None:
    """And a benefit of the doubt in the score alone; others get neither."""
    ranker, rows = pair.ranker, 3
    assert isinstance(ranker, ListwiseRanker)
    features = np.zeros((rows, len(RANKING_COLUMNS)), np.float32)
    since = RANKING_COLUMNS.index("place_since_visit_log")
    features[:, since] = np.log1p(np.array([1.0, 30 * 24.0, NEVER_S / HOUR_S]))
    ids, parts = tf.zeros(rows, tf.int64), tf.zeros((rows, len(PARTS)))
    learned = float(ranker.unvisited.numpy())

    def said(offset: float) -> tuple[np.ndarray, np.ndarray]:
        ranker.unvisited.assign(offset)
        told = ranker.serve(tf.constant(features), parts, ids, ids, ids)
        return np.asarray(told["score"]), logit(np.asarray(told["probability"], np.float64))

    try:
        (score, probable), (_, more_probable) = said(0.0), said(1.0)
    finally:
        ranker.unvisited.assign(learned)
    slope = float(ranker.calibration[0].numpy())
    assert more_probable - probable == pytest.approx([0.0, 0.0, slope], abs=1e-3)
    assert score - probable == pytest.approx([0.0, 0.0, BENEFIT * slope], abs=1e-3)


@pytest.mark.parametrize("name", [pytest.param("candidates", marks=pytest.mark.slow), "ranker"])
def test_a_copy_that_a_full_disk_cut_off_is_not_served(
    exported: Path, tmp_path: Path, name: str
) -> None:
    """Wherever the weights end, the version ends with an error, and the one before it serves."""
    whole, base_path = exported / name / "1", tmp_path / name
    shutil.copytree(whole, base_path / "1")
    with running(server_settings(tmp_path), model_config(base_path, name)) as (_, api):
        api.wait_for({1: "AVAILABLE"}, name)
        states = {1: "AVAILABLE"}
        for version, kept in enumerate((0.0, 0.5, 0.999), start=2):
            cut_off(whole, base_path / str(version), kept)
            api.wait_for({version: "END", **states}, name)
            states[version] = "END"
            code, message = api.error_of(version, name)
            assert code != 0
            assert "RestoreV2" in message
        log = next(tf.data.TFRecordDataset(str(whole / WARMUP_FILE)).as_numpy_iterator())
        request = prediction_log_pb2.PredictionLog.FromString(log).predict_log.request
        assert api.predict(request).model_spec.version.value == 1
