"""What users choose of what they are shown, by the chance that the model gave it: the target.

Drift of the columns says that something else is shown, drift of the probability that the model
says something else. Whether users still do what the model says is a third thing: how often a place
is chosen, by the band of its chance.

The chance of a place is its probability over the sum of those that the user looked at, given that
one of them is chosen. It needs no assumption on how far down a list people look: under the
multinomial logit the odds of two places do not depend on which others there are (McFadden 1974).
So of a list of ten and of the three that were looked at, the same model says the same, and what is
expected of answers follows from their own chances. Where a model was not quite calibrated on the
held-out requests of its training, it is expected to be as wrong as it was there, band by band.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.likeness import Likeness, crowding

Floats = NDArray[np.floating[Any]]
BANDS = 8
#: A band's rate is held to what was expected as by so many answers.
PRIOR_ANSWERS = 20.0


@dataclass(frozen=True)
class Chances:
    """Answers of which something was chosen, k places of n answers, answer by answer.

    Attributes:
        share: float64[k], chance of each place that was looked at; each answer's sum to 1.
        first: int64[n + 1], where the places of each answer begin.
        chosen: float64[n], the share of the place that was chosen.
        user: uint64[n], hash of the user.
    """

    share: Floats
    first: NDArray[np.int64]
    chosen: Floats
    user: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.chosen)

    @classmethod
    def of(
        cls,
        probability: Floats,
        chosen: NDArray[np.bool_],
        first: NDArray[np.int64],
        user: NDArray[np.uint64],
    ) -> Self:
        """Of answers [n] with k places in all; those with no choice, or none to make, fall out.

        Args:
            probability: float[k], as the model gave it.
            chosen: bool[k], at most one an answer.
            first: int64[n + 1], where each answer begins; none is empty.
            user: uint64[n].
        """
        if not len(user):
            return cls(np.zeros(0), np.zeros(1, np.int64), np.zeros(0), user)
        count = np.diff(first)
        total = np.add.reduceat(probability.astype(np.float64), first[:-1])
        made = np.add.reduceat(chosen.astype(np.int64), first[:-1]) == 1
        kept = made & (count > 1) & (total > 0)
        rows = np.repeat(kept, count)
        share = probability / np.repeat(np.maximum(total, 1e-12), count)
        return cls(
            share=share[rows],
            first=np.r_[0, np.cumsum(count[kept])].astype(np.int64),
            chosen=share[rows & chosen],
            user=user[kept],
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All answers of some parts, one part after another."""
        ends = np.cumsum([0, *(len(part.share) for part in parts)])
        starts = [part.first[:-1] + at for part, at in zip(parts, ends[:-1], strict=True)]
        return cls(
            share=np.concatenate([part.share for part in parts]),
            first=np.concatenate([*starts, ends[-1:]]).astype(np.int64),
            chosen=np.concatenate([part.chosen for part in parts]),
            user=np.concatenate([part.user for part in parts]),
        )


@dataclass(frozen=True)
class Targets:
    """What users chose at training, on B bands of chance.

    Attributes:
        edges: float64[B - 1], ascending: quantiles of the chances of what was chosen.
        ratio: float64[B], how often a band was chosen over how often the model said.
        likeness: of the choices of one user; see `models.likeness`.
        answers: how many choices are behind it.
        crowding: of their users.
    """

    edges: Floats
    ratio: Floats
    likeness: Likeness
    answers: int
    crowding: float

    @classmethod
    def of(cls, chances: Chances, bands: int = BANDS) -> "Targets | None":
        """Of held-out requests; `None` if nothing that would have been shown was chosen."""
        if not len(chances):
            return None
        cuts = np.quantile(chances.chosen, np.arange(1, bands) / bands)
        none = cls(np.unique(cuts), np.ones(0), Likeness(np.ones(()), np.zeros(())), 0, 1.0)
        expected, band = none.expected(chances), none.band(chances)
        count = np.bincount(band, minlength=none.bands)
        meant = expected.sum(axis=0)
        prior = PRIOR_ANSWERS * meant / len(chances)
        ratio = (count + prior) / np.maximum(meant + prior, 1e-12)
        return cls(
            edges=none.edges,
            ratio=ratio,
            likeness=_likeness(expected * ratio, band, chances.user),
            answers=len(chances),
            crowding=crowding(chances.user),
        )

    @property
    def bands(self) -> int:
        """B."""
        return len(self.edges) + 1

    def band(self, chances: Chances) -> NDArray[np.int64]:
        """Band of what each answer chose, int64[n]."""
        return np.searchsorted(self.edges, chances.chosen).astype(np.int64)

    def expected(self, chances: Chances) -> NDArray[np.float64]:
        """Chance that what an answer chooses lies in each band, by the model: float64[n, B]."""
        of = np.repeat(np.arange(len(chances)), np.diff(chances.first))
        cell = of * self.bands + np.searchsorted(self.edges, chances.share)
        flat = np.bincount(cell, chances.share, minlength=len(chances) * self.bands)
        return flat.reshape(len(chances), self.bands).astype(np.float64, copy=False)


def _likeness(expected: Floats, band: NDArray[np.int64], user: NDArray[np.uint64]) -> Likeness:
    """Bins weigh by the inverse of their share, as in chi-square; see `models.reference`."""
    expected = expected / expected.sum(axis=1, keepdims=True)
    happened = np.zeros_like(expected)
    happened[np.arange(len(band)), band] = 1
    share = happened.mean(axis=0)
    residual = (happened - expected) / np.sqrt(np.maximum(share, 1e-12))
    used = share > 0
    return Likeness.of(np.where(used, residual, 0), np.where(used, 1 - share, 0), user)
