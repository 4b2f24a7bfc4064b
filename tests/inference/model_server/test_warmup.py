"""Warm-up records are replayed before a version becomes available."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from inference.model_server import loading, warmup
from inference.model_server.servable import Servable
from tests.inference.model_server.conftest import (
    Api,
    model_config,
    product_request,
    wait_until,
)
from tests.inference.model_server.test_server import health

Publish = Callable[[int], Path]


def predict_log(*x: float, **spec: Any) -> Any:
    """A record of a Predict request."""
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(product_request(*x, **spec))
    return log


def add_records(version: Path, *records: bytes) -> None:
    """Put a warm-up file into a version that is not yet in place."""
    extra = version / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def prepared(base_path: Path, publish: Publish) -> Path:
    """A version 3 next to its place."""
    return publish(3).rename(base_path / ".part-3")


def error_of(api: Api, version: int) -> str:
    """Why a version ended."""
    return api.error_of(version)[1]


def test_records_are_run(start: Any, base_path: Path, prepared: Path) -> None:
    """Each once, before AVAILABLE; they are no requests of anyone."""
    add_records(prepared, *[predict_log(1, 2).SerializeToString()] * 3)
    path = str(prepared.rename(base_path / "3"))
    server, api = start(model_config(base_path))
    api.wait_for({3: "AVAILABLE"})
    assert server.metrics.warmup_records.value(path, "OK") == 3
    assert server.metrics.warmup_latency.count(path, "OK") == 1
    assert server.metrics.request_count.value("m", "OK") == 0


def test_a_failing_record_keeps_the_version_out(
    start: Any, base_path: Path, publish: Publish, prepared: Path
) -> None:
    """The model that cannot answer its own examples is not served; the old one stays."""
    publish(2)
    _, api = start(model_config(base_path))
    api.wait_for({2: "AVAILABLE"})
    add_records(prepared, predict_log(1, signature_name="no").SerializeToString())
    prepared.rename(base_path / "3")
    api.wait_for({3: "END", 2: "AVAILABLE"})
    assert error_of(api, 3) == 'Serving signature key "no" not found.'


def test_a_file_that_is_no_tfrecord_keeps_the_version_out(
    start: Any, base_path: Path, prepared: Path
) -> None:
    """The real server's words."""
    add_records(prepared)
    (prepared / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no record" * 9)
    prepared.rename(base_path / "3")
    _, api = start(model_config(base_path))
    api.wait_for({3: "END"})
    assert error_of(api, 3).endswith("Please verify your warmup data is in TFRecord format.")


def test_a_record_that_is_no_log_keeps_the_version_out(
    start: Any, base_path: Path, prepared: Path
) -> None:
    """A TFRecord of something else."""
    add_records(prepared, b"\xff\xff")
    prepared.rename(base_path / "3")
    _, api = start(model_config(base_path))
    api.wait_for({3: "END"})
    assert error_of(api, 3).startswith("Failed to parse warmup record from ")


def test_too_many_records_keep_the_version_out(
    start: Any, base_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit itself is allowed."""
    monkeypatch.setattr(warmup, "MAX_RECORDS", 2)
    add_records(prepared, *[predict_log(1).SerializeToString()] * 2)
    version = prepared.rename(base_path / "3")
    _, api = start(model_config(base_path))
    api.wait_for({3: "AVAILABLE"})
    # A copy: a poll that finds no version at all has the model unloaded.
    part = shutil.copytree(version, base_path / ".part-4")
    (part / "assets.extra" / "tf_serving_warmup_requests").unlink()
    (part / "assets.extra").rmdir()
    add_records(part, *[predict_log(1).SerializeToString()] * 3)
    part.rename(base_path / "4")
    api.wait_for({4: "END", 3: "AVAILABLE"})
    assert error_of(api, 4).startswith("Number of warmup records exceeds the maximum (2) at ")


def test_a_record_of_another_kind_keeps_the_version_out(
    start: Any, base_path: Path, prepared: Path
) -> None:
    """A SessionRun cannot be replayed; the real server names it by its number."""
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()
    add_records(prepared, log.SerializeToString())
    prepared.rename(base_path / "3")
    _, api = start(model_config(base_path))
    api.wait_for({3: "END"})
    assert error_of(api, 3) == "Unsupported log_type for warmup: 5"


def test_an_unforeseen_error_ends_the_version_too(
    start: Any, base_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status is told, a reload does not wait for it, health settles, its memory is freed."""
    met: list[Servable] = []

    def forbidden(servable: Servable) -> int:
        met.append(servable)
        raise PermissionError("not for you")

    monkeypatch.setattr(loading, "warm_up", forbidden)
    add_records(prepared, predict_log(1).SerializeToString())
    prepared.rename(base_path / "3")
    _, api = start(model_config(base_path))
    api.wait_for({3: "END"})
    assert error_of(api, 3) == "PermissionError: not for you"
    wait_until(lambda: health(api, "") == "SERVING")
    with pytest.raises(grpc.RpcError, match=r"did not become available: .*not for you"):
        api.reload(model_config(base_path), model_config(base_path, name="again"))
    for servable in met:
        with pytest.raises(tf.errors.CancelledError, match="Session has been closed"):
            servable.run({"serving_default_x:0": np.ones(1, np.float32)}, ["y:0"])
