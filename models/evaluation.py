"""Offline metrics: of single predictions, of rankings, and of the lists that users would see.

Plain numpy, no model in sight. A metric of rankings takes rows of many requests at once, told
apart by `group`; ties count at their expected place, so that a constant score earns nothing.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Labels = NDArray[np.bool_]
Scores = NDArray[np.floating]
Groups = NDArray[np.integer]
EPSILON = 1e-7


def auc(labels: Labels, scores: Scores) -> float:
    """Area under the ROC curve: the chance that a positive outscores a negative.

    Mann and Whitney's U over the number of pairs; a tie counts half.

    Raises:
        ValueError: only one class is present, so that there are no pairs.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ValueError("AUC needs at least one positive and one negative")
    rank_sum = float(rankdata(scores)[labels].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def threshold_metrics(
    labels: Labels, probability: Scores, threshold: float = 0.5
) -> dict[str, float]:
    """Accuracy, precision and recall of "yes" at a threshold; nothing divided by nothing is 0."""
    said = probability >= threshold
    right = float((said & labels).sum())
    return {
        "accuracy": float((said == labels).mean()),
        "precision": right / float(said.sum()) if said.any() else 0.0,
        "recall": right / float(labels.sum()) if labels.any() else 0.0,
    }


def log_loss(labels: Labels, probability: Scores) -> float:
    """Mean negative log-likelihood, nats; probabilities are held off 0 and 1 by 1e-7."""
    p = np.clip(probability.astype(np.float64), EPSILON, 1 - EPSILON)
    return float(-np.where(labels, np.log(p), np.log1p(-p)).mean())


def calibration_error(labels: Labels, probability: Scores, bins: int = 10) -> float:
    """Expected calibration error: |share of positives - mean probability| over equal-width bins.

    Weighted by the rows in each bin (Naeini, Cooper and Hauskrecht, 2015).
    """
    bin_of = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_of, labels.astype(np.float64) - probability, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


class Rankings:
    """Scored rows of many requests, sorted once, from which ranking metrics are read.

    Args:
        labels: bool[n], whether the row is relevant. A request without any is left out.
        scores: float[n], higher is better.
        groups: int[n], which request a row belongs to.
    """

    def __init__(self, labels: Labels, scores: Scores, groups: Groups) -> None:
        order = np.lexsort((-scores, groups))
        group, score = groups[order], scores[order]
        self._labels = labels[order]
        new_group = np.r_[True, group[1:] != group[:-1]]
        new_tie = new_group | np.r_[True, score[1:] != score[:-1]]
        self._group = np.cumsum(new_group) - 1
        self._tie = np.cumsum(new_tie) - 1
        first = np.flatnonzero(new_group)
        self._position = np.arange(len(order)) - first[self._group]
        self._relevant = np.bincount(self._group, self._labels)

    def ndcg(self, k: int) -> float:
        """Normalised discounted cumulative gain at k, binary gains (Jarvelin, Kekalainen 2002).

        Tied rows share the mean of their discounts (McSherry and Najork, 2008).
        """
        discount = np.where(self._position < k, 1 / np.log2(self._position + 2), 0.0)
        gained = self._per_group(self._labels * self._tie_mean(discount))
        ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))
        best = ideal[np.minimum(self._relevant, k).astype(np.int64) - 1]
        return self._mean(gained / best)

    def average_precision(self, k: int) -> float:
        """Mean average precision at k, over min(k, relevant rows) of each request."""
        rank = self._expected_rank()
        hit = self._labels & (rank <= k)
        hits_before: NDArray[np.int64] = np.cumsum(hit) - hit
        first = np.flatnonzero(np.r_[True, self._group[1:] != self._group[:-1]])
        hits = hits_before - hits_before[first][self._group] + 1
        gained = self._per_group(np.where(hit, hits / rank, 0.0))
        return self._mean(gained / np.maximum(np.minimum(self._relevant, k), 1))

    def reciprocal_rank(self) -> float:
        """Mean of 1 / rank of the best relevant row."""
        best = np.zeros(len(self._relevant))
        np.maximum.at(best, self._group, np.where(self._labels, 1 / self._expected_rank(), 0.0))
        return self._mean(best)

    def hit_rate(self, k: int) -> float:
        """Share of relevant rows within the first k (recall at k), averaged over requests."""
        within = self._tie_mean((self._position < k).astype(np.float64))
        found = self._per_group(self._labels * within)
        return self._mean(found / np.maximum(self._relevant, 1))

    def _expected_rank(self) -> NDArray[np.float64]:
        return self._tie_mean(self._position + 1.0)

    def _tie_mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        count = np.bincount(self._tie)
        mean: NDArray[np.float64] = (np.bincount(self._tie, values) / count)[self._tie]
        return mean

    def _per_group(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.bincount(
            self._group, values, minlength=len(self._relevant)
        ).astype(np.float64)
        return total

    def _mean(self, per_group: NDArray[np.float64]) -> float:
        judged = per_group[self._relevant > 0]
        return float(judged.mean()) if len(judged) else 0.0


def diversity(lists: NDArray[np.integer], category: NDArray[np.integer]) -> float:
    """Share of pairs within a list whose categories differ, averaged over lists.

    Args:
        lists: int[r, k], catalogue rows; -1 pads a short list.
        category: int[places], category by catalogue row; places without one differ from all.
    """
    valid = lists >= 0
    code = category[np.maximum(lists, 0)].astype(np.int64)
    code = np.where(code < 0, -1 - np.arange(lists.shape[1]), code)
    pair = valid[:, :, None] & valid[:, None, :] & np.tri(lists.shape[1], k=-1, dtype=bool)
    different = (code[:, :, None] != code[:, None, :]) & pair
    pairs = pair.sum(axis=(1, 2))
    judged = pairs > 0
    if not judged.any():
        return 0.0
    return float((different.sum(axis=(1, 2))[judged] / pairs[judged]).mean())


def coverage(lists: NDArray[np.integer], places: int) -> float:
    """Share of the catalogue's places that appear in any list."""
    shown = np.unique(lists[lists >= 0])
    return len(shown) / places if places else 0.0


def novelty(lists: NDArray[np.integer], visits: NDArray[np.integer]) -> float:
    """Mean self-information of the places shown, bits: -log2 of their share of all visits.

    Smoothed by one visit a place, so that a place without visits is novel and not infinite
    (Vargas and Castells, 2011).
    """
    shown = lists[lists >= 0]
    if not len(shown):
        return 0.0
    share = (visits + 1.0) / (visits + 1.0).sum()
    return float(-np.log2(share[shown]).mean())


def regret(
    utility: NDArray[np.floating], lists: NDArray[np.integer], k: int
) -> NDArray[np.float64]:
    """What a user misses for being shown these k places and no others: best of all - best shown.

    Args:
        utility: float[r, places], what each place is truly worth to each request's user.
        lists: int[r, n], catalogue rows in the order shown, n >= k; -1 pads.
        k: how many are seen.

    Returns:
        float64[r], 0 where the best place of all is among them; in the unit of `utility`.
    """
    shown = lists[:, :k]
    worth = np.take_along_axis(utility, np.maximum(shown, 0), axis=1)
    best = np.where(shown >= 0, worth, -np.inf).max(axis=1)
    missed: NDArray[np.float64] = utility.max(axis=1).astype(np.float64) - best
    return missed
