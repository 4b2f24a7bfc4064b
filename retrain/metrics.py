"""The trainer's metrics."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

DRIFT_PSI = Gauge(
    "placestream_drift_psi_ratio",
    "Population stability index of a ranking column against the training, last day of answers.",
    ["feature"],
)
DRIFT_KS_P = Gauge(
    "placestream_drift_ks_p_ratio",
    "Kolmogorov-Smirnov p-value of a ranking column, adjusted for the number of columns (Holm).",
    ["feature"],
)
REQUESTS = Counter(
    "placestream_retrain_requests_total", "Requests for a new pair of models.", ["reason"]
)
TRAININGS = Counter(
    "placestream_trainings_total",
    "Requests that were worked off: promoted, rejected, failed.",
    ["outcome"],
)
TRAINING_SECONDS = Histogram(
    "placestream_training_seconds",
    "From taking up a request to its end.",
    buckets=(5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600),
)
QUALITY = Gauge(
    "placestream_model_quality_ratio", "Held-out metrics of the pair in service.", ["metric"]
)
SAMPLES = Gauge(
    "placestream_samples_since_training",
    "Interactions that the pair in service has not seen.",
)
IMPRESSIONS_SKIPPED = Counter(
    "placestream_drift_impressions_skipped_total",
    "Answers that drift was not judged by: unreadable, no_reference, other_version, no_features.",
    ["reason"],
)
DATA_CHECKS_FAILED = Counter(
    "placestream_training_data_checks_failed_total",
    "Expectations on the training data that were not met, each of which stopped a training.",
    ["check"],
)
GATE_REFUSALS = Counter(
    "placestream_gate_refusals_total",
    "Parts of the held-out requests (overall, or a kind of slice) on which a new pair lost.",
    ["part", "metric"],
)


def count_refusal(evidence: Mapping[str, Any]) -> None:
    """Count why a training came to no pair, as its evidence tells (see docs/retraining.md)."""
    for failed in evidence.get("failed", ()):
        if evidence.get("refused_by") == "data":
            DATA_CHECKS_FAILED.labels(check=failed["check"]).inc()
        elif evidence.get("refused_by") == "gate":
            GATE_REFUSALS.labels(part=failed["part"], metric=failed["metric"]).inc()
