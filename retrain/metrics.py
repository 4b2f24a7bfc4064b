"""The trainer's metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

DRIFT_PSI = Gauge(
    "placestream_drift_psi_ratio",
    "Population stability index of a ranking column against the training at the same hours.",
    ["feature"],
)
DRIFT_CHANCE = Gauge(
    "placestream_drift_chance_ratio",
    "Population stability index of a ranking column that sampling alone may reach.",
    ["feature"],
)
DRIFT_KS_P = Gauge(
    "placestream_drift_ks_p_ratio",
    "Kolmogorov-Smirnov p-value of a ranking column, adjusted for the number of columns (Holm).",
    ["feature"],
)
DRIFT_MMD = Gauge(
    "placestream_drift_mmd_ratio",
    "Squared maximum mean discrepancy of all ranking columns together against the training.",
)
DRIFT_MMD_THRESHOLD = Gauge(
    "placestream_drift_mmd_threshold_ratio",
    "Squared maximum mean discrepancy that chance passes once in 500 looks.",
)
DRIFT_MMD_P = Gauge("placestream_drift_mmd_p_ratio", "P-value of the discrepancy, by permutation.")
DRIFT_MMD_P.set(1)
DRIFT_WATCHED = Gauge(
    "placestream_drift_detector_watching",
    "Whether detectors have something to hold the pair in service to (1) or not (0): of what is "
    "shown (columns), of its error (error), of what is chosen (target); none without a pair.",
    ["detector"],
)
DRIFT_LOOK = Gauge(
    "placestream_drift_look_timestamp_seconds",
    "When drift, outcomes, samples and age were last judged without an error, Unix seconds.",
)
DRIFT_ANSWERS = Gauge("placestream_drift_window_answers", "Answers that drift is judged by.")
REQUESTS = Counter(
    "placestream_retrain_requests_total", "Requests for a new pair of models.", ["reason"]
)
OPEN_REQUEST = Gauge(
    "placestream_retrain_open_request_timestamp_seconds",
    "When the request that is being worked off was made, Unix seconds; 0: none is.",
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
SERVED_RATIO = Gauge(
    "placestream_served_quality_ratio",
    "How good served answers were, by what users did: click_through, conversion, auc, "
    "calibration_error, accuracy, accuracy_high (its upper bound), ndcg_at_10.",
    ["metric", "variant", "version"],
)
SERVED_LOG_LOSS = Gauge(
    "placestream_served_log_loss_nats", "Log loss of the places served.", ["variant", "version"]
)
SERVED_RATING = Gauge(
    "placestream_served_rating_stars", "Mean rating that came of answers.", ["variant", "version"]
)
SERVED_DWELL = Gauge(
    "placestream_served_dwell_seconds", "Mean stay that came of answers.", ["variant", "version"]
)
SERVED_ANSWERS = Gauge(
    "placestream_served_answers",
    "What is behind served quality: answers settled, those with a choice (chosen), those of which "
    "accuracy is known (judged), and ratings (rated).",
    ["kind", "variant", "version"],
)
OUTCOMES = Counter(
    "placestream_outcomes_total",
    "Clicks, visits, ratings: joined, unprompted, unknown, too_late, late, unreadable.",
    ["fate"],
)
OUTCOMES_CUT = Counter(
    "placestream_outcome_answers_cut_total", "Answers settled before their time, for want of room."
)
ERROR_MEAN = Gauge(
    "placestream_error_mean_ratio",
    "Mean error of the version in service since it changed last, its rhythm taken out.",
)
ERROR_RISES = Gauge(
    "placestream_error_rises", "How often ADWIN found that this version's error had risen."
)
SAMPLES = Gauge(
    "placestream_samples_since_training",
    "Interactions that the pair in service has not seen.",
)
NEW_SAMPLES = Gauge(
    "placestream_samples_since_newest_pair",
    "Interactions that no pair has seen, be it in service, on trial or rolled back.",
)
IN_SERVICE = Gauge("placestream_pair_in_service", "Version of the pair in service; 0: none.")
NEWEST_PAIR = Gauge(
    "placestream_newest_pair_timestamp_seconds",
    "When the data of the newest pair were read, Unix seconds; 0: no pair is known.",
)
IMPRESSIONS_SKIPPED = Counter(
    "placestream_drift_impressions_skipped_total",
    "Answers that drift was not judged by: unreadable, no_reference, other_version, no_features.",
    ["reason"],
)
EXPERIMENTS = Counter(
    "placestream_experiments_total",
    "Pairs whose trial ended: promoted, rolled_back, failed (could not be loaded).",
    ["outcome"],
)
ROLLBACKS = Counter(
    "placestream_rollbacks_total",
    "Trials that were judged to be rolled back, by cause: mismatch (users did not fall to the "
    "variants as meant), worse, unproven, shadow_failed, shadow_too_long, not_promoted (labels "
    "could not be moved).",
    ["cause"],
)
WAY_BACK_GONE = Counter(
    "placestream_way_back_gone_total",
    "Rollbacks whose version to go back to was not on disk any more, by what served then: another "
    "(version that had served before), none (was left to go to: labels stayed where they were).",
    ["then"],
)
EXPERIMENT_SINCE = Gauge(
    "placestream_experiment_since_timestamp_seconds",
    "When the pair on trial came into its state, Unix seconds; there is none without a trial.",
    ["state", "version"],
)
ROLLOUT_LOOK = Gauge(
    "placestream_rollout_look_timestamp_seconds",
    "When the rollout last took or saw its step without an error, Unix seconds.",
)
MODEL_SERVERS = Gauge(
    "placestream_model_servers",
    "Model servers by whether their labels are those of the configuration file at the last look: "
    "follows, differs (loads yet, or cannot), silent (does not answer).",
    ["state"],
)
CANARY_EFFECT = Gauge(
    "placestream_canary_effect_ratio",
    "Effect of the pair on trial at the last look, with the ends of its always-valid interval.",
    ["metric", "bound"],
)
CANARY_USERS = Gauge(
    "placestream_canary_users", "Users of a canary who had an answer, by variant.", ["variant"]
)
CANARY_MISMATCH_P = Gauge(
    "placestream_canary_mismatch_p_ratio",
    "Always-valid p-value of users having fallen to the variants as meant; 1 without a canary.",
)
CANARY_MISMATCH_P.set(1)


def show_watched(detectors: Mapping[str, bool]) -> None:
    """Tell which detectors watch the pair in service, by name; empty: there is no pair."""
    DRIFT_WATCHED.clear()
    for name, watching in detectors.items():
        DRIFT_WATCHED.labels(detector=name).set(watching)


def forget_drift() -> None:
    """Tell nothing of drift: another version has come, and nothing is known of it yet."""
    for gauge in (DRIFT_PSI, DRIFT_CHANCE, DRIFT_KS_P):
        gauge.clear()
    DRIFT_MMD.set(0)
    DRIFT_MMD_THRESHOLD.set(0)
    DRIFT_MMD_P.set(1)
    DRIFT_ANSWERS.set(0)


def show_no_watch() -> None:
    """Tell nothing of what is served: another process watches it."""
    forget_drift()
    show_watched({})
    for gauge in (IN_SERVICE, SAMPLES, NEW_SAMPLES):
        gauge.set(0)


def show_no_experiment() -> None:
    """Tell that no pair is on trial."""
    EXPERIMENT_SINCE.clear()


def show_experiment(version: int, state: str, since_s: float) -> None:
    """Tell of the pair on trial: its state, and since when (Unix seconds)."""
    EXPERIMENT_SINCE.clear()
    EXPERIMENT_SINCE.labels(state=state, version=str(version)).set(since_s)


def show_servers(standings: Sequence[str]) -> None:
    """Tell how many model servers stand how (`retrain.following`); no word for one is no server."""
    for state in ("follows", "differs", "silent"):
        MODEL_SERVERS.labels(state=state).set(standings.count(state))


def show_canary(report: Mapping[str, Any]) -> None:
    """Set the gauges of a canary from the report of a look; what is unknown has none."""
    CANARY_EFFECT.clear()
    CANARY_USERS.clear()
    CANARY_MISMATCH_P.set(report.get("mismatch_p", 1))
    for name, row in report.get("metrics", {}).items():
        for bound in ("effect", "low", "high"):
            if row[bound] is not None:
                CANARY_EFFECT.labels(metric=name, bound=bound).set(row[bound])
    for variant, users in report.get("users", {}).items():
        CANARY_USERS.labels(variant=variant).set(users)


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


_ROLLBACK_CAUSES = (
    "mismatch",
    "worse",
    "unproven",
    "shadow_failed",
    "shadow_too_long",
    "not_promoted",
)


def _begin_at_zero() -> None:
    """What has not happened yet is 0, not absent, so that a rate sees the first time, too."""
    for counter, label, values in (
        (REQUESTS, "reason", ("psi", "accuracy", "samples", "schedule", "manual")),
        (TRAININGS, "outcome", ("on_trial", "promoted", "rejected", "failed")),
        (
            OUTCOMES,
            "fate",
            ("joined", "unprompted", "unknown", "too_late", "late", "unreadable"),
        ),
        (
            IMPRESSIONS_SKIPPED,
            "reason",
            ("unreadable", "no_reference", "other_version", "no_features"),
        ),
        (EXPERIMENTS, "outcome", ("promoted", "rolled_back", "failed")),
        (ROLLBACKS, "cause", _ROLLBACK_CAUSES),
        (WAY_BACK_GONE, "then", ("another", "none")),
    ):
        for value in values:
            counter.labels(**{label: value})


_begin_at_zero()
