"""Versions come and go: policies, disk, failures, and requests in flight."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

from tests.inference.model_server.conftest import (
    GARBAGE,
    model_config,
    product_request,
    values,
    wait_until,
)

Publish = Callable[[int], Path]


def test_latest_policy_follows_the_disk(start: Any, base_path: Path, publish: Publish) -> None:
    """The newest version is served; a newer one replaces it without a gap."""
    publish(2)
    _, api = start(model_config(base_path))
    api.wait_for({2: "AVAILABLE"})
    publish(3)
    versions = set()
    while api.states().get(2) != "END":
        versions.add(api.predict(product_request(1)).model_spec.version.value)
    assert versions <= {2, 3}
    assert values(api.predict(product_request(1))) == [3]
    assert api.states() == {3: "AVAILABLE", 2: "END"}


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ({}, {4}),
        ({"latest": 2}, {3, 4}),
        ({"specific": (2, 4)}, {2, 4}),
        ({"every": True}, {2, 3, 4}),
    ],
)
def test_policies(
    start: Any, base_path: Path, publish: Publish, policy: dict[str, Any], served: set[int]
) -> None:
    """Latest by default, latest n, specific versions, and all."""
    for version in (2, 3, 4):
        publish(version)
    _, api = start(model_config(base_path, **policy))
    api.wait_for(dict.fromkeys(served, "AVAILABLE"))


def test_a_corrupt_version_ends_and_others_serve(
    start: Any, base_path: Path, publish: Publish
) -> None:
    """The bad version is END with its error; the one before it stays in service."""
    publish(2)
    _, api = start(model_config(base_path))
    api.wait_for({2: "AVAILABLE"})
    bad = base_path / ".part"
    bad.mkdir()
    (bad / "saved_model.pb").write_bytes(GARBAGE)
    bad.rename(base_path / "3")
    api.wait_for({3: "END", 2: "AVAILABLE"})
    assert values(api.predict(product_request(1))) == [2]
    assert api.error_of(3) == (
        grpc.StatusCode.DATA_LOSS.value[0],
        f"Can't parse {base_path}/3/saved_model.pb as binary proto",
    )
    publish(4)
    api.wait_for({4: "AVAILABLE", 3: "END", 2: "END"})


def test_a_version_without_its_weights_ends(start: Any, base_path: Path, publish: Publish) -> None:
    """A damaged copy (variables gone) is an error of that version alone."""
    publish(2)
    shutil.rmtree(publish(3) / "variables")
    _, api = start(model_config(base_path, every=True))
    api.wait_for({3: "END", 2: "AVAILABLE"})
    assert api.error_of(3) == (
        grpc.StatusCode.NOT_FOUND.value[0],
        f"{base_path}/3/variables/variables.index; No such file or directory",
    )


def test_a_version_in_text_is_served(start: Any, base_path: Path, publish: Publish) -> None:
    """`saved_model.pbtxt` instead of `saved_model.pb`, as TensorFlow writes it if told so."""
    binary = publish(2) / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    binary.with_suffix(".pbtxt").write_text(text_format.MessageToString(saved_model))
    binary.unlink()
    _, api = start(model_config(base_path))
    api.wait_for({2: "AVAILABLE"})
    assert values(api.predict(product_request(1))) == [2]


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_version_that_a_full_disk_cut_off_ends(
    start: Any, base_path: Path, multiplier: Callable[[int], Path], publish: Publish, kept: float
) -> None:
    """What is there of its weights is not served: it ends with an error, the older one stays."""
    publish(2)
    _, api = start(model_config(base_path))
    api.wait_for({2: "AVAILABLE"})
    cut_off(multiplier(3), base_path / "3", kept)
    api.wait_for({3: "END", 2: "AVAILABLE"})
    code, message = api.error_of(3)
    assert code == grpc.StatusCode.OUT_OF_RANGE.value[0]
    assert message.startswith("Read less bytes than requested\n\t [[")
    assert values(api.predict(product_request(1))) == [2]
    publish(4)
    api.wait_for({4: "AVAILABLE", 3: "END", 2: "END"})


def cut_off(export: Path, version: Path, kept: float) -> None:
    """Put a copy in place of whose weights only the first part was written."""
    part = version.with_name(f".part-{version.name}")
    shutil.copytree(export, part)
    weights = part / "variables" / "variables.data-00000-of-00001"
    os.truncate(weights, int(kept * weights.stat().st_size))
    part.rename(version)


def test_what_is_no_complete_version_is_not_loaded(
    start: Any, base_path: Path, publish: Publish
) -> None:
    """A directory still being written, one whose name is no number, a file: all left alone."""
    publish(2)
    unfinished = base_path / "7"
    shutil.copytree(base_path / "2", unfinished)
    (unfinished / "saved_model.pb").rename(unfinished / "saved_model.pb.part")
    shutil.copytree(base_path / "2", base_path / "8.tmp")
    (base_path / "9").write_text("a file")
    _, api = start(model_config(base_path, every=True))
    api.wait_for({2: "AVAILABLE"})
    (unfinished / "saved_model.pb.part").rename(unfinished / "saved_model.pb")
    api.wait_for({7: "AVAILABLE", 2: "AVAILABLE"})


def test_an_unreadable_base_path_unloads_nothing(
    start: Any, base_path: Path, publish: Publish, tmp_path: Path
) -> None:
    """A disk that goes away for a while must not end the service; an emptied one does."""
    publish(2)
    server, api = start(model_config(base_path))
    api.wait_for({2: "AVAILABLE"})
    base_path.rename(tmp_path / "away")
    server._core._poll()
    server._core._poll()
    assert api.states() == {2: "AVAILABLE"}
    (tmp_path / "away").rename(base_path)
    shutil.rmtree(base_path / "2")
    api.wait_for({2: "END"})


class Holder(tf.Module):  # type: ignore[misc]
    """Waits inside the graph until it is let go."""

    entered = threading.Event()
    let_go = threading.Event()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def hold(self, x: Any) -> dict[str, Any]:
        """Serve x, later."""

        def wait(value: np.ndarray) -> np.ndarray:
            Holder.entered.set()
            assert Holder.let_go.wait(30)
            return value

        return {"y": tf.numpy_function(wait, [x], tf.float32)}


def test_unloading_waits_for_requests_in_flight(
    start: Any, base_path: Path, publish: Publish
) -> None:
    """A version stays UNLOADING while a request runs on it, takes no new ones, and ends after."""
    module = Holder()
    tf.saved_model.save(module, str(base_path / "1"), signatures=module.hold)
    _, api = start(model_config(base_path))
    api.wait_for({1: "AVAILABLE"})
    answer = api.prediction.Predict.future(product_request(5), timeout=30)
    assert Holder.entered.wait(30)
    publish(2)
    api.wait_for({2: "AVAILABLE", 1: "UNLOADING"})
    with pytest.raises(grpc.RpcError, match=r"Servable not found for request: Specific\(m, 1\)"):
        api.predict(product_request(5, version=1))
    assert values(api.predict(product_request(5))) == [10]
    assert api.states() == {2: "AVAILABLE", 1: "UNLOADING"}
    Holder.let_go.set()
    assert values(answer.result()) == [5]
    api.wait_for({2: "AVAILABLE", 1: "END"})


def test_a_late_request_is_not_computed(start: Any, base_path: Path, publish: Publish) -> None:
    """What waits for a thread past its deadline never reaches the model."""
    publish(2)
    module = Holder()
    slow_path = base_path.with_name("slow")
    tf.saved_model.save(module, str(slow_path / "1"), signatures=module.hold)
    server, api = start(
        model_config(base_path), model_config(slow_path, name="slow"), grpc_threads=1
    )
    api.wait_for({2: "AVAILABLE"})
    api.wait_for({1: "AVAILABLE"}, model="slow")
    Holder.entered.clear()
    Holder.let_go.clear()
    holding = api.prediction.Predict.future(product_request(1, model="slow"), timeout=30)
    assert Holder.entered.wait(30)
    with pytest.raises(grpc.RpcError) as caught:
        api.predict(product_request(1), timeout_s=0.05)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    Holder.let_go.set()
    holding.result()
    api.predict(product_request(1))
    ran = server.metrics.runtime_latency
    wait_until(lambda: server.metrics.request_count.value("m", "OK") == 1)
    assert ran.count("m", "Predict", "TF1") == 1
