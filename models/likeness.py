"""How alike answers are: a hundred of one user tell less than a hundred of a hundred."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Likeness:
    """How much less, or more, n answers tell than n rows drawn one by one.

    The variance of a mean over n answers of users who gave c answers each (c: mean of the squares
    over the mean) is (within + between (c - 1)) / n times that of one row (L. Kish, "Survey
    Sampling", 1965: the design effect).

    Attributes:
        within: float64[...], of answers that share no user: below 1 where the places of an answer
            differ, for their mean then varies less than one of them.
        between: float64[...], what each further answer of the same user adds.
    """

    within: Floats
    between: Floats

    @classmethod
    def of(cls, residual: Floats, variance: Floats, user: NDArray[np.uint64]) -> "Likeness":
        """Measured on residuals [n, ..., B] of answers; `variance` [..., B] is of single rows.

        Bins count by their share, as they do in PSI's distribution under no drift.
        """
        _, code = np.unique(user, return_inverse=True)
        order = np.argsort(code, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(code[order]) > 0])
        of_users = np.add.reduceat(residual[order], starts, axis=0)
        own = (residual**2).sum(axis=0)
        pairs = (of_users**2).sum(axis=0) - own
        total = np.maximum(variance.sum(axis=-1), 1e-12)
        count = np.bincount(code)
        met = max(float((count * (count - 1)).sum()), 1.0)
        within = own.sum(axis=-1) / len(residual) / total
        between = pairs.sum(axis=-1) / met / total
        return cls(np.maximum(within, 0.02), np.clip(between, 0, None))

    def effect(self, crowding: float) -> Floats:
        """Design effect where an answer's user has `crowding` answers on average, itself in."""
        return self.within + self.between * max(crowding - 1, 0)


def crowding(user: NDArray[np.uint64]) -> float:
    """Answers by the user of an answer, on average over answers; 1 if all users differ."""
    if not len(user):
        return 1.0
    _, count = np.unique(user, return_counts=True)
    return float((count.astype(np.float64) ** 2).sum() / len(user))
