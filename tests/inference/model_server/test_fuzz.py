"""Whatever bytes reach the model server: a status of TF Serving's, no crash, no error of its own.

Mutants of the bytes of good requests go over gRPC, mutants of good JSON and of good paths over
REST. `HandleReloadConfigRequest` is left
out: a request of it that says something replaces the models that are asked here.
"""

import http.client
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError, Message
from structlog.testing import capture_logs
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from tests.fuzzing.messages import TOKENS
from tests.fuzzing.mutations import mutants
from tests.inference.model_server.conftest import Api, product_request, values
from tests.inference.model_server.test_rest import rest_port as rest_port
from tests.inference.test_tensor_codec import shaped

PREDICTION, MODELS = "/tensorflow.serving.PredictionService/", "/tensorflow.serving.ModelService/"
METHODS: dict[str, Any] = {
    f"{PREDICTION}Predict": predict_pb2.PredictRequest,
    f"{PREDICTION}Classify": classification_pb2.ClassificationRequest,
    f"{PREDICTION}Regress": regression_pb2.RegressionRequest,
    f"{PREDICTION}MultiInference": inference_pb2.MultiInferenceRequest,
    f"{PREDICTION}GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    f"{MODELS}GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
}
MUTANTS = 40
FEW, MANY = 20, 2_000
#: What the real server says of a request that is wrong; the last is of a model that is not there.
EXPECTED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
}
BODIES = (
    b'{"instances": [1.0, 2.0]}',
    b'{"inputs": {"x": [1.0, 2e38]}, "signature_name": "total"}',
    b'{"instances": [{"x": 1.5}, {"x": -0.0}]}',
    b'{"examples": [{"x": 1.0, "name": {"b64": "aGk="}}], "context": {}}',
    rb'{"inputs": {"point": [[1, 2]], "name_bytes": ["\ud83d\ude00"]}}',
    b'{"inputs": {"point": [[1, 2]], "name_bytes": [{"b64": "aGk"}]}}',
    b'{"signature_name": "regress", "examples": [{"x": 0.5}, {"x": [12345678901]}]}',
    b'{"inputs": %s1%s, "signature_name": "total"}' % (b"[" * 63, b"]" * 63),
)
PATHS = (
    b"/v1/models/m:predict",
    b"/v1/models/m/versions/3:predict",
    b"/v1/models/m/labels/stable:classify",
    b"/v1/models/pair:predict",
    b"/v1/models/e:regress",
    b"/v1/models/m/metadata",
    b"/v1/models/m/versions/2",
)
JSON_TOKENS = (
    *(b"[" * 500, b"[[", b"]]", b"1e999", b"NaN", b"9" * 5_000, b"1" + b"0" * 400),
    *(b'{"b64":', b'{"b64":"aGk"}', b"\\ud800", b"\\udc00", b'"\\ud800"', b"null", b"\xff"),
)
PATH_TOKENS = (b"%00", b"..", b"/" * 50, b":", b"9" * 20, b"9" * 5_000)
FEW_REST, MANY_REST = 200, 50_000


def good(name: str) -> Message:
    """A request that is answered, or refused for its signature alone."""
    if name == "Predict":
        request: Message = product_request(1.0, 2.0)
        return request
    asked = METHODS[next(path for path in METHODS if path.endswith(f"/{name}"))]()
    if name == "MultiInference":
        task = asked.tasks.add(method_name="tensorflow/serving/regress")
        task.model_spec.name = "m"
        return asked  # type: ignore[no-any-return]
    asked.model_spec.name = "m"
    if name == "GetModelMetadata":
        asked.metadata_field.append("signature_def")
    if name in ("Classify", "Regress"):
        example = asked.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(1.0)
    return asked  # type: ignore[no-any-return]


def parses(kind: Any, raw: bytes) -> bool:
    """Whether gRPC can read a message from these bytes; if not, it answers by itself."""
    try:
        kind.FromString(raw)
    except DecodeError:
        return False
    return True


def bases(method: str) -> list[Message]:
    """Good requests and nearly good ones: of versions and labels that are not there, and empty."""
    kind, name = METHODS[method], method.rpartition("/")[2]
    found = [kind(), good(name)]
    for label, version in (("stable", None), ("none", None), (None, 2), (None, 9)):
        asked: Any = good(name)
        specs = (
            [t.model_spec for t in asked.tasks] if name == "MultiInference" else [asked.model_spec]
        )
        for spec in specs:
            spec.signature_name = "total"
            if label is not None:
                spec.version_label = label
            else:
                spec.version.value = version
        found.append(asked)
    return found + (odd_predictions() if name == "Predict" else [])


def odd_predictions() -> list[Message]:
    """Of tensors that numpy has not, and of values too wide for their types."""
    found: list[Message] = []
    for tensor in (
        shaped(*[1] * 65, dtype=1, float_val=[1]),
        shaped(2**62, 0, dtype=1),
        shaped(2, dtype=4, int_val=[300, -1]),
        shaped(2, dtype=19, half_val=[-1, 70_000]),
    ):
        asked = product_request(1)
        asked.inputs["x"].ParseFromString(tensor.SerializeToString())
        found.append(asked)
    return found


def fuzz(api: Api, method: str, rounds: int) -> int:
    """Ask `MUTANTS` of each base so many times; return how many reached the server's own code."""
    kind, name = METHODS[method], method.rpartition("/")[2]
    call: Any = api.channel.unary_unary(method)
    rng, reached = random.Random(rounds), 0
    with capture_logs() as logs:
        for raw in (m for _ in range(rounds) for base in bases(method) for m in harmed(base, rng)):
            if not parses(kind, raw):
                continue
            reached += 1
            if (error := failure(call, raw)) is not None:
                assert error.code() in EXPECTED, (name, raw, error)
                assert error.details(), (name, raw)
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    # The server is as it was.
    assert values(api.predict(product_request(2.0, version=3))) == [6.0]
    return reached


def failure(call: Any, raw: bytes) -> Any:
    """The error that a call ends with, if any."""
    try:
        call(raw, timeout=20)
    except grpc.RpcError as error:
        return error
    return None


def harmed(base: Message, rng: random.Random) -> Iterator[bytes]:
    """Mutants of a message's bytes."""
    return mutants(base.SerializeToString(), rng, MUTANTS, TOKENS)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.rpartition("/")[2])
def test_no_request_breaks_the_server(two_versions: Api, method: str) -> None:
    """Hundreds of requests of each method, a good part of which can be read."""
    assert fuzz(two_versions, method, FEW) > 10 * MUTANTS


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.rpartition("/")[2])
def test_no_request_breaks_the_server_in_the_long_run(two_versions: Api, method: str) -> None:
    """The same, some 60,000 of each."""
    fuzz(two_versions, method, MANY)


def ask_rest(port: int, method: str, path: bytes, body: bytes) -> int:
    """The status of a raw HTTP request, sent as it is; 0 if the server closed without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.connect()
        head = b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        connection.sock.sendall(head % (method.encode(), path, len(body)) + body)
        response = http.client.HTTPResponse(connection.sock, method=method)
        response.begin()
        response.read()
        return response.status
    except (http.client.BadStatusLine, ConnectionError):
        return 0
    finally:
        connection.close()


def inputs_of_rest(rng: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """Paths and bodies without end: each path with some bodies, all of them harmed or not."""
    while True:
        for path in mutants(rng.choice(PATHS), rng, 6, PATH_TOKENS):
            if any(byte <= 0x20 or byte == 0x7F for byte in path):
                continue  # no request line, but something else
            for body in mutants(rng.choice(BODIES), rng, 3, JSON_TOKENS):
                yield path, body


def fuzz_rest(port: int, seed: int, count: int) -> set[int]:
    """Send so many inputs; return the statuses that were met."""
    met = set()
    with capture_logs() as logs:
        for path, body in islice(inputs_of_rest(random.Random(seed)), count):
            status = ask_rest(port, "POST" if b":" in path else "GET", path, body)
            assert status < 500, (path, body, status)
            met.add(status)
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    return met


@pytest.mark.parametrize("seed", range(3))
def test_no_json_and_no_path_breaks_rest(rest_port: int, seed: int) -> None:
    """Whatever is sent, the answer is the caller's fault or a good one, never a server error."""
    assert fuzz_rest(rest_port, seed, FEW_REST) >= {200, 400, 404}


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_json_and_no_path_breaks_rest_in_the_long_run(rest_port: int) -> None:
    """The same, 50,000 of them."""
    fuzz_rest(rest_port, MANY_REST, MANY_REST)
