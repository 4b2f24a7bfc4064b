"""How good served answers were, by what their users did: per variant and model version.

Click-through of answers whose window for clicks is over; conversion, ratings and dwell of those
that are settled. Of the probabilities: AUC, log loss and calibration error over the places of
settled answers, against "the user went there". Of the order, where something was chosen: NDCG@10
and accuracy. Accuracy is that of training: the choice beside four others that were shown, and of
each whether the model gives it more than even odds, were one of the five to be chosen. Who always
says no has 0.80.
"""

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models import evaluation
from models.negatives import PER_POSITIVE
from retrain.outcome_join import Joined, Waiting
from retrain.served_accuracy import ServedAccuracy

LISTED = 10
#: Variants and versions that are remembered; the one goes first that was answered with longest ago.
#: By number it would be the one in service, as soon as enough canaries have failed.
MOST_KEPT = 8


@dataclass(frozen=True)
class Quality:
    """Figures of one variant and version; NaN where nothing is known yet.

    Attributes:
        answers, choices: settled answers, and answers with a choice, behind the figures.
        judged: of the latter, those whose accuracy is known.
        rated: ratings that came of settled answers.
        click_through, conversion: shares of answers with a click, with a visit or good rating.
        rating: mean stars; `dwell_s` mean seconds.
        auc, log_loss, calibration_error, accuracy, ndcg_at_10: see the module.
        accuracy_high: its upper bound (`retrain.served_accuracy`).
    """

    answers: int
    choices: int
    judged: int
    rated: int
    click_through: float
    conversion: float
    rating: float
    dwell_s: float
    auc: float
    log_loss: float
    calibration_error: float
    accuracy: float
    accuracy_high: float
    ndcg_at_10: float


@dataclass
class _Kept:
    """The newest answers of one variant and version."""

    most: int
    clicks: deque[bool] = field(default_factory=deque)
    settled: deque[Waiting] = field(default_factory=deque)
    chosen: deque[Waiting] = field(default_factory=deque)
    accuracy: ServedAccuracy = field(init=False)
    told: Quality | None = None

    def __post_init__(self) -> None:
        self.accuracy = ServedAccuracy(self.most)
        self.clicks = deque(maxlen=self.most)
        self.settled = deque(maxlen=self.most)
        self.chosen = deque(maxlen=self.most)


class ServedQuality:
    """Keeps the newest answers of each variant and version, and tells how good they were.

    Args:
        most: answers kept of each; the figures are of these.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[tuple[str, int], _Kept] = {}

    def update(self, joined: Joined) -> None:
        """Take in what was joined."""
        for answer in joined.clicks_over:
            self._of(answer).clicks.append(bool(answer.clicked.any()))
        for answer in joined.settled:
            self._of(answer).settled.append(answer)
        for answer in joined.chosen:
            kept = self._of(answer)
            kept.chosen.append(answer)
            if (accuracy := accuracy_of(answer)) is not None:
                kept.accuracy.add(accuracy, answer.user_id)

    def _of(self, answer: Waiting) -> _Kept:
        key = (answer.variant, answer.version)
        kept = self._kept.pop(key, None) or _Kept(self._most)
        kept.told = None
        self._kept[key] = kept
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept

    def all(self) -> dict[tuple[str, int], Quality]:
        """Figures by variant and version."""
        for kept in self._kept.values():
            if kept.told is None:
                kept.told = _quality(kept)
        return {key: kept.told for key, kept in self._kept.items() if kept.told is not None}


def _quality(kept: _Kept) -> Quality:
    labels, probability = _rows(kept.settled)
    ratings = [rating for answer in kept.settled for rating in answer.ratings]
    dwells_s = [dwell_s for answer in kept.settled for dwell_s in answer.dwells_s]
    accuracy, accuracy_high = kept.accuracy.told()
    both = bool(labels.any()) and not labels.all()
    return Quality(
        answers=len(kept.settled),
        choices=len(kept.chosen),
        judged=len(kept.accuracy),
        rated=len(ratings),
        click_through=_mean(kept.clicks),
        conversion=_mean([answer.first >= 0 for answer in kept.settled]),
        rating=_mean(ratings),
        dwell_s=_mean(dwells_s),
        auc=evaluation.auc(labels, probability) if both else np.nan,
        log_loss=evaluation.log_loss(labels, probability) if len(labels) else np.nan,
        calibration_error=(
            evaluation.calibration_error(labels, probability) if len(labels) else np.nan
        ),
        accuracy=accuracy,
        accuracy_high=accuracy_high,
        ndcg_at_10=_ndcg(kept.chosen),
    )


def _rows(answers: Iterable[Waiting]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Label and probability of every place that had one."""
    labels = [answer.chosen for answer in answers]
    if not labels:
        return np.zeros(0, bool), np.zeros(0)
    probability = np.concatenate([answer.probability for answer in answers])
    known = ~np.isnan(probability)
    return np.concatenate(labels)[known], probability[known]


def _ndcg(chosen: Iterable[Waiting]) -> float:
    """Of the order as shown, which may differ from the order of the scores."""
    answers = list(chosen)
    if not answers:
        return float("nan")
    labels = np.concatenate([answer.chosen for answer in answers])
    shown = np.concatenate([-np.arange(len(answer.chosen), dtype=float) for answer in answers])
    group = np.repeat(np.arange(len(answers)), [len(answer.chosen) for answer in answers])
    return evaluation.Rankings(labels, shown, group).ndcg(LISTED)


def accuracy_of(answer: Waiting) -> float | None:
    """Share of right verdicts on the first choice and four others; `None`: there are not so many.

    The four are drawn by a hash of the answer's id, so that each time they are the same ones.
    """
    others = np.flatnonzero(~answer.chosen & ~np.isnan(answer.probability))
    if answer.first < 0 or len(others) < PER_POSITIVE or np.isnan(answer.probability[answer.first]):
        return None
    seed = int.from_bytes(hashlib.blake2b(answer.request_id.encode(), digest_size=8).digest())
    drawn = np.random.default_rng(seed).choice(others, PER_POSITIVE, replace=False)
    rows = np.r_[answer.first, drawn]
    probability = answer.probability[rows]
    said = probability / max(float(probability.sum()), 1e-12) >= 0.5
    return float((said == (np.arange(len(rows)) == 0)).mean())


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return float(np.mean(known)) if known else float("nan")
