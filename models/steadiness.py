"""How much of a column's rhythm is real: what chance alone would show is taken out again.

The week has fourteen functions of the hour (`models.rhythm`), and a training few answers of few
users. Of a column that does not follow the hour, most of what is fitted is noise; it makes the
column's share at some hour look as badly known as that hour was seen, and hides drift. So each
column's rhythm is drawn towards none as far as its size is explained by chance: the coefficients
have a g-prior (A. Zellner, "On Assessing Prior Distributions and Bayesian Regression Analysis with
g-Prior Distributions", 1986), with g by empirical Bayes (E. I. George, D. P. Foster, "Calibration
and Empirical Bayes Variable Selection", Biometrika 87, 2000), which is the positive-part estimate
of James and Stein. With F the fitted swing's chi-square over what chance has on average:

    kept = max(0, 1 - 1 / F)

What was fitted is multiplied by it, and so is the variance that the fit adds. Chance is reckoned as
if a user's answers came at hours of no pattern; where they do come at like hours, F is larger, and
more is kept than need be: that errs towards what is not known, never towards drift.

Of directions that the training hardly saw (a weekend, say) nothing is known, so nothing is drawn
towards anything there: they stay as uncertain as they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.rhythm import PRIOR_ANSWERS, Floats, Swing

#: A direction was seen if answers tell so many times as much of it as the prior does.
SEEN = 5.0


@dataclass(frozen=True)
class Parts:
    """A fit around its mean phi: answers, mean float64[K - 1], directions [K - 1, K - 1].

    `variance` [K - 1] of a coefficient along each direction, in variances of one answer; `seen`
    bool[K - 1].
    """

    answers: float
    mean: Floats
    directions: Floats
    variance: Floats
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, swing: Swing) -> "Parts":
        gram = np.linalg.inv(swing.spread)
        variance, directions = np.linalg.eigh(swing.spread[1:, 1:])
        seen = 1 / variance > (1 + SEEN) * PRIOR_ANSWERS
        return cls(gram[0, 0], gram[0, 1:] / gram[0, 0], directions, variance, seen)


def kept_of(swing: Swing, share: Floats, effect: Floats) -> Floats:
    """Share of each column's rhythm that is kept, float64[F] in [0, 1].

    Args:
        swing: fitted to F B shares.
        share: float64[F, B], means; rows sum to 1.
        effect: float64[F], design effect of answers that share no user (`models.likeness`).
    """
    parts = Parts.of(swing)
    along = (parts.directions.T @ swing.beta[1:])[parts.seen].reshape(-1, *share.shape)
    size = (along**2 / parts.variance[parts.seen][:, None, None]).sum(axis=0)
    chi_square = np.where(share > 0, size / np.maximum(share, 1e-12), 0).sum(axis=1)
    freedom = np.where(share > 0, 1 - share, 0).sum(axis=1) * max(int(parts.seen.sum()), 1)
    chance = np.maximum(effect * freedom, 1e-12)
    return np.asarray(1 - 1 / np.maximum(chi_square / chance, 1))


def drawn(swing: Swing, kept: Floats) -> Swing:
    """The fit with so much of each column's rhythm, float64[F], around the same mean."""
    parts = Parts.of(swing)
    part = np.repeat(kept, swing.beta.shape[1] // len(kept))
    along = parts.directions.T @ swing.beta[1:]
    less = parts.directions @ np.where(parts.seen[:, None], (part - 1) * along, 0)
    beta = swing.beta + np.concatenate([-parts.mean[None] @ less, less])
    return Swing(beta, swing.spread)


def answers_of(parts: Parts, kept: Floats, phi: Floats) -> Floats:
    """So many answers of exactly these hours would tell as much of each column: float64[F].

    `phi` [K] is a mean, as of `Swing.answers`.
    """
    away = (parts.directions.T @ (phi[1:] - parts.mean)) ** 2 * parts.variance
    unseen, seen = away[~parts.seen].sum(), away[parts.seen].sum()
    return np.asarray(1 / (1 / parts.answers + unseen + kept * seen))
