"""Each metric against scikit-learn or ir_measures, or against a value worked out by hand."""

import itertools
import math

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, nDCG
from sklearn import metrics
from sklearn.calibration import calibration_curve

from models import evaluation
from models.evaluation import Rankings


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_auc_equals_scikit_learn_with_and_without_ties(rng: np.random.Generator) -> None:
    """Scores rounded to one digit tie in most pairs."""
    labels = rng.random(500) < 0.3
    for digits in (6, 1):
        scores = np.round(rng.random(500) + 0.3 * labels, digits)
        expected = metrics.roc_auc_score(labels, scores)
        assert evaluation.auc(labels, scores) == pytest.approx(expected)


def test_auc_of_one_class_is_refused() -> None:
    """There are no pairs to compare."""
    with pytest.raises(ValueError, match="one negative"):
        evaluation.auc(np.array([True, True]), np.array([0.1, 0.2]))


def test_threshold_metrics_equal_scikit_learn(rng: np.random.Generator) -> None:
    """Accuracy, precision and recall of the same yes and no."""
    labels, probability = rng.random(300) < 0.4, rng.random(300)
    said = probability >= 0.5
    assert evaluation.threshold_metrics(labels, probability) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(labels, said),
            "precision": metrics.precision_score(labels, said),
            "recall": metrics.recall_score(labels, said),
        }
    )


def test_threshold_metrics_of_nothing_said_are_zero() -> None:
    """No "yes" and no positive divide by zero nowhere."""
    found = evaluation.threshold_metrics(np.array([False, False]), np.array([0.1, 0.2]))
    assert found == {"accuracy": 1.0, "precision": 0.0, "recall": 0.0}


def test_log_loss_equals_scikit_learn(rng: np.random.Generator) -> None:
    """On probabilities off 0 and 1."""
    labels, probability = rng.random(300) < 0.4, rng.uniform(0.01, 0.99, 300)
    expected = metrics.log_loss(labels, probability)
    assert evaluation.log_loss(labels, probability) == pytest.approx(expected)


def test_log_loss_of_a_certain_error_is_finite() -> None:
    """A probability of exactly 0 for what happened costs -log(1e-7)."""
    loss = evaluation.log_loss(np.array([True]), np.array([0.0]))
    assert loss == pytest.approx(-np.log(1e-7))


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    """Two bins: 4 rows at .2 of which 1 is positive, 1 row at .9 that is: (4*.05 + 1*.1) / 5."""
    labels = np.array([True, False, False, False, True])
    probability = np.array([0.2, 0.2, 0.2, 0.2, 0.9])
    assert evaluation.calibration_error(labels, probability) == pytest.approx(0.06)


def _requests(rng: np.random.Generator, digits: int) -> tuple[np.ndarray, ...]:
    """60 requests of 12 places with 1 to 3 relevant ones, rows shuffled."""
    labels = np.zeros((60, 12), bool)
    for row in labels:
        row[rng.permutation(12)[: rng.integers(1, 4)]] = True
    scores = np.round(rng.random((60, 12)) + 0.2 * labels, digits)
    groups = np.repeat(np.arange(60), 12)
    order = rng.permutation(len(groups))
    return labels, scores, labels.ravel()[order], scores.ravel()[order], groups[order]


@pytest.mark.parametrize("digits", [6, 1])
@pytest.mark.parametrize("k", [5, 10])
def test_ndcg_equals_scikit_learn(rng: np.random.Generator, k: int, digits: int) -> None:
    """With ties (one digit) the mean over their orders counts, as there."""
    labels, scores, *flat = _requests(rng, digits)
    expected = metrics.ndcg_score(labels, scores, k=k)
    assert Rankings(*flat).ndcg(k) == pytest.approx(expected)


def test_reciprocal_rank_equals_scikit_learn(rng: np.random.Generator) -> None:
    """With one relevant row a request, MRR is the label ranking average precision."""
    labels, scores, *_ = _requests(rng, 6)
    labels = np.eye(12, dtype=bool)[rng.integers(0, 12, 60)]
    expected = metrics.label_ranking_average_precision_score(labels, scores)
    ranking = Rankings(labels.ravel(), scores.ravel(), np.repeat(np.arange(60), 12))
    assert ranking.reciprocal_rank() == pytest.approx(expected)


def test_full_average_precision_equals_scikit_learn(rng: np.random.Generator) -> None:
    """Cut off at the whole length, MAP@k is the mean of scikit-learn's average precision."""
    labels, scores, *flat = _requests(rng, 6)
    each = [metrics.average_precision_score(*both) for both in zip(labels, scores, strict=True)]
    assert Rankings(*flat).average_precision(12) == pytest.approx(np.mean(each))


def test_average_precision_at_5_by_hand() -> None:
    """Relevant at ranks 2 and 6 of 6: (1/2) / min(2, 5) = 1/4; rank 6 is past the cut."""
    labels = np.array([False, True, False, False, False, True])
    ranking = Rankings(labels, np.arange(6, 0, -1.0), np.zeros(6, int))
    assert ranking.average_precision(5) == pytest.approx(0.25)


def test_a_constant_score_earns_the_expected_rank() -> None:
    """Nine equal scores: expected rank 5, so MRR 1/5, MAP@5 1/5, and 3/9 chance to be in 3."""
    labels = np.arange(9) == 4
    ranking = Rankings(labels, np.zeros(9), np.zeros(9, int))
    assert ranking.reciprocal_rank() == pytest.approx(1 / 5)
    assert ranking.average_precision(5) == pytest.approx(1 / 5)
    assert ranking.hit_rate(3) == pytest.approx(1 / 3)


def test_requests_without_a_relevant_row_are_left_out() -> None:
    """One request with rank 1 and one with nothing relevant: the mean is over the first."""
    labels = np.array([True, False, False, False])
    ranking = Rankings(labels, np.array([2.0, 1.0, 2.0, 1.0]), np.array([0, 0, 1, 1]))
    assert ranking.ndcg(5) == ranking.reciprocal_rank() == ranking.hit_rate(1) == 1.0


def test_diversity_counts_pairs_of_different_categories() -> None:
    """Categories a a b: 2 of 3 pairs differ; a list of one has no pair and is left out."""
    category = np.array([0, 0, 1, -1, -1])
    assert evaluation.diversity(np.array([[0, 1, 2], [0, -1, -1]]), category) == pytest.approx(
        2 / 3
    )


def test_places_without_a_category_differ_from_all() -> None:
    """Two unknown kinds are no evidence of sameness."""
    assert evaluation.diversity(np.array([[0, 1]]), np.array([-1, -1])) == 1.0


def test_coverage_counts_distinct_places_shown() -> None:
    """Rows 0, 1 and 3 of eight places; padding is no place."""
    assert evaluation.coverage(np.array([[0, 1], [1, 3], [3, -1]]), 8) == 3 / 8


def test_novelty_is_the_mean_self_information() -> None:
    """Smoothed visits 8, 4, 4 are shares 1/2, 1/4, 1/4: one and two bits, 5/3 on the whole."""
    visits = np.array([7, 3, 3])
    assert evaluation.novelty(np.array([[0, 1, 2]]), visits) == pytest.approx(5 / 3)


def test_ranking_metrics_equal_ir_measures(rng: np.random.Generator) -> None:
    """NDCG@5 and @10, MAP@5, MRR, and recall at 5 of several relevant rows a request.

    Its AP@5 divides by all relevant rows, ours by at most five: the same here, with up to three.
    """
    labels, scores, *flat = _requests(rng, 6)
    qrels = [
        ir_measures.Qrel(str(q), str(d), int(labels[q, d])) for q in range(60) for d in range(12)
    ]
    run = [
        ir_measures.ScoredDoc(str(q), str(d), float(scores[q, d]))
        for q in range(60)
        for d in range(12)
    ]
    measures = [nDCG @ 5, nDCG @ 10, AP @ 5, RR, R @ 5]
    expected = ir_measures.calc_aggregate(measures, qrels, run)
    ranking = Rankings(*flat)
    found = [
        ranking.ndcg(5),
        ranking.ndcg(10),
        ranking.average_precision(5),
        ranking.reciprocal_rank(),
        ranking.hit_rate(5),
    ]
    assert found == pytest.approx([expected[measure] for measure in measures])


def test_calibration_error_equals_that_of_scikit_learns_curve(rng: np.random.Generator) -> None:
    """Its bins of equal width, weighted by what they hold."""
    probability = rng.random(2_000)
    labels = rng.random(2_000) < probability**1.5
    observed, said = calibration_curve(labels, probability, n_bins=10)
    weight = np.bincount((probability * 10).astype(int)) / 2_000
    expected = float((weight * np.abs(observed - said)).sum())
    assert evaluation.calibration_error(labels, probability) == pytest.approx(expected)


def test_lists_are_judged_as_pair_by_pair(rng: np.random.Generator) -> None:
    """Diversity, coverage and novelty against loops over lists of distinct places."""
    lists = np.stack([rng.permutation(30)[:6] for _ in range(20)])
    category, visits = rng.integers(0, 4, 30), rng.integers(0, 9, 30)
    pairs = [category[a] != category[b] for row in lists for a, b in itertools.combinations(row, 2)]
    assert evaluation.diversity(lists, category) == pytest.approx(np.mean(pairs))
    assert evaluation.coverage(lists, 30) == len({*lists.ravel().tolist()}) / 30
    total = visits.sum() + 30
    bits = [-math.log2((visits[place] + 1) / total) for place in lists.ravel()]
    assert evaluation.novelty(lists, visits) == pytest.approx(np.mean(bits))


def test_regret_is_what_the_best_place_would_have_been_worth_more() -> None:
    """Worth 3 1 2: shown 1 and 2, the first misses 2, both miss 1; padding is worth nothing."""
    utility = np.array([[3.0, 1.0, 2.0]] * 2)
    lists = np.array([[1, 2, -1], [0, -1, -1]])
    assert evaluation.regret(utility, lists, 1).tolist() == [2, 0]
    assert evaluation.regret(utility, lists, 2).tolist() == [1, 0]
