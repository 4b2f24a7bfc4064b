"""Whether a canary goes on, is promoted or is rolled back: pure judgement on its evidence."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from contracts.settings import Settings
from retrain.evidence import DEGRADED, LOAD, SLOW, SUCCESS, Evidence
from retrain.sample_ratio import ALPHA, mismatch_p
from retrain.sequential import Interval, Metric, compare

#: People click on what is new because it is new; within so long that has not yet worn off.
NOVELTY_S = 14 * 86_400


@dataclass(frozen=True)
class Verdict:
    """What is to be done, why (for a person), and what was seen (for the record).

    `cause` is why it is rolled back, in one word.
    """

    action: Literal["go on", "promote", "roll back"]
    note: str
    report: dict[str, Any]
    cause: Literal["", "mismatch", "worse", "unproven"] = ""


def metrics_of(settings: Settings) -> tuple[Metric, ...]:
    """What a canary is judged by: the success first, then the guardrails."""
    return (
        Metric(SUCCESS, "relative", "more", settings.canary_success_loss),
        Metric(DEGRADED, "absolute", "less", settings.canary_degraded_rise),
        Metric(SLOW, "absolute", "less", settings.canary_slow_rise),
        Metric(LOAD, "relative", "less", settings.canary_load_rise),
    )


def judge(evidence: Evidence, share: float, age_s: float, settings: Settings) -> Verdict:
    """Judge a canary; may be asked at any moment and as often as one likes.

    - Users did not fall to the variants as meant: rolled back, whatever else there is to see.
    - The success is proven to be less, or a guardrail proven to be worse than is borne: rolled
      back at once.
    - After least duration and users, proven on every metric not to be worse than is borne:
      promoted.
    - After the longest duration: rolled back, since it has not proven itself.

    The chance of error is divided evenly among the metrics (Bonferroni).

    Args:
        evidence: sums by user.
        share: of the users, meant for the new pair.
        age_s: since the canary began, seconds.
        settings: durations, users, margins and alpha.
    """
    metrics = metrics_of(settings)
    alpha = settings.canary_alpha / len(metrics)
    found = {
        metric.name: compare(
            metric, evidence.control.arms[metric.name], evidence.treated.arms[metric.name], alpha
        )
        for metric in metrics
    }
    mismatch = mismatch_p(evidence.users, (1 - share, share))
    report = _report(metrics, found, evidence, mismatch, age_s, alpha)
    if mismatch < ALPHA:
        control, treated = evidence.users
        note = (
            f"sample-ratio mismatch: {treated:,} of {control + treated:,} users met the new pair, "
            f"meant were {share:.0%} (p {mismatch:.1g})"
        )
        return Verdict("roll back", note, report, "mismatch")
    for metric in metrics:
        if harmed(metric, found[metric.name]):
            note = f"worse: {said(metric, found[metric.name])}"
            return Verdict("roll back", note, report, "worse")
    missing = _missing(evidence, age_s, settings)
    unproven = [metric for metric in metrics if not borne(metric, found[metric.name])]
    if not missing and not unproven:
        note = f"as good: {said(metrics[0], found[SUCCESS])}, every guardrail within its margin"
        return Verdict("promote", note, report)
    waits = missing or "not yet proven: " + ", ".join(
        said(metric, found[metric.name]) for metric in unproven
    )
    if age_s >= settings.canary_max_s:
        note = f"no proof within the longest duration; {waits}"
        return Verdict("roll back", note, report, "unproven")
    return Verdict("go on", waits, report)


def harmed(metric: Metric, found: Interval) -> bool:
    """Whether all effects that the data allow are for the worse (guardrails: beyond the margin)."""
    if metric.good == "more":
        return found.high < 0
    return found.low > metric.margin


def borne(metric: Metric, found: Interval) -> bool:
    """Whether no effect that the data allow is worse than the margin."""
    return found.low > -metric.margin if metric.good == "more" else found.high < metric.margin


def said(metric: Metric, found: Interval) -> str:
    """A metric with its interval, for a person."""
    if not math.isfinite(found.low):
        return f"{metric.name} unknown (too few users or events)"
    ends = (found.estimate, found.low, found.high)
    estimate, low, high = (f"{100 * end:+.2f}" for end in ends)
    unit = "%" if metric.scale == "relative" else "points"
    return f"{metric.name} {estimate} {unit} ({low} to {high}; borne: {100 * metric.margin:g})"


def _missing(evidence: Evidence, age_s: float, settings: Settings) -> str:
    """What a promotion lacks of duration and users, or nothing."""
    lacks = []
    if age_s < settings.canary_min_s:
        lacks.append(f"{(settings.canary_min_s - age_s) / 3_600:.1f} h")
    fewest = min(evidence.users)
    if fewest < settings.canary_min_users:
        lacks.append(f"{settings.canary_min_users - fewest:,} users")
    return f"still needs {' and '.join(lacks)}" if lacks else ""


def _report(
    metrics: tuple[Metric, ...],
    found: dict[str, Interval],
    evidence: Evidence,
    mismatch: float,
    age_s: float,
    alpha: float,
) -> dict[str, Any]:
    """The look in plain values; bounds that are infinite or unknown are null."""
    rows = {}
    for metric in metrics:
        control, treated = (
            variant.arms[metric.name] for variant in (evidence.control, evidence.treated)
        )
        interval = found[metric.name]
        values = {
            "stable": control.rate,
            "canary": treated.rate,
            "effect": interval.estimate,
            "low": interval.low,
            "high": interval.high,
            "p": interval.p,
            "margin": metric.margin,
            "answers": control.n + treated.n,
        }
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        rows[metric.name] = {"scale": metric.scale, "good": metric.good} | finite
    novelty = "effects may fade: people try what is new" if age_s < NOVELTY_S else ""
    return {
        "age_s": age_s,
        "alpha_each": alpha,
        "users": {"stable": evidence.users[0], "canary": evidence.users[1]},
        "mismatch_p": mismatch,
        "strays": evidence.strays,
        "novelty": novelty,
        "metrics": rows,
    }
