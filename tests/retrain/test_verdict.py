"""What is decided on which evidence."""

import re
from typing import Any

import numpy as np
import pytest

from contracts.experiment import Plan
from contracts.settings import Settings
from retrain.evidence import METRICS, SUCCESS, Evidence
from retrain.sequential import Arm
from retrain.verdict import Verdict, judge

DAY_S = 86_400.0
SETTINGS = Settings(_env_file=None)


def arm(users: int, rate: float, spread: float) -> Arm:
    """Ten answers a user; half of the users above the rate and half below it."""
    around = np.where(np.arange(users) % 2 == 0, 1 + spread, 1 - spread)
    return Arm.of(np.full(users, 10.0), 10 * rate * around)


def decided(
    users: tuple[int, int] = (900_000, 100_000), days: float = 8, **canary: float
) -> Verdict:
    """The verdict where the canary differs from usual rates only in what is named."""
    usual = {"success": 0.1, "degraded": 0.002, "slow": 0.01, "load": 8.0}
    plan = Plan("pair-2", "canary", "salt", 0.1, 2)
    evidence = Evidence(plan, 1, "stable", 0.0, 50.0)
    for variant, count, rates in (
        (evidence.control, users[0], usual),
        (evidence.treated, users[1], usual | canary),
    ):
        variant.users["degraded"] = dict.fromkeys(map(str, range(count)), (10.0, 0.0))
        for metric in METRICS:
            variant.arms[metric] = arm(count, rates[metric], 0.9 if metric == SUCCESS else 0.2)
    return judge(evidence, 0.1, days * DAY_S, SETTINGS)


@pytest.mark.parametrize(
    ("case", "action", "why"),
    [
        ({}, "promote", "as good"),
        ({"success": 0.11}, "promote", "as good: success \\+10"),
        ({"days": 6.9}, "go on", "still needs 2.4 h"),
        ({"users": (90_000, 9_990)}, "go on", "still needs 10 users"),
        # Within the margin, but proven to be less: why take it?
        ({"success": 0.096}, "roll back", "worse: success -4"),
        ({"success": 0.08, "days": 0.1}, "roll back", "worse: success -20"),
        ({"degraded": 0.02}, "roll back", "worse: degraded \\+1.80 points"),
        ({"slow": 0.05}, "roll back", "worse: slow"),
        ({"load": 11.0}, "roll back", "worse: load"),
        ({"load": 9.5}, "promote", "as good"),
        ({"success": 0.11, "users": (900_000, 95_000)}, "roll back", "sample-ratio mismatch"),
        ({"users": (9_000, 1_000), "days": 29}, "roll back", "longest duration"),
        ({"users": (900, 100), "days": 1}, "go on", "still needs"),
        ({"users": (0, 0), "days": 0}, "go on", "still needs"),
    ],
)
def test_decisions(case: dict[str, Any], action: str, why: str) -> None:
    """Each rule of docs/rollout.md, with what a person is told."""
    found = decided(**case)
    assert found.action == action
    assert re.search(why, found.note), found.note


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ({}, ""),
        ({"days": 6.9}, ""),
        ({"slow": 0.05}, "worse"),
        ({"success": 0.11, "users": (900_000, 95_000)}, "mismatch"),
        ({"users": (9_000, 1_000), "days": 29}, "unproven"),
    ],
)
def test_causes(case: dict[str, Any], cause: str) -> None:
    """What is rolled back says why in one word, for a metric's label; all else says nothing."""
    assert decided(**case).cause == cause


def test_the_report_says_what_was_seen() -> None:
    """Rates, effects, intervals and users; what is unknown is null, and novelty is named."""
    report = decided().report
    assert report["users"] == {"stable": 900_000, "canary": 100_000}
    row = report["metrics"]["success"]
    assert (row["stable"], row["effect"]) == (pytest.approx(0.1), pytest.approx(0.0))
    assert row["low"] < 0 < row["high"]
    assert report["alpha_each"] == 0.05 / 4
    assert "fade" in report["novelty"]
    assert decided(days=15).report["novelty"] == ""
    unknown = decided(users=(50, 5)).report["metrics"]["success"]
    assert (unknown["low"], unknown["high"], unknown["p"]) == (None, None, 1.0)
