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
    "Requests that were worked off: on_trial, promoted, rejected, failed.",
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
EXPERIMENTS = Counter(
    "placestream_experiments_total",
    "Pairs whose trial ended: promoted, rolled_back.",
    ["outcome"],
)
CANARY_EFFECT = Gauge(
    "placestream_canary_effect_ratio",
    "Effect of the pair on trial at the last look, with the ends of its always-valid interval.",
    ["metric", "bound"],
)


def show_canary(report: Mapping[str, Any]) -> None:
    """Set the gauges of a canary from the report of a look; what is unknown has none."""
    for name, row in report.get("metrics", {}).items():
        for bound in ("effect", "low", "high"):
            if row[bound] is not None:
                CANARY_EFFECT.labels(metric=name, bound=bound).set(row[bound])
