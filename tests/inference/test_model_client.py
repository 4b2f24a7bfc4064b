"""The client, against the embedded server and against a stand-in that answers as it is told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from contracts.settings import Settings
from inference.model_client import ANY, BadModelAnswer, ModelClient, ModelUnavailable
from inference.model_server.server import ModelServer
from placestream.stack.ports import free_port
from tests.inference.waiting import eventually

X = {"x": np.array([1, 2.5], np.float32)}


class Scale(tf.Module):  # type: ignore[misc]
    """Multiplies by its weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = tf.Variable(weight, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def serve(self, x: Any) -> dict[str, Any]:
        """Serve x * weight, and whether it is positive."""
        y = x * self.weight
        return {"y": y, "positive": y > 0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def add(self, x: Any) -> dict[str, Any]:
        """Serve x + weight."""
        return {"sum": x + self.weight}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """Versions 2 and 3 of "m", whose weights are their numbers; label "stable" on 2."""
    root = tmp_path_factory.mktemp("served")
    for version in (2, 3):
        module = Scale(version)
        signatures = {"serving_default": module.serve, "add": module.add}
        tf.saved_model.save(module, str(root / "m" / str(version)), signatures=signatures)
    config = root / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{root}/m" '
        'model_platform: "tensorflow" model_version_policy { all {} } '
        'version_labels { key: "stable" value: 2 } } }'
    )
    settings = Settings(
        model_server="127.0.0.1:0",
        model_server_rest_port=0,
        model_config_file=config,
        model_poll_s=0.05,
    )
    with ModelServer(settings) as running:
        yield running


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., ModelClient]]:
    """Makes clients of a port; closes them at the end."""
    clients: list[ModelClient] = []

    def make(port: int, label: str = "") -> ModelClient:
        clients.append(ModelClient(f"127.0.0.1:{port}", label))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


async def loaded(client: ModelClient) -> ModelClient:
    """Wait until both versions serve."""
    wanted = {3: "AVAILABLE", 2: "AVAILABLE"}
    for _ in range(3_000):
        if await client.status("m", timeout_s=20) == wanted:
            return client
        await asyncio.sleep(0.02)
    raise AssertionError("the models did not become available within a minute")


@pytest.mark.parametrize(("label", "version"), [("stable", 2), ("", 3)])
async def test_predicts(
    server: ModelServer, connect: Callable[..., ModelClient], label: str, version: int
) -> None:
    """By label, or the latest; outputs of every type, and the version that computed them."""
    client = await loaded(connect(server.grpc_port, label))
    prediction = await client.predict("m", X, {"y": (2,), "positive": (2,)}, timeout_s=20)
    assert prediction.version == version
    assert prediction.outputs["y"].tolist() == [version, 2.5 * version]
    assert prediction.outputs["positive"].tolist() == [True, True]


async def test_asks_another_signature(
    server: ModelServer, connect: Callable[..., ModelClient]
) -> None:
    """By its name; one that the model does not have is a failed call."""
    client = await loaded(connect(server.grpc_port, "stable"))
    said = await client.predict("m", X, {"sum": (2,)}, timeout_s=20, signature="add")
    assert said.outputs["sum"].tolist() == [3.0, 4.5]
    with pytest.raises(ModelUnavailable, match='"vectors" not found'):
        await client.predict("m", X, {"vectors": (2, ANY)}, timeout_s=20, signature="vectors")


async def test_many_calls_at_once(server: ModelServer, connect: Callable[..., ModelClient]) -> None:
    """One channel carries them all, and no answer is mistaken for another's."""
    client = await loaded(connect(server.grpc_port, "stable"))
    inputs = [{"x": np.full(3, i, np.float32)} for i in range(50)]
    answers = await asyncio.gather(
        *(client.predict("m", each, {"y": (3,)}, timeout_s=60) for each in inputs)
    )
    assert [a.outputs["y"].tolist() for a in answers] == [[2.0 * i] * 3 for i in range(50)]


async def test_of_several_servers_those_are_asked_that_serve(
    server: ModelServer, connect: Callable[..., ModelClient], tmp_path: Path
) -> None:
    """One has no models yet, one is not there: every call is answered by the third."""
    await loaded(connect(server.grpc_port))
    empty = Settings(
        model_server="127.0.0.1:0",
        model_server_rest_port=0,
        model_config_file=tmp_path / "models.config",
    )
    with ModelServer(empty) as waiting:
        ports = (waiting.grpc_port, free_port(), server.grpc_port)
        client = ModelClient("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports), "stable")
        for _ in range(20):
            assert (await client.predict("m", X, {"y": (2,)}, 20)).version == 2
        await client.close()


async def test_says_why_it_failed(server: ModelServer, connect: Callable[..., ModelClient]) -> None:
    """The server's status and words, and the model's name."""
    client = await loaded(connect(server.grpc_port))
    with pytest.raises(ModelUnavailable, match=r"no: NOT_FOUND: .*Latest\(no\)") as caught:
        await client.predict("no", X, {"y": (2,)}, timeout_s=20)
    assert caught.value.model == "no"
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    with pytest.raises(ModelUnavailable) as caught:
        await client.predict("m", X, {"nothing": (2,)}, timeout_s=20)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_status_of_an_unknown_model_is_empty(
    server: ModelServer, connect: Callable[..., ModelClient]
) -> None:
    """No versions, and no exception."""
    assert await connect(server.grpc_port).status("no", timeout_s=20) == {}


async def test_a_server_that_is_gone(
    connect: Callable[..., ModelClient], unused_tcp_port: int
) -> None:
    """Nobody listens: UNAVAILABLE, for a prediction and for the status."""
    client = connect(unused_tcp_port)
    for call in (
        client.predict("m", X, {"y": (2,)}, timeout_s=20),
        client.status("m", timeout_s=20),
    ):
        with pytest.raises(ModelUnavailable) as caught:
            await call
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE


class StandIn(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Answers every Predict with `answer`, once it may."""

    def __init__(self) -> None:
        self.answer = predict_pb2.PredictResponse()
        self.requests: list[Any] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Note the request and answer as told."""
        self.requests.append(request)
        assert self.may_answer.wait(30)
        return self.answer

    def say(self, **outputs: Any) -> None:
        """Answer with these outputs from now on, in typed fields as TF Serving does."""
        for name, values in outputs.items():
            tensor = self.answer.outputs[name]
            tensor.dtype = tf.float32.as_datatype_enum
            for size in np.shape(values):
                tensor.tensor_shape.dim.add(size=size)
            tensor.float_val.extend(np.ravel(values))


@pytest.fixture
def stand_in() -> Iterator[tuple[StandIn, int]]:
    """A stand-in for `tensorflow/serving` and its port."""
    service = StandIn()
    server = grpc.server(ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, port
    service.may_answer.set()
    server.stop(0).wait()


async def test_speaks_the_protocol(
    stand_in: tuple[StandIn, int], connect: Callable[..., ModelClient]
) -> None:
    """What goes out is TF Serving's request; typed fields come in."""
    service, port = stand_in
    service.answer.model_spec.version.value = 7
    service.say(y=[0.5, 0.25])
    prediction = await connect(port, "stable").predict("m", X, {"y": (2,)}, timeout_s=20)
    assert prediction.version == 7
    assert prediction.outputs["y"].tolist() == [0.5, 0.25]
    (request,) = service.requests
    assert request.model_spec.name == "m"
    assert request.model_spec.version_label == "stable"
    assert list(request.output_filter) == ["y"]
    assert request.inputs["x"].tensor_content == X["x"].tobytes()


async def test_gives_up_at_the_deadline(
    stand_in: tuple[StandIn, int], connect: Callable[..., ModelClient]
) -> None:
    """A model that hangs costs no more than the time it was given."""
    service, port = stand_in
    service.may_answer.clear()
    with pytest.raises(ModelUnavailable) as caught:
        await connect(port).predict("m", X, {"y": (2,)}, timeout_s=0.05)
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_of_several_servers_one_that_hangs_is_left_out_until_it_answers(
    server: ModelServer, connect: Callable[..., ModelClient], stand_in: tuple[StandIn, int]
) -> None:
    """Calls go round: half of them would else meet it, and no ten in a row be answered."""
    await loaded(connect(server.grpc_port))
    service, port = stand_in
    service.answer.model_spec.version.value = 7
    service.say(y=[0.5, 0.25])
    client = ModelClient(f"ipv4:127.0.0.1:{server.grpc_port},127.0.0.1:{port}", "stable")

    async def versions(calls: int) -> set[int]:
        """Who answers so many calls; 0 for none."""
        found = set()
        for _ in range(calls):
            try:
                found.add((await client.predict("m", X, {"y": (2,)}, timeout_s=0.1)).version)
            except ModelUnavailable:
                found.add(0)
        return found

    async def seen(*wanted: int) -> bool:
        return await versions(10) == set(wanted)

    await eventually(lambda: seen(2, 7))
    service.may_answer.clear()
    assert 0 in await versions(2)
    await eventually(lambda: seen(2))
    service.may_answer.set()
    await eventually(lambda: seen(2, 7))
    await client.close()


@pytest.mark.parametrize(
    ("outputs", "shape", "problem"),
    [
        ({"z": [1, 2]}, None, "m: output 'y' is missing"),
        ({"y": [1, float("nan")]}, (2,), "m: output 'y' holds NaN or infinity"),
        ({"y": [1, float("inf")]}, (2,), "m: output 'y' holds NaN or infinity"),
        ({"y": [1, 2, 3]}, (2,), r"m: output 'y' has shape \[3\]"),
        ({"y": 1}, (2,), r"m: output 'y' has shape \[\]"),
        ({"y": [[1], [2]]}, (2,), r"m: output 'y' has shape \[2, 1\], not \[2\]"),
        ({"y": [[1], [2]]}, (ANY, 3), r"m: output 'y' has shape \[2, 1\], not \['any', 3\]"),
    ],
)
async def test_refuses_bad_answers(
    stand_in: tuple[StandIn, int],
    connect: Callable[..., ModelClient],
    outputs: dict[str, Any],
    shape: tuple[int, ...],
    problem: str,
) -> None:
    """Missing, not finite, of another batch, or not of the shape that was asked for."""
    service, port = stand_in
    service.say(**outputs)
    with pytest.raises(BadModelAnswer, match=problem):
        await connect(port).predict("m", X, {"y": shape}, timeout_s=20)


async def test_refuses_an_unreadable_answer(
    stand_in: tuple[StandIn, int], connect: Callable[..., ModelClient]
) -> None:
    """A tensor whose bytes do not fill its shape."""
    service, port = stand_in
    service.say(y=[1, 2])
    service.answer.outputs["y"].tensor_content = b"123"
    with pytest.raises(BadModelAnswer, match="do not fill"):
        await connect(port).predict("m", X, {"y": (2,)}, timeout_s=20)


async def test_finds_a_server_that_comes_back(
    connect: Callable[..., ModelClient], unused_tcp_port: int
) -> None:
    """The channel outlives the model server: the same client reaches its successor."""
    client = connect(unused_tcp_port)
    with pytest.raises(ModelUnavailable):
        await client.status("m", timeout_s=20)
    successor = grpc.server(ThreadPoolExecutor(1))
    service = StandIn()
    service.say(y=[1, 2])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, successor)
    successor.add_insecure_port(f"127.0.0.1:{unused_tcp_port}")
    successor.start()
    async with asyncio.timeout(30):
        while True:
            try:
                await client.predict("m", X, {"y": (2,)}, timeout_s=20)
                break
            except ModelUnavailable:
                await asyncio.sleep(0.02)
    successor.stop(0).wait()
