"""From a version's directory to a servable that is warm."""

import time
from pathlib import Path

import structlog

from inference.model_server.batching_config import BatchingParameters
from inference.model_server.metrics import Metrics
from inference.model_server.servable import Servable
from inference.model_server.warmup import REQUESTS_FILE, warm_up

log = structlog.get_logger(__name__)


def load_version(
    path: Path, threads: int, metrics: Metrics, batching: BatchingParameters | None = None
) -> Servable:
    """Load a version and run its warm-up records.

    Args:
        path: the version's directory.
        threads: TensorFlow threads that one operation may use.
        metrics: where loads and warm-ups are counted.
        batching: see `Servable`.

    Raises:
        ServingError: it cannot be loaded, or a warm-up record fails.
        OSError: the disk does not let the warm-up file be read.
    """
    started = time.perf_counter()
    status = "fail"
    try:
        servable = Servable(path, threads, batching)
        status = "success"
    finally:
        metrics.load_attempts.add(str(path), status)
        metrics.load_latency.add(str(path), by=round((time.perf_counter() - started) * 1e6))
    try:
        _warm(servable, metrics)
    except Exception:
        servable.close()
        raise
    return servable


def _warm(servable: Servable, metrics: Metrics) -> None:
    if not (servable.path / REQUESTS_FILE).is_file():
        log.info("no_warmup_records", path=str(servable.path / REQUESTS_FILE))
        return
    started = time.perf_counter()
    records = warm_up(servable)
    path = str(servable.path)
    metrics.warmup_latency.observe((time.perf_counter() - started) * 1e6, path, "OK")
    metrics.warmup_records.add(path, "OK", by=records)
    log.info("warmed_up", path=path, records=records)
