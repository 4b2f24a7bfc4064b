"""Maximum mean discrepancy: do all columns together look as they did in training?

What PSI and KS cannot see is a change between columns that leaves each one as it was. A. Gretton
et al., "A Kernel Two-Sample Test", JMLR 13, 2012: the distance of two mean embeddings, here of
random Fourier features (`models.embedding`) less what the hours of the window explain; its
distribution under no drift comes from permutation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrain.window import AnswerWindow

Floats = NDArray[np.floating[Any]]
PERMUTATIONS = 499
#: Chance of a false alarm a look: with no drift, what is seen is as likely as any deal to be the
#: largest of them all.
ALPHA = 1 / (PERMUTATIONS + 1)
#: Rows of either side that are dealt: the distances of larger samples follow by their sizes.
DEALT = 500


@dataclass(frozen=True)
class Discrepancy:
    """A window's squared distance from the training, and what chance would give.

    Attributes:
        value: MMD^2.
        threshold: passed by chance with probability ALPHA: the largest of the deals.
        p_value: probability of such a distance, or a larger one, with no drift.
    """

    value: float
    threshold: float
    p_value: float

    @classmethod
    def of(cls, value: float, chance: Floats) -> "Discrepancy":
        """What is seen, beside the distances [PERMUTATIONS] that chance gave."""
        return cls(
            value=value,
            threshold=float(chance.max()),
            p_value=(1 + int((chance >= value).sum())) / (1 + len(chance)),
        )

    @property
    def drifted(self) -> bool:
        """Whether MMD^2 lies above the threshold; so p_value <= ALPHA."""
        return self.value > self.threshold


class MeanDiscrepancy:
    """Judges a window; what chance would give is dealt anew once a whole window has passed.

    A permutation deals answers out as if each told as much as any other. So its distances are
    stretched by what the two means truly vary: users who answer often, and how well the training
    knows the window's hours, count as they do for PSI.

    Args:
        window: of the version in service.
        answers: how many it holds when it is full.
        rng: draws the permutations.
    """

    def __init__(self, window: AnswerWindow, answers: int, rng: np.random.Generator) -> None:
        self._window = window
        self._answers = answers
        self._rng = rng
        self._dealt: Floats | None = None
        self._dealt_at = 0

    def judge(self) -> Discrepancy:
        """The window as it is; it must not be empty."""
        window = self._window
        reference = window.reference
        value = float((window.residual() ** 2).sum())
        if self._dealt is None or window.taken - self._dealt_at >= self._answers:
            self._dealt = permuted(window.residuals(), reference.embedding.residuals, self._rng)
            self._dealt_at = window.taken
        likeness = reference.embedding_likeness
        size = window.size / float(likeness.effect(window.crowding))
        trained_size = reference.shares.answers(window.phi)
        trained_size /= float(likeness.effect(reference.crowding))
        return Discrepancy.of(value, self._dealt * (1 / size + 1 / trained_size))


def permuted(
    served: Floats, trained: Floats, rng: np.random.Generator, times: int = PERMUTATIONS
) -> Floats:
    """Squared distances of the means of two samples [n, d], [m, d], dealt anew: float64[times].

    Over (1/n + 1/m), to which they are proportional.
    """
    served, trained = (
        sample[rng.choice(len(sample), min(len(sample), DEALT), replace=False)]
        for sample in (served, trained)
    )
    pooled = np.concatenate([served, trained])
    n, total = len(served), len(pooled)
    mine = np.zeros((times, total), np.float32)
    drawn = rng.random((times, total), np.float32).argpartition(n - 1, axis=1)[:, :n]
    np.put_along_axis(mine, drawn, 1, axis=1)
    # The mean of the others follows from the sum of all: one product for all deals.
    sums = (mine @ pooled).astype(np.float64)
    gap = sums / n - (pooled.sum(axis=0, dtype=np.float64) - sums) / (total - n)
    distances: Floats = (gap**2).sum(axis=1) / (1 / n + 1 / (total - n))
    return distances
