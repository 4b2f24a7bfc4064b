"""Two pairs on the same held-out requests: who wins, how surely, and on whom.

The difference is taken request by request, so that what makes a request hard falls out of it, and
users are resampled whole (`models.bootstrap`). Slices are looked at together: their intervals are
widened by Bonferroni, so that one of twenty does not fail by chance. AUC is compared on rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h3
import numpy as np
from numpy.typing import NDArray

from models import evaluation
from models.auc_interval import auc_difference
from models.bootstrap import Interval, intervals
from models.holdout import Holdout, Ranked
from models.quality.ranks import rank_in_lists

AUC, NDCG = "auc", "ndcg_at_10"
OVERALL, NEW_USERS, NEW_PLACES = "overall", "new_users", "new_places"
CATEGORY, NEIGHBOURHOOD = "category", "neighbourhood"
#: A user with fewer events, a place with fewer visits before the held-out part, is new.
NEW_BELOW = 5
#: H3 cells of about 5 square kilometres.
NEIGHBOURHOOD_RESOLUTION = 7
#: Fewer users than this say nothing by themselves.
LEAST_USERS = 30
#: Error that all slices together may have.
ALPHA = 0.05
#: Enough for the tails that twenty slices ask for (1 in 800 on each side).
REPLICATES = 4_000
_CUT = 10


@dataclass(frozen=True)
class Comparison:
    """One part of the requests.

    Attributes:
        part: "overall" or the kind of slice.
        name: the slice, e.g. "category cafe".
        requests, users: how many.
        new, in_service: mean NDCG@10 of both pairs, or their AUC.
        difference: new - in service, with its interval: 95 % overall, widened for slices.
        metric: what `new` and `in_service` are.
    """

    part: str
    name: str
    requests: int
    users: int
    new: float
    in_service: float
    difference: Interval
    metric: str = NDCG

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "part": self.part,
            "slice": self.name,
            "metric": self.metric,
            "requests": self.requests,
            "users": self.users,
            "new": round(self.new, 4),
            "in_service": round(self.in_service, 4),
            "difference": round(self.difference.value, 4),
            "low": round(self.difference.low, 4),
            "high": round(self.difference.high, 4),
        }


def gains(ranked: Ranked, target: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 of each request: one place is relevant, and counts 0 if it is not let through."""
    return gained(ranked.rows, ranked.scores, target)


def gained(
    rows: NDArray[np.int64], scores: NDArray[np.float32], target: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The same of lists: catalogue rows and scores, both [r, k]."""
    rank = rank_in_lists(rows, scores, target)
    return np.where(rank <= _CUT, 1 / np.log2(rank + 1), 0.0)


def compare_rows(
    holdout: Holdout, new: NDArray[np.floating], in_service: NDArray[np.floating]
) -> Comparison:
    """Compare two pairs' AUC on the judged rows, given their scores; see `models.auc_interval`."""
    rows = holdout.judged_rows
    return Comparison(
        part=OVERALL,
        name=OVERALL,
        requests=int(rows.label.sum()),
        users=len(np.unique(rows.user)),
        new=float(evaluation.auc(rows.label, new)),
        in_service=float(evaluation.auc(rows.label, in_service)),
        difference=auc_difference(rows.label, new, in_service, rows.user, ALPHA),
        metric=AUC,
    )


def compare(holdout: Holdout, new: Ranked, in_service: Ranked, *, seed: int) -> list[Comparison]:
    """Compare two pairs' answers to the same requests: overall first, then every slice.

    Slices: users and places that are new, categories of the place chosen, neighbourhoods of the
    request; those with at least `LEAST_USERS` users.
    """
    target, user = holdout.moments.place, holdout.moments.user
    pair = np.stack([gains(new, target), gains(in_service, target)], axis=1)
    parts = [
        (part, name, rows)
        for part, name, rows in slices(holdout)
        if len(np.unique(user[rows])) >= LEAST_USERS
    ]
    overall = _compared(OVERALL, OVERALL, pair, user, ALPHA, seed)
    return [
        overall,
        *(
            _compared(part, name, pair[rows], user[rows], ALPHA / len(parts), seed)
            for part, name, rows in parts
        ),
    ]


def slices(holdout: Holdout) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Kind, name and requests of every slice that holds one."""
    moments = holdout.moments
    for part, mask in (
        (NEW_USERS, holdout.user_events < NEW_BELOW),
        (NEW_PLACES, holdout.place_visits < NEW_BELOW),
    ):
        if mask.any():
            yield part, part, np.flatnonzero(mask)
    cell = np.array(
        [
            h3.latlng_to_cell(lat, lng, NEIGHBOURHOOD_RESOLUTION)
            for lat, lng in zip(moments.lat, moments.lng, strict=True)
        ]
    )
    for part, label in ((CATEGORY, holdout.categories), (NEIGHBOURHOOD, cell)):
        for name in np.unique(label):
            yield part, f"{part} {name or 'unknown'}", np.flatnonzero(label == name)


def _compared(
    part: str,
    name: str,
    pair: NDArray[np.float64],
    user: NDArray[np.uint64],
    alpha: float,
    seed: int,
) -> Comparison:
    difference = (pair[:, 0] - pair[:, 1])[:, None]
    (interval,) = intervals(difference, user, seed=seed, replicates=REPLICATES, alpha=alpha)
    return Comparison(
        part=part,
        name=name,
        requests=len(pair),
        users=len(np.unique(user)),
        new=float(pair[:, 0].mean()),
        in_service=float(pair[:, 1].mean()),
        difference=interval,
    )
