"""Calls that are computed together: each gets its own rows, and its own errors."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from contracts.settings import Settings
from inference.model_server.batching import Batcher, batchable
from inference.model_server.batching_config import BatchingParameters, read_batching
from inference.model_server.config import BadConfigFile
from inference.model_server.errors import ServingError, invalid_argument
from tests.inference.model_server.conftest import model_config, product_request, running, values


class Doubling:
    """Doubles rows; holds the first computation back until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, inputs: Any) -> list[np.ndarray]:
        self.sizes.append(len(inputs[0]))
        self.begun.set()
        assert self.go.wait(30)
        if (inputs[0] < 0).any():
            raise invalid_argument("negative")
        return [2 * inputs[0]]


def wait_for(batcher: Batcher, members: int) -> None:
    """Until so many calls are in the batch that is open."""
    for _ in range(3_000):
        with batcher._lock:
            if [len(batch.members) for batch in batcher._open.values()] == [members]:
                return
        threading.Event().wait(0.01)
    raise AssertionError("nobody joined")


def run_behind(batcher: Batcher, compute: Doubling, *values: list[float]) -> list[Any]:
    """Calls that come while the one turn is taken; what each gets, errors as values."""

    def one(rows: list[float]) -> Any:
        try:
            return batcher.run("key", [np.array(rows)], compute)[0].tolist()
        except ServingError as error:
            return str(error)

    with ThreadPoolExecutor(len(values) + 1) as pool:
        first = pool.submit(one, [7.0])
        assert compute.begun.wait(30)
        others = []
        for i, rows in enumerate(values):
            others.append(pool.submit(one, rows))
            wait_for(batcher, i + 1)
        compute.go.set()
        assert first.result() == [14.0]
        return [other.result() for other in others]


def one_turn(**changes: Any) -> Batcher:
    return Batcher(BatchingParameters(**({"num_batch_threads": 1} | changes)))


def test_calls_that_wait_are_computed_as_one() -> None:
    """Three calls behind the first: one computation, and each gets its own rows."""
    compute = Doubling()
    said = run_behind(one_turn(), compute, [1.0], [2.0, 3.0], [4.0])
    assert said == [[2.0], [4.0, 6.0], [8.0]]
    assert compute.sizes == [1, 4]


def test_no_call_fails_by_the_fault_of_another() -> None:
    """A batch that fails is computed call by call."""
    said = run_behind(one_turn(), Doubling(), [1.0], [-1.0])
    assert said == [[2.0], "INVALID_ARGUMENT: negative"]


def test_a_batch_waits_so_long_for_others() -> None:
    """Two calls that fill it are computed at once, long before the time is over."""
    compute, batcher = Doubling(), one_turn(batch_timeout_micros=60_000_000, max_batch_size=2)
    compute.go.set()
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda x: batcher.run("key", [np.array([x])], compute)[0][0], (1.0, 2.0))
        assert list(said) == [2.0, 4.0]
    assert compute.sizes == [2]


def test_too_many_batches_are_refused_in_the_real_servers_words() -> None:
    """One turn is taken, one batch waits and is full: the next is UNAVAILABLE."""
    compute, batcher = Doubling(), one_turn(max_enqueued_batches=1, max_batch_size=1)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(batcher.run, "key", [np.ones(1)], compute)]
        assert compute.begun.wait(30)
        calls.append(pool.submit(batcher.run, "key", [np.ones(1)], compute))
        wait_for(batcher, 1)
        with pytest.raises(ServingError) as caught:
            batcher.run("key", [np.ones(1)], compute)
        compute.go.set()
        assert [call.result()[0].tolist() for call in calls] == [[2.0], [2.0]]
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert caught.value.message == (
        "The batch scheduling queue to which this task was submitted is full; "
        "currently 1 batches enqueued and max_enqueued_batches is 1"
    )


def test_what_can_be_put_together() -> None:
    """An open first dimension of the signature, and one first size of all inputs."""
    assert batchable({"a:0": [-1, 3], "b:0": [3], "c:0": []}) == {"a:0"}
    batcher = one_turn(max_batch_size=2)
    assert batcher.takes([np.ones((2, 5)), np.ones(2)])
    assert not batcher.takes([np.ones((0, 5)), np.ones(0)])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([np.ones(3)], "Task size 3 is larger than maximum input batch size 2"),
        (
            [np.ones((2, 5)), np.ones(1)],
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        ([np.array(1.0)], "Batching Run() input tensors must have at least one dimension"),
        ([], "Batching Run() must have at least one input tensor"),
    ],
)
def test_what_is_refused_in_the_real_servers_words(inputs: list[Any], message: str) -> None:
    """Too many rows, rows that differ, no rows: INVALID_ARGUMENT, as with --enable_batching."""
    with pytest.raises(ServingError) as caught:
        one_turn(max_batch_size=2).takes(inputs)
    assert (caught.value.code, caught.value.message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        message,
    )


def test_the_file_is_tf_servings(tmp_path: Path) -> None:
    """The form of its documentation; what is not stated is as there."""
    path = tmp_path / "batching.config"
    path.write_text(
        "max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\n"
        'num_batch_threads { value: 8 }\nthread_pool_name { value: "pool" }\n'
    )
    assert read_batching(path) == BatchingParameters(128, 0, 10, 8)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_batch_size: 128", "max_batch_size"),
        ("num_batch_threads { value: 0 }", "num_batch_threads"),
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs"),
        ("enable_large_batch_splitting { value: true }", "enable_large_batch_splitting"),
        ("\xff", "batching.config"),
    ],
)
def test_a_file_that_means_something_else_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """By the name of the field, those among it that this server does not know."""
    path = tmp_path / "batching.config"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadConfigFile, match=named):
        read_batching(path)


def test_a_server_with_batching_answers_as_one_without(
    settings: Settings, base_path: Path, publish: Any, tmp_path: Path
) -> None:
    """Calls of different sizes from several threads get their own rows back; too large: refused."""
    file = tmp_path / "batching.config"
    file.write_text("num_batch_threads { value: 1 } max_batch_size { value: 16 }")
    publish(3)
    batching = settings.model_copy(update={"model_batching_file": file})
    with running(batching, model_config(base_path)) as (_, api):
        api.wait_for({3: "AVAILABLE"})

        def one(i: int) -> bool:
            x = [float(i + j) for j in range(1 + i % 16)]
            return values(api.predict(product_request(*x))) == [3 * v for v in x]

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(one, range(200)))
        with pytest.raises(grpc.RpcError) as refused:
            api.predict(product_request(*range(17)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "Task size 17 is larger than maximum input batch size 16"
