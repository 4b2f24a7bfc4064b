"""Metrics of ranks against an independent implementation, and by hand."""

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, R, nDCG

from models.quality.metrics import METRICS, difference, per_request, summary


def test_metrics_equal_ir_measures() -> None:
    """200 requests of one relevant place among 150, ranked without ties."""
    rng = np.random.default_rng(4)
    ranks = rng.integers(1, 151, 200)
    qrels = [ir_measures.Qrel(str(q), "target", 1) for q in range(200)]
    run = [
        ir_measures.ScoredDoc(str(q), "target" if place == rank else f"p{place}", -float(place))
        for q, rank in enumerate(ranks)
        for place in range(1, 151)
    ]
    measures = [R @ 1, R @ 5, R @ 10, R @ 20, R @ 100, nDCG @ 10, RR]
    expected = ir_measures.calc_aggregate(measures, qrels, run)
    found = per_request(ranks.astype(float)).mean(axis=0)
    assert found == pytest.approx([expected[measure] for measure in measures])


def test_what_was_not_found_earns_nothing() -> None:
    """An infinite rank, and rank 1 beside it."""
    found = per_request(np.array([np.inf, 1.0]))
    assert found[0].tolist() == [0] * len(METRICS)
    assert found[1].tolist() == [1] * len(METRICS)


def test_a_rank_between_two_counts_as_it_stands() -> None:
    """Rank 5.5 is not within 5, and gains 1 / log2(6.5)."""
    found = dict(zip(METRICS, per_request(np.array([5.5]))[0], strict=True))
    assert found["recall_at_5"] == 0
    assert found["recall_at_10"] == 1
    assert found["ndcg_at_10"] == pytest.approx(1 / np.log2(6.5))
    assert found["mrr"] == pytest.approx(1 / 5.5)


def test_a_summary_holds_its_mean_within_its_bounds() -> None:
    """For every metric."""
    rng = np.random.default_rng(6)
    ranks, user = rng.integers(1, 40, 300).astype(float), rng.integers(0, 30, 300)
    for name, interval in summary(ranks, user, seed=1).items():
        assert interval.low <= interval.value <= interval.high, name


def test_a_difference_is_paired() -> None:
    """Always one rank better is certain, however the ranks scatter."""
    ranks = np.random.default_rng(7).integers(2, 9, 200).astype(float)
    by = difference(ranks - 1, ranks, np.arange(200) // 10, seed=1)["mrr"]
    assert by.low > 0
    assert by.excludes_zero
