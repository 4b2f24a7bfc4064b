"""The held-out choices, each beside its four negatives, as in training: a pair judged on rows.

AUC of the score; accuracy, precision, recall and calibration of the row's probability, see
`models.calibration`.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ids import as_int64
from models import evaluation
from models.calibration import row_probability
from models.crowd_history import CrowdHistory
from models.dataset import EACH
from models.scoring import Scorer
from models.training_rows import Choices, Part, RankerRows
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.geo import distance_m
from online_features.request import parts_at

#: So many choices at most are judged on rows.
JUDGED = 2_000
_JUDGED = slice(0, JUDGED)
#: So many users are asked about at once.
USERS_AT_ONCE = 16
#: Stands for the distance of padding.
FARTHEST_M = 1e7


class HeldRows:
    """The first choices of a held-out part, beside their negatives.

    Args:
        log, catalogue: of the training.
        test: the part, with rows of its first `JUDGED` moments.
    """

    def __init__(self, log: EventColumns, catalogue: Catalogue, test: Part) -> None:
        self._log, self._catalogue, self._test = log, catalogue, test

    @property
    def rows(self) -> RankerRows:
        """The first choices, each beside its negatives."""
        return self._test.ranker.take(slice(0, EACH * JUDGED))

    @cached_property
    def _choices(self) -> Choices:
        """Who only answers requests needs none of these."""
        return self._test.choices_of(np.arange(min(len(self._test.moments), JUDGED)))

    def score(self, scorer: Scorer) -> NDArray[np.float32]:
        """A pair's scores of the rows, float32[n]."""
        rows = self.rows
        ids = (as_int64(rows.user), as_int64(rows.place), as_int64(rows.category))
        return np.asarray(scorer.rank(rows.features, self._parts(scorer), *ids)["score"])

    def metrics(self, score: NDArray[np.float32]) -> dict[str, float]:
        """What scores of the rows come to, by name."""
        rows = self.rows
        probability = row_probability(score, rows.expected)
        return {
            "auc": evaluation.auc(rows.label, score),
            **evaluation.threshold_metrics(rows.label, probability),
            "log_loss": evaluation.log_loss(rows.label, probability),
            "calibration_error": evaluation.calibration_error(rows.label, probability),
        }

    def _parts(self, scorer: Scorer) -> NDArray[np.float32]:
        """What the candidate model tells of the judged rows, float32[n, len(PARTS)]."""
        moments, choices = self._test.moments.take(_JUDGED), self._choices
        places = self._test.ranker.place[: EACH * len(moments)].reshape(-1, EACH)
        rows = self._catalogue.rows_of(places)
        lat, lng = self._catalogue.lat[rows], self._catalogue.lng[rows]
        metres = distance_m(moments.lat[:, None], moments.lng[:, None], lat, lng)
        crowds = CrowdHistory(self._log, self._catalogue)
        asked = zip(moments.before, moments.time_s, rows, strict=True)
        crowd = np.stack([crowds.at(int(before), time_s)[of] for before, time_s, of in asked])
        told = []
        for start in range(0, len(moments), USERS_AT_ONCE):
            part = slice(start, start + USERS_AT_ONCE)
            said = scorer.candidates(
                **history_of(self._catalogue, choices.take(part), moments.time_s[part]),
                place_ids=as_int64(places[part]),
                distance_m=np.nan_to_num(metres[part], nan=FARTHEST_M).astype(np.float32),
                crowd=crowd[part],
            )
            every = np.arange(EACH)
            told += [
                parts_at(b, p, every) for b, p in zip(said["best"], said["parts"], strict=True)
            ]
        return np.concatenate(told)


def history_of(
    catalogue: Catalogue, past: Choices, time_s: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """What the candidate model reads of users, by input: their histories at those moments."""
    # Ids by catalogue row: -2 is no event (0), -1 a place unknown to the model (1).
    hashes = np.r_[catalogue.hash, np.uint64(0), np.uint64(1)]
    return {
        "history_ids": as_int64(hashes[past.history_row]),
        "history_age_s": past.history_age_s,
        "history_kind": past.history_kind.astype(np.int64),
        "moment_s": time_s.astype(np.int64),
    }
