"""The gate: what may go into service, and what the note says."""

import math

import pytest

from models.bootstrap import Interval
from models.comparison import AUC, NDCG, Comparison
from retrain.gate import Limits, judge

LIMITS = Limits(auc_loss=0.01, ndcg_loss=0.02, least_auc=0.55)
INCUMBENT = {AUC: 0.8, NDCG: 0.4}


@pytest.mark.parametrize(
    ("auc", "ndcg", "passed"),
    [
        (0.80, 0.40, True),
        (0.791, 0.381, True),
        (0.789, 0.50, False),
        (0.90, 0.379, False),
        (0.54, 0.90, False),
        (math.nan, 0.40, False),
        (0.80, math.inf, False),
    ],
)
def test_no_worse_than_the_pair_in_service(auc: float, ndcg: float, passed: bool) -> None:
    """Both metrics within their tolerance, both finite."""
    assert judge({AUC: auc, NDCG: ndcg}, INCUMBENT, LIMITS).passed is passed


@pytest.mark.parametrize(("auc", "passed"), [(0.55, True), (0.549, False)])
def test_the_first_pair_must_have_learned_something(auc: float, passed: bool) -> None:
    """With nothing to compare with, sanity decides."""
    assert judge({AUC: auc, NDCG: 0.1}, None, LIMITS).passed is passed


def test_a_worse_incumbent_excuses_nothing() -> None:
    """A pair that learned nothing is refused even where the one in service is worse."""
    assert not judge({AUC: 0.5, NDCG: 0.4}, {AUC: 0.4, NDCG: 0.1}, LIMITS).passed


def test_metrics_that_are_missing_do_not_pass() -> None:
    """No NDCG, no service."""
    assert not judge({AUC: 0.9}, None, LIMITS).passed


def test_the_note_names_what_was_lost() -> None:
    """Someone who reads the rollout topic sees metric, both values and the tolerance."""
    note = judge({AUC: 0.7, NDCG: 0.4}, INCUMBENT, LIMITS).note
    assert AUC in note
    assert "0.7000" in note
    assert "0.8000" in note


def compared(part: str, name: str, low: float, high: float) -> Comparison:
    return Comparison(part, name, 400, 100, 0.3, 0.4, Interval((low + high) / 2, low, high))


@pytest.mark.parametrize(
    ("low", "high", "passed"),
    [(-0.2, -0.021, False), (-0.2, -0.019, True), (-0.01, 0.05, True)],
)
def test_a_slice_is_lost_when_its_whole_interval_is(low: float, high: float, passed: bool) -> None:
    """0.02 may be lost; an interval that reaches above that leaves doubt, and passes."""
    parts = [
        compared("overall", "overall", -0.01, 0.01),
        compared("category", "category cafe", low, high),
    ]
    verdict = judge(INCUMBENT, INCUMBENT, Limits(slice_loss=0.02), parts)
    assert verdict.passed is passed
    assert ("category cafe" in verdict.note) is not passed
    assert [f["slice"] for f in verdict.failed] == ([] if passed else ["category cafe"])


def test_the_overall_interval_is_told_and_judged_by_its_mean_alone() -> None:
    """Overall the tolerance is for the mean: the interval informs."""
    parts = [compared("overall", "overall", -0.3, -0.1)]
    verdict = judge(INCUMBENT, INCUMBENT, Limits(), parts)
    assert verdict.passed
    assert "-0.2000 [-0.3000, -0.1000]" in verdict.note


def test_what_failed_can_be_written_as_json() -> None:
    """A metric that is not a number is left out, not written as NaN."""
    (failed,) = judge({AUC: math.nan, NDCG: 0.4}, INCUMBENT, LIMITS).failed
    assert failed == {"part": "overall", "slice": "overall", "metric": AUC}
