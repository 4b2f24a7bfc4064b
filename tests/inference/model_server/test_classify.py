"""Classify, Regress and MultiInference: served where the signature fits, refused where not."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from inference.model_server.server import ModelServer
from tests.inference.model_server.conftest import Api, model_config, running, server_settings

INVALID = grpc.StatusCode.INVALID_ARGUMENT
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


class OnExamples(tf.Module):  # type: ignore[misc]
    """Reads feature "x" of each example: as a value, and as the class "pos" or "neg"."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])  # type: ignore[untyped-decorator]
    def classify(self, inputs: Any) -> dict[str, Any]:
        """Serve classes and scores."""
        x = self._x(inputs)
        names = tf.where(x > 0, tf.constant("pos"), tf.constant("neg"))
        return {"classes": names[:, None], "scores": tf.abs(x)[:, None]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])  # type: ignore[untyped-decorator]
    def regress(self, inputs: Any) -> dict[str, Any]:
        """Serve x."""
        return {"outputs": self._x(inputs)}

    def _x(self, inputs: Any) -> Any:
        spec = {"x": tf.io.FixedLenFeature([], tf.float32, default_value=0.0)}
        return tf.io.parse_example(inputs, spec)["x"]


def export_on_examples(path: Path) -> None:
    """Write an OnExamples with its two signatures."""
    module = OnExamples()
    signatures = {"classify": module.classify, "regress": module.regress}
    tf.saved_model.save(module, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, multiplier: Callable[[int], Path]
) -> Iterator[tuple[ModelServer, Api]]:
    """Model m multiplies (a plain predict model), model e works on examples."""
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(multiplier(2), root / "m" / "2")
    export_on_examples(root / "e" / "1")
    models = [model_config(root / name, name=name) for name in ("m", "e")]
    with running(server_settings(root), *models) as (server, api):
        api.wait_for({2: "AVAILABLE"})
        api.wait_for({1: "AVAILABLE"}, model="e")
        yield server, api


@pytest.fixture
def api(served: tuple[ModelServer, Api]) -> Api:
    """The API of that server."""
    return served[1]


def fill(request: Any, model: str, signature: str, *x: float) -> Any:
    """Fill a request with examples."""
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    add_examples(request.input.example_list, *x)
    return request


def add_examples(target: Any, *x: float) -> None:
    """Add an example for each value."""
    for value in x:
        target.examples.add().features.feature["x"].float_list.value.append(value)


def refusal(call: Callable[[Any], Any], request: Any) -> tuple[grpc.StatusCode, str | None]:
    """Status and message with which a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value.code(), caught.value.details()


def test_classifies(api: Api) -> None:
    """Label and score for each example; the answer names version and signature."""
    request = fill(classification_pb2.ClassificationRequest(), "e", "classify", 0.5, -2)
    response = api.prediction.Classify(request)
    pairs = [
        (entry.label, entry.score)
        for classifications in response.result.classifications
        for entry in classifications.classes
    ]
    assert pairs == [("pos", 0.5), ("neg", 2.0)]
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "classify"


def test_regresses_with_a_shared_context(api: Api) -> None:
    """A context's features count for every example that has none of its own."""
    request = fill(regression_pb2.RegressionRequest(), "e", "regress")
    listed = request.input.example_list_with_context
    listed.context.features.feature["x"].float_list.value.append(7)
    listed.examples.add()
    add_examples(listed, 3)
    values = [entry.value for entry in api.prediction.Regress(request).result.regressions]
    assert values == [7, 3]


def both_at_once(*x: float) -> Any:
    """Ask for classes and values of the same examples."""
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in (("classify", CLASSIFY), ("regress", REGRESS)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name = "e"
        task.model_spec.signature_name = signature
    add_examples(request.input.example_list, *x)
    return request


def test_both_at_once(api: Api) -> None:
    """MultiInference runs two signatures over the same examples."""
    first, second = api.prediction.MultiInference(both_at_once(-4)).results
    assert first.classification_result.classifications[0].classes[0].label == "neg"
    assert second.regression_result.regressions[0].value == -4
    assert second.model_spec.signature_name == "regress"


def test_examples_of_both_at_once_are_counted(served: tuple[ModelServer, Api]) -> None:
    """By model, and nothing else is measured of them: so does the real server."""
    server, api = served
    before = server.metrics.example_total.value("e"), server.metrics.example_counts.count("e")
    api.prediction.MultiInference(both_at_once(1, 2, 3))
    after = server.metrics.example_total.value("e"), server.metrics.example_counts.count("e")
    assert after == (before[0] + 3, before[1] + 1)
    assert "MultiInference" not in server.metrics.page()


def test_a_predict_signature_is_refused(api: Api) -> None:
    """One input named x and two outputs: no classification and no regression."""
    request = fill(classification_pb2.ClassificationRequest(), "m", "", 1)
    status, message = refusal(api.prediction.Classify, request)
    assert status is INVALID
    assert message is not None
    assert message.startswith("No classification inputs found in SignatureDef: ")
    request = fill(regression_pb2.RegressionRequest(), "m", "", 1)
    assert refusal(api.prediction.Regress, request) == (INVALID, "Expected one output Tensor.")


def test_refuses_empty_input_and_unknown_signature(api: Api) -> None:
    """The real server's words, which differ from Predict's."""
    request = fill(classification_pb2.ClassificationRequest(), "e", "classify")
    assert refusal(api.prediction.Classify, request) == (INVALID, "Input is empty.")
    request = fill(classification_pb2.ClassificationRequest(), "e", "no", 1)
    assert refusal(api.prediction.Classify, request) == (
        INVALID,
        "No signature was found with the name: no",
    )


def test_multi_inference_refuses_bad_tasks(api: Api) -> None:
    """No tasks, the same signature twice, two models, a method that it does not know."""

    def tasks(*specs: tuple[str, str, str]) -> Any:
        request = inference_pb2.MultiInferenceRequest()
        for model, signature, method in specs:
            task = request.tasks.add(method_name=method)
            task.model_spec.name = model
            task.model_spec.signature_name = signature
        return request

    call = api.prediction.MultiInference
    good = ("e", "classify", CLASSIFY)
    assert refusal(call, tasks()) == (INVALID, "ModelSpec has no name specified.")
    assert refusal(call, tasks(good, good)) == (
        INVALID,
        "Duplicate evaluation of signature: classify",
    )
    assert refusal(call, tasks(good, ("m", "", CLASSIFY))) == (
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    )
    assert refusal(call, tasks(("e", "classify", "tensorflow/serving/predict"))) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    )
