"""Metrics under TF Serving's names."""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from inference.model_server.errors import ServingError
from inference.model_server.loading import load_version
from inference.model_server.metrics import LATENCY_LIMITS_US, PATH, Counter, Histogram, Metrics
from inference.model_server.servable import Servable
from tests.inference.model_server.conftest import model_config, product_request


def test_histogram_counts_below_each_limit() -> None:
    """Cumulative buckets; a value on a limit lies above it; what is above all is in +Inf."""
    histogram = Histogram("/a/b_c", ["model_name"], [10, 20])
    for value in (5, 10, 15, 1000):
        histogram.observe(value, "m")
    assert histogram.lines() == [
        ':a:b_c_bucket{model_name="m",le="10"} 1',
        ':a:b_c_bucket{model_name="m",le="20"} 3',
        ':a:b_c_bucket{model_name="m",le="+Inf"} 4',
        ':a:b_c_sum{model_name="m"} 1030.0',
        ':a:b_c_count{model_name="m"} 4',
    ]


def test_a_load_that_fails_is_counted_and_timed(tmp_path: Path) -> None:
    """By its path, as one that succeeds."""
    metrics = Metrics()
    with pytest.raises(ServingError, match="Could not find SavedModel"):
        load_version(tmp_path, 1, metrics)
    assert metrics.load_attempts.value(str(tmp_path), "fail") == 1
    assert metrics.load_latency.lines()[0].startswith(
        f':tensorflow:cc:saved_model:load_latency{{model_path="{tmp_path}"}} '
    )


def test_label_values_are_escaped() -> None:
    """A model's name comes from outside and must not break the page."""
    counter = Counter("/a", ["model_name"])
    counter.add('"\\\n')
    assert counter.lines() == [r':a{model_name="\"\\\n"} 1']


def test_latency_limits_are_the_real_ones() -> None:
    """From 10 us, times 1.8, as the real page prints them."""
    printed = [f"{limit:g}" for limit in LATENCY_LIMITS_US[:6]]
    assert printed == ["10", "18", "32.4", "58.32", "104.976", "188.957"]
    assert len(LATENCY_LIMITS_US) == 33


def test_page_of_nothing_names_the_families() -> None:
    """Types are declared from the start."""
    assert "# TYPE :tensorflow:serving:request_count counter\n" in Metrics().page()


def test_requests_are_counted(start: Any, base_path: Path, publish: Callable[[int], Path]) -> None:
    """By model and status, with the latencies of those that succeeded, on a page that parses."""
    publish(2)
    server, api = start(model_config(base_path), rest_port=0)
    api.wait_for({2: "AVAILABLE"})
    api.predict(product_request(1))
    api.predict(product_request(1))
    with pytest.raises(grpc.RpcError):
        api.predict(product_request(1, version=9))
    with urllib.request.urlopen(f"http://127.0.0.1:{server.rest_port}{PATH}") as response:
        assert response.headers["Content-Type"] == "text/plain"
        page = response.read().decode()
    parsed = {family.name for family in text_string_to_metric_families(page)}
    assert ":tensorflow:serving:request_latency" in parsed
    lines = set(page.splitlines())
    serving = ":tensorflow:serving:"
    assert f'{serving}request_count{{model_name="m",status="OK"}} 2' in lines
    assert f'{serving}request_count{{model_name="m",status="NOT_FOUND"}} 1' in lines
    labels = 'model_name="m",API="Predict",entrypoint="GRPC"'
    assert f"{serving}request_latency_count{{{labels}}} 2" in lines
    assert f'{serving}request_latency_bucket{{{labels},le="+Inf"}} 2' in lines
    labels = 'model_name="m",API="Predict",runtime="TF1"'
    assert f"{serving}runtime_latency_count{{{labels}}} 2" in lines


FAILURES = {
    grpc.StatusCode.UNAVAILABLE: ServingError(grpc.StatusCode.UNAVAILABLE, "full"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: tf.errors.ResourceExhaustedError(None, None, "OOM"),
    grpc.StatusCode.UNKNOWN: RuntimeError("unforeseen"),
}


def test_a_failure_is_counted_by_the_status_on_the_wire(
    start: Any,
    base_path: Path,
    publish: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a model's run ends with: over gRPC and over REST the same name is counted."""
    publish(2)
    server, api = start(model_config(base_path), rest_port=0)
    api.wait_for({2: "AVAILABLE"})
    raised: list[Exception] = []

    def run(*_: Any) -> Any:
        raise raised[-1]

    monkeypatch.setattr(Servable, "run", run)
    with capture_logs():
        for status, error in FAILURES.items():
            raised.append(error)
            with pytest.raises(grpc.RpcError) as caught:
                api.predict(product_request(1))
            assert caught.value.code() is status
            url = f"http://127.0.0.1:{server.rest_port}/v1/models/m:predict"
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(url, b'{"inputs": [1]}', timeout=20)
    counts = [line for line in server.metrics.page().splitlines() if "request_count{" in line]
    assert sorted(counts) == sorted(
        f':tensorflow:serving:request_count{{model_name="m",status="{status.name}"}} 2'
        for status in FAILURES
    )
