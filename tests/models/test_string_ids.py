"""Ids as strings: a served pair answers as by hashes, and knows new ones from known ones."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2

from contracts.ids import as_int64, id64
from contracts.signatures import BY_STRING
from inference.model_server.server import ModelServer
from models.string_ids import StringIds, told_as_strings
from models.train import TrainedPair
from tests.inference.model_server.conftest import Api, model_config, running, server_settings
from tests.models.conftest import Data

Call = dict[str, NDArray[Any]]


def test_known_strings_have_the_hashes_that_the_models_know() -> None:
    """Whoever hashes outside of the graph: the same; nothing is none; integers are their digits."""
    strings = StringIds(["bar", "42", "bar", ""])
    found = strings(tf.constant([["bar", "42", ""]])).numpy()
    hashes = np.array([id64("bar"), id64("42"), 0], np.uint64)
    np.testing.assert_array_equal(found, [as_int64(hashes)])


def test_other_strings_are_told_apart() -> None:
    """Neither none nor known, and the same string is the same number wherever it stands."""
    strings = StringIds(["bar"])
    texts = [f"new {i}" for i in range(2_000)]
    found = strings(tf.constant(texts)).numpy()
    assert len({*found.tolist(), 0, int(as_int64(np.array([id64("bar")]))[0])}) == 2_002
    np.testing.assert_array_equal(strings(tf.constant(texts[::-1])), found[::-1])


def test_a_city_without_places_can_be_asked() -> None:
    """As for a table without a key, which TensorFlow refuses."""
    assert StringIds([])(tf.constant([""])).numpy().tolist() == [0]


@pytest.fixture(scope="module")
def served(
    exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ModelServer, Api]]:
    """A model server with the exported pair."""
    settings = server_settings(tmp_path_factory.mktemp("server"))
    models = [model_config(exported / name, name) for name in ("candidates", "ranker")]
    with running(settings, *models, rest_port=0) as (server, api):
        for name in ("candidates", "ranker"):
            api.wait_for({1: "AVAILABLE"}, name)
        yield server, api


def _by_grpc(api: Api, model: str, call: Call, signature: str = "") -> Call:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, values in call.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return {name: tf.make_ndarray(t) for name, t in api.predict(request).outputs.items()}


def _by_rest(server: ModelServer, model: str, call: Call) -> Call:
    inputs = {name: _plain(values) for name, values in call.items()}
    body = json.dumps({"signature_name": BY_STRING, "inputs": inputs}).encode()
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/{model}:predict"
    with urllib.request.urlopen(url, data=body, timeout=30) as answer:
        return {name: np.array(v) for name, v in json.load(answer)["outputs"].items()}


def _plain(values: NDArray[Any]) -> Any:
    """As JSON has it: strings, not bytes."""
    if values.dtype == object:
        return np.array([text.decode() for text in values.ravel()]).reshape(values.shape).tolist()
    return values.tolist()


@pytest.mark.parametrize("model", ["candidates", "ranker"])
def test_a_served_model_answers_strings_as_it_does_hashes(
    served: tuple[ModelServer, Api], pair: TrainedPair, data: Data, model: str
) -> None:
    """By gRPC and by REST, the calls of real held-out requests."""
    server, api = served
    call = (pair.candidate_calls if model == "candidates" else pair.ranker_calls)[0]
    texts = told_as_strings(call, data.catalogue)
    assert any(values.dtype == object for values in texts.values())
    expected = _by_grpc(api, model, call)
    for found in (_by_grpc(api, model, texts, BY_STRING), _by_rest(server, model, texts)):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


def test_a_new_place_is_scored_as_by_a_hash_that_nobody_knows(
    served: tuple[ModelServer, Api], pair: TrainedPair, data: Data
) -> None:
    """In the user's history, too: that it is the same place speaks for it."""
    _, api = served
    call = dict(pair.candidate_calls[0])
    history, places = call["history_ids"].copy(), call["place_ids"].copy()
    history[0, 0] = places[0, 3] = as_int64(np.array([id64("brand new")], np.uint64))[0]
    call |= {"history_ids": history, "place_ids": places}
    texts = told_as_strings(call, data.catalogue)
    expected = _by_grpc(api, "candidates", call)["scores"]
    found = _by_grpc(api, "candidates", texts, BY_STRING)["scores"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    texts["place_ids"][0, 3] = b"another new one"
    elsewhere = _by_grpc(api, "candidates", texts, BY_STRING)["scores"]
    assert elsewhere[0, 3] != pytest.approx(found[0, 3], abs=1e-3)
