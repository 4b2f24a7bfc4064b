"""The REST API: rows and columns, errors, status, metadata."""

import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from inference.model_server.metrics import PATH
from tests.inference.model_server.conftest import model_config, running, server_settings
from tests.inference.model_server.test_classify import export_on_examples

Call = Callable[..., tuple[int, Any]]
INPUTS = b'{"inputs": [1]}'
WRITTEN = (tf.float64, tf.int8, tf.uint8, tf.int16, tf.int32, tf.int64, tf.uint32, tf.uint64)
UNWRITTEN = {tf.float16: "half", tf.uint16: "uint16"}


class Pair(tf.Module):  # type: ignore[misc]
    """Two inputs of two types, and outputs of three."""

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, name="point"),
            tf.TensorSpec([None], tf.string, name="name_bytes"),
        ]
    )
    def serve(self, point: Any, name_bytes: Any) -> dict[str, Any]:
        """Serve the sum of each point, its name, and the name as bytes."""
        return {
            "total": tf.reduce_sum(point, axis=1),
            "name": name_bytes,
            "name_bytes": name_bytes,
        }


class Casts(tf.Module):  # type: ignore[misc]
    """Outputs of each type that a signature names."""

    def signatures(self, *types: Any) -> dict[str, Any]:
        """A signature for each type: x as that."""

        def cast_to(dtype: Any) -> Any:
            spec = tf.TensorSpec([None], tf.float32, name="x")
            return tf.function(lambda x: {"y": tf.cast(x, dtype)}, input_signature=[spec])

        return {dtype.name: cast_to(dtype).get_concrete_function() for dtype in types}


@pytest.fixture(scope="module")
def rest_port(
    tmp_path_factory: pytest.TempPathFactory, multiplier: Callable[[int], Path]
) -> Iterator[int]:
    """Port of a server with the models m (versions 2 and 3), pair, casts and e."""
    root = tmp_path_factory.mktemp("served")
    for version in (2, 3):
        shutil.copytree(multiplier(version), root / "m" / str(version))
    pair = Pair()
    tf.saved_model.save(pair, str(root / "pair" / "1"), signatures=pair.serve)
    casts = Casts()
    tf.saved_model.save(casts, str(root / "casts" / "1"), casts.signatures(*WRITTEN, *UNWRITTEN))
    export_on_examples(root / "e" / "1")
    models = [
        model_config(root / "m", every=True, labels={"stable": 2}),
        model_config(root / "pair", name="pair"),
        model_config(root / "casts", name="casts"),
        model_config(root / "e", name="e"),
    ]
    with running(server_settings(root), *models, rest_port=0) as (server, api):
        api.wait_for({3: "AVAILABLE", 2: "AVAILABLE"})
        for name in ("pair", "casts", "e"):
            api.wait_for({1: "AVAILABLE"}, model=name)
        yield server.rest_port


@pytest.fixture
def call(rest_port: int) -> Call:
    """Sends a request; returns HTTP status and parsed body."""

    def send(path: str, body: Any = None, verb: str | None = None) -> tuple[int, Any]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{rest_port}{path}", data, method=verb)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text

    return send


def test_rows_and_columns(call: Call) -> None:
    """`instances` answer `predictions`, `inputs` answer `outputs`; a single output has no name."""
    path = "/v1/models/m:predict"
    assert call(path, {"instances": [1, 2.5]}) == (
        200,
        {"predictions": [{"twice": 6.0, "y": 3.0}, {"twice": 15.0, "y": 7.5}]},
    )
    assert call(path, {"inputs": {"x": [1, 2]}}) == (
        200,
        {"outputs": {"twice": [6.0, 12.0], "y": [3.0, 6.0]}},
    )
    total = {"signature_name": "total"}
    assert call(path, {"inputs": [1], **total}) == (200, {"outputs": [4.0]})
    assert call(path, {"instances": [{"x": 1}], **total}) == (200, {"predictions": [4.0]})


@pytest.mark.parametrize(("path", "version"), [("", 3), ("/versions/2", 2), ("/labels/stable", 2)])
def test_versions_and_labels(call: Call, path: str, version: int) -> None:
    """The path chooses the version."""
    body = {"inputs": [1], "signature_name": "total"}
    assert call(f"/v1/models/m{path}:predict", body) == (200, {"outputs": [1.0 + version]})


def test_named_inputs_bytes_and_floats(call: Call) -> None:
    """base64 in and out for bytes, text for strings, and floats in their shortest form."""
    path = "/v1/models/pair:predict"
    rows: list[dict[str, Any]] = [
        {"point": [0.1, 0], "name_bytes": {"b64": "w6k="}},
        {"point": [1, 2], "name_bytes": "x"},
    ]
    first = {"total": 0.1, "name": "é", "name_bytes": {"b64": "w6k="}}
    second = {"total": 3.0, "name": "x", "name_bytes": {"b64": "eA=="}}
    assert call(path, {"instances": rows}) == (200, {"predictions": [first, second]})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert call(path, {"inputs": columns}) == (
        200,
        {"outputs": {name: [first[name], second[name]] for name in first}},
    )


@pytest.mark.parametrize("dtype", WRITTEN, ids=lambda dtype: dtype.name)
def test_types_that_json_carries(call: Call, dtype: Any) -> None:
    """Whole numbers of all widths, and doubles."""
    body = {"instances": [3], "signature_name": dtype.name}
    assert call("/v1/models/casts:predict", body) == (200, {"predictions": [3]})


@pytest.mark.parametrize("dtype", UNWRITTEN, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_types_that_json_does_not_carry(call: Call, dtype: Any, form: str) -> None:
    """The answer cannot be written, unless there is nothing in it."""
    name = UNWRITTEN[dtype]
    path, body = "/v1/models/casts:predict", {form: [3], "signature_name": dtype.name}
    message = f"Failed to write JSON value for tensor type: {name}"
    assert call(path, body) == (400, {"error": message})
    if form == "inputs":
        assert call(path, {**body, form: []}) == (200, {"outputs": []})


def test_not_a_number_travels(call: Call) -> None:
    """NaN and infinity are read and written as the real server does."""
    body = b'{"inputs": [NaN, -Infinity], "signature_name": "total"}'
    status, answer = call("/v1/models/m:predict", body)
    assert status == 200
    assert answer["outputs"][0] != answer["outputs"][0]
    assert answer["outputs"][1] == float("-inf")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("no:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(no)"),
        (
            "m/versions/9:predict",
            {"inputs": 1},
            404,
            "Servable not found for request: Specific(m, 9)",
        ),
        ("m/labels/no:predict", {"inputs": 1}, 400, "Unrecognized servable version label: no"),
        (
            "m:predict",
            {"inputs": [1], "signature_name": "no"},
            400,
            'Serving signature name: "no" not found in signature def',
        ),
        ("m:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        ("m:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("m:predict", {"inputs": {"z": [1]}}, 400, "Missing named input: x in 'inputs' object."),
        (
            "m:predict",
            {"instances": ["a"]},
            400,
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON "
            'Value: "a" Type: String is not of expected type: float',
        ),
        (
            "m:predict",
            {"instances": [1, [2]]},
            400,
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
            "shape [] but got: [1]",
        ),
        (
            "m:predict",
            {"inputs": [[1, 2], [3]]},
            400,
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        (
            "pair:predict",
            {"instances": [{"point": [1, 2]}]},
            400,
            "Failed to process element: 0 of 'instances' list. JSON object: "
            '{\n    "point": [1, 2]\n} keys must be equal to: name_bytes,point',
        ),
        (
            "pair:predict",
            {"instances": [1]},
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map",
        ),
        (
            "pair:predict",
            {"inputs": {"point": [[1, 2]], "name_bytes": [{"b64": "?"}]}},
            400,
            "Unable to base64 decode",
        ),
        ("m:explain", {}, 400, "Malformed request: POST /v1/models/m:explain"),
        ("m:Predict", {"inputs": [1]}, 400, "Malformed request: POST /v1/models/m:Predict"),
    ],
)
def test_errors(call: Call, path: str, body: Any, status: int, message: str) -> None:
    """HTTP status by the gRPC status, and its message under "error"."""
    assert call(f"/v1/models/{path}", body) == (status, {"error": message})


def test_classify_and_regress(call: Call) -> None:
    """Examples as JSON objects; results as pairs and as values."""
    body: dict[str, Any] = {"signature_name": "classify", "examples": [{"x": 0.5}, {"x": [-2.0]}]}
    assert call("/v1/models/e:classify", body) == (
        200,
        {"results": [[["pos", 0.5]], [["neg", 2.0]]]},
    )
    body = {"signature_name": "regress", "context": {"x": 7.0}, "examples": [{}, {"x": 0.1}]}
    assert call("/v1/models/e:regress", body) == (200, {"results": [7.0, 0.1]})
    assert call("/v1/models/e:regress", {"examples": [{"x": [1.0, "a"]}]}) == (
        400,
        {"error": "Unexpected element type in feature: x expecting type: float"},
    )


def test_status(call: Call) -> None:
    """All versions, or one; an unknown model is 404."""
    ok = {"error_code": "OK", "error_message": ""}
    entries = [{"version": str(v), "state": "AVAILABLE", "status": ok} for v in (3, 2)]
    assert call("/v1/models/m") == (200, {"model_version_status": entries})
    assert call("/v1/models/m/versions/2") == (200, {"model_version_status": entries[1:]})
    assert call("/v1/models/no") == (404, {"error": "Could not find any versions of model no"})
    assert call("/v1/models") == (400, {"error": "Missing model name in request."})


def test_metadata_in_other_letters_is_the_status(call: Call) -> None:
    """Any case matches the path, but only lower case is taken for the metadata."""
    assert call("/v1/models/m/METADATA") == call("/v1/models/m")


def test_metadata(call: Call) -> None:
    """Signatures with types and shapes, field names as in the protocol."""
    status, body = call("/v1/models/m/labels/stable/metadata")
    assert status == 200
    assert body["model_spec"]["version"] == "2"
    signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["inputs"]["x"]["tensor_shape"]["dim"][0]["size"] == "-1"


def test_other_paths_are_not_found(call: Call) -> None:
    """Only /v1/ and the metrics exist."""
    assert call("/")[0] == 404
    assert call("/v2/models/m")[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/m:predict?x=1", INPUTS, 400, "Malformed request: POST {path}"),
        ("/v1/models/m/metadata?x=1", None, 400, "Malformed request: GET {path}"),
        ("/v1/models/m/versions/2?", None, 400, "Malformed request: GET {path}"),
        ("/v1/models?x=1", None, 400, "Malformed request: GET {path}"),
        ("/v1/models/m?x=1", None, 404, "Could not find any versions of model m?x=1"),
        ("/v1/models/m?x=1:predict", INPUTS, 404, "Servable not found for request: Latest(m?x=1)"),
    ],
)
def test_a_query_belongs_to_the_path(
    call: Call, path: str, body: bytes | None, status: int, message: str
) -> None:
    """The real server matches both together; only a name at the end takes it in."""
    assert call(path, body) == (status, {"error": message.replace("{path}", path)})


def test_the_metrics_have_no_query(call: Call) -> None:
    """The page is found by its path, and then refused."""
    message = f"Unexpected path: {PATH}?x=1. Should be {PATH}"
    assert call(f"{PATH}?x=1") == (400, message.encode())


def test_a_path_may_name_its_host(rest_port: int) -> None:
    """As clients write it to a proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", rest_port, timeout=20)
    for host in ("http://models:8501", "HTTP://[::1]", ""):
        connection.request("GET", f"{host}/v1/models/m")
        response = connection.getresponse()
        assert (response.status, response.read()[:1]) == (200, b"{")
    connection.close()


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH"])
def test_other_verbs_are_malformed(call: Call, verb: str) -> None:
    """Known to the real server's HTTP library, and then refused by the API."""
    status, body = call("/v1/models/m", b"", verb)
    assert status == 400
    assert body == {"error": f"Malformed request: {verb} /v1/models/m"}


def test_a_body_without_a_length_is_refused(rest_port: int) -> None:
    """Chunks are not read; the answer says what is asked for instead."""
    connection = http.client.HTTPConnection("127.0.0.1", rest_port, timeout=20)
    with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
        connection.request("POST", "/v1/models/m:predict", iter([b"{}"]), encode_chunked=True)
    response = http.client.HTTPResponse(connection.sock, method="POST")
    response.begin()
    assert response.status == 411
    connection.close()
